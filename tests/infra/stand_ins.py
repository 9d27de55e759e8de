"""`az` and `azd` that record what they are asked and answer from a file."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PROGRAM = """#!{python} -IS
import json, sys
from pathlib import Path
here = Path({folder!r})
asked = sys.argv[1:]
with (here / "{name}.asked").open("a") as log:
    log.write(json.dumps(asked) + "\\n")
words = " ".join(asked)
for answer in json.loads((here / "{name}.answers").read_text()):
    if words.startswith(answer["to"]):
        sys.stderr.write(answer.get("err", ""))
        if "out" in answer:
            print(json.dumps(answer["out"]))
        sys.exit(answer.get("code", 0))
sys.stderr.write("no answer to " + words)
sys.exit(9)
"""


@dataclass
class StandIn:
    """One program on a PATH of its own."""

    folder: Path
    name: str
    answers: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        program = self.folder / self.name
        program.write_text(
            _PROGRAM.format(python=sys.executable, folder=str(self.folder), name=self.name),
            encoding="utf-8",
        )
        program.chmod(0o755)
        self._write()

    def answer(self, to: str, out: Any = None, *, code: int = 0, err: str = "") -> None:
        """What is said to a call that begins with *to*; the latest wins."""
        given: dict[str, Any] = {"to": to, "code": code, "err": err}
        if out is not None:
            given["out"] = out
        self.answers.insert(0, given)
        self._write()

    @property
    def asked(self) -> list[str]:
        log = self.folder / f"{self.name}.asked"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [" ".join(json.loads(line)) for line in lines]

    def _write(self) -> None:
        text = json.dumps(self.answers)
        (self.folder / f"{self.name}.answers").write_text(text, encoding="utf-8")
