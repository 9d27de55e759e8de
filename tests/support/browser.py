"""
Drive a real Chromium as a person would: open, read, fill in, press, measure, photograph.

It speaks the DevTools protocol; what is evaluated that way is not held back by a page's policy.
https://chromedevtools.github.io/devtools-protocol/
"""

import asyncio
import base64
import itertools
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.patience import PATIENCE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = Path(__file__).resolve().parents[2] / "local" / "node_modules" / "axe-core" / "axe.min.js"


class Browser:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async with asyncio.timeout(PATIENCE):
            while True:
                told = json.loads((await self._socket.receive()).data)
                if told.get("id") == number:
                    assert "error" not in told, told
                    found: dict[str, Any] = told["result"]
                    return found

    async def run(self, script: str) -> Any:
        """Evaluate *script*, also while a page is being exchanged for another."""
        for _ in range(20):
            try:
                told = await self.call(
                    "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
                )
            except AssertionError:
                await asyncio.sleep(0.2)
                continue
            assert "exceptionDetails" not in told, told
            return told["result"].get("value")
        raise AssertionError("the page never came to rest")

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)
        await self.loaded(url)

    async def loaded(self, url: str = "") -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                await asyncio.sleep(0.1)
                there = await self.run("[document.readyState, location.href]")
                if there[0] == "complete" and there[1].startswith(url or "http"):
                    return

    async def text(self) -> str:
        return str(await self.run("document.body.innerText"))

    async def fill(self, name: str, value: str) -> None:
        await self.run(f"document.querySelector('[name={name}]').value = {json.dumps(value)}")

    async def press(self, label: str) -> None:
        """Press the button with this label, and wait for the page that follows."""
        found = await self.run(
            "(() => { const b = [...document.querySelectorAll('button')]"
            f".find(b => b.textContent === {json.dumps(label)});"
            " if (!b) return false; document.title = 'left'; b.click(); return true; })()"
        )
        assert found, f"there is no button {label!r} in: {await self.text()}"
        async with asyncio.timeout(PATIENCE):
            while await self.run("document.title") == "left":
                await asyncio.sleep(0.1)
        await self.loaded()

    async def look_as(self, *, width: int, dark: bool) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def violations(self) -> list[str]:
        """What axe-core objects to on this page, each with the first place."""
        if not await self.run("!!window.axe"):
            await self.run(AXE.read_text(encoding="utf-8") + "; true")
        found = await self.run(
            "axe.run(document).then(r => JSON.stringify(r.violations.map("
            "v => v.id + ' ' + v.nodes[0].html.slice(0, 200))))"
        )
        listed: list[str] = json.loads(found)
        return listed

    async def width(self) -> int:
        return int(await self.run("document.documentElement.scrollWidth"))

    async def photograph(self, picture: Path) -> None:
        told = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        picture.write_bytes(base64.b64decode(told["data"]))


@asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Browser]:
    """A Chromium of its own, on a free port."""
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port = await _port(profile / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            pages = await (await session.get(f"http://127.0.0.1:{port}/json/list")).json()
            address = next(p["webSocketDebuggerUrl"] for p in pages if p["type"] == "page")
            async with session.ws_connect(address, max_msg_size=0) as socket:
                yield Browser(socket)
    finally:
        process.terminate()
        await process.wait()


async def _port(file: Path) -> int:
    async with asyncio.timeout(PATIENCE):
        while not file.exists() or not file.read_text():
            await asyncio.sleep(0.1)
    return int(file.read_text().splitlines()[0])
