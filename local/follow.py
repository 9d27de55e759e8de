"""Follows a reset to its end: a line for each event, and a bar while its cycle runs."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from local.errors import Failed
from local.folding import fold_after
from local.screen import Screen, style_of
from shared.domain.reset import ENDED

EVERY: Final = 1.0
TAKEN_IN_WITHIN: Final = 60.0
BAR: Final = 24
_GOOD: Final = frozenset({"completed", "previewed", "joined"})
_ENDED: Final = frozenset(map(str, ENDED))

type Read = Callable[[], Awaitable[Mapping[str, Any] | None]]


async def follow(read: Read, screen: Screen, *, machine: bool = False, every: float = EVERY) -> int:
    """Watch until the end; 0 where it ended well, 1 where not."""
    lines = Lines(screen=screen, silent=machine)
    began = time.monotonic()
    while True:
        reset = await read()
        if reset is not None:
            lines.show(reset)
            if reset["state"] in _ENDED:
                break
        elif time.monotonic() - began > TAKEN_IN_WITHIN:
            raise Failed(
                f"not taken in after {TAKEN_IN_WITHIN:g} s: is the app running? The message stays "
                "on the queue"
            )
        await asyncio.sleep(every)
    if machine:
        print(json.dumps(reset, indent=2, ensure_ascii=False))
    else:
        lines.end(reset)
    return 0 if reset["state"] in _GOOD else 1


@dataclass(kw_only=True)
class Lines:
    """Prints what is new of a reset since it was last shown."""

    screen: Screen
    silent: bool = False
    _events: int = 0
    _progress: str = ""
    _moving: bool = field(default=False)

    def show(self, reset: Mapping[str, Any]) -> None:
        if self.silent:
            return
        for event in reset["events"][self._events :]:
            self._line(self.text_of(event))
        self._events = len(reset["events"])
        progress = reset.get("progress") or ""
        if reset["state"] == "restarted" and progress != self._progress:
            self._progress = progress
            self._bar(progress)

    def end(self, reset: Mapping[str, Any]) -> None:
        for link in reset.get("subjects") or []:
            self._line(link_line(link, self.screen.width))
        self._line("")

    def text_of(self, event: Mapping[str, Any]) -> str:
        at, state = str(event["at"])[11:19], str(event["state"])
        head = f"{at} {state:<17} "
        text = fold_after(head, str(event["detail"] or event["by"]), self.screen.width)
        return text.replace(state, self.screen.painted(state, style_of(state)), 1)

    def _bar(self, progress: str) -> None:
        done, _, rest = progress.partition(" of ")
        total = rest.split(" ")[0]
        if not (done.isdigit() and total.isdigit() and int(total)):
            return
        filled = min(BAR, round(BAR * int(done) / int(total)))
        text = f"{'':8} [{'#' * filled}{'.' * (BAR - filled)}] {progress}"
        if self.screen.width is None:
            self._line(text)
        else:
            print(f"\r\033[K{text[: self.screen.width - 1]}", end="", flush=True)
            self._moving = True

    def _line(self, text: str) -> None:
        if self._moving:
            print("\r\033[K", end="")
            self._moving = False
        if text:
            print(text, flush=True)


def link_line(link: Mapping[str, Any], width: int | None) -> str:
    """Say what became of a user's link, in one line where it fits; why, where no id is known."""
    verdict = link.get("verdict") or "not looked up"
    before, after = link.get("before"), link.get("after")
    if before or after:
        more = f"{before or '?'} -> {after or '?'}"
    else:
        more = str(link.get("problem") or link.get("evidence") or "")
    words = f"{link['subject']} {verdict}" + (f": {more}" if more else "")
    return fold_after("link     ", words, width)
