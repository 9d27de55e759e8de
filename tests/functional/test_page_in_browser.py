"""The page in a real Chromium: it looks as it should, and what people wrote does nothing there."""

import asyncio
import re
import shutil
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import replace
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from shared.domain.approvals import Standard
from shared.domain.people import Person, Role
from shared.domain.reset import HistoryEntry, Link, Reset, State
from shared.use_cases.lookup import Found
from shared.web.html import STYLE, html_response
from shared.web.messages import HttpResponse
from shared.web.reset_page import Viewing, render
from tests.support.patience import PATIENCE
from tests.support.world import START

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs a Chromium in the PATH (apt-get install chromium)"
)

# Each would show in the title, or be asked for from the server.
HOSTILE = (
    "<script>document.title='pwned'</script><img src='/img' onerror=\"document.title='pwned'\">"
    "</style><style>@import url(/css);body{background:red}</style>"
    "<svg onload=\"document.title='pwned'\"><iframe src='/frame'></iframe>"
    "<meta http-equiv=refresh content='0;url=/refresh'><link rel=stylesheet href=/link>"
)
GROUNDS = re.findall(r"--ground: (#[0-9a-f]{6})", STYLE)[:2]


def reset(**changes: object) -> Reset:
    running = Reset(
        id="r1",
        target="salesforce-prod",
        requested_at=START,
        state=State.RESTARTED,
        sequence=3,
        requested_by="ann@contoso.com",
        via="webhook:servicenow",
        ticket_system="servicenow",
        ticket_id="INC0012345",
        ticket_url="https://contoso.service-now.com/INC0012345",
        reason="Adele's Salesforce user was replaced",
        subjects=("adele.vance@contoso.com",),
        restarted_at=START + timedelta(minutes=2),
        due_at=START + timedelta(minutes=7),
        detail="Graph took the restart; the initial cycle is being watched",
        progress="4210 of 12500",
        expected_minutes="125-1000",
        approved_by="boss@contoso.com",
        approver_signed_in=True,
        graph_request_id="5c1b7c2e-0d3f-4a7b-9a41-3c1f0e9d8b7a",
        before='{"code": "Active", "counts": {"User": 12480, "Group": 20}}',
    )
    return replace(running, **changes)  # type: ignore[arg-type]


def page(x: Reset, *, said: str = "approved (signed in)") -> HttpResponse:
    events = [
        HistoryEntry(sequence=n, at=START + timedelta(minutes=n), state=state, by=by, detail=detail)
        for n, (state, by, detail) in enumerate(
            [
                (State.ACCEPTED, "ann@contoso.com", "received (webhook:servicenow)"),
                (State.AWAITING_APPROVAL, "relink", "approval is always asked for this target"),
                (State.ACCEPTED, "boss@contoso.com", said),
                (x.state, "relink", x.detail),
            ],
            start=1,
        )
    ]
    link = Link(subject=x.subjects[0], verdict="linked", before="0058d000003Xabc")
    boss = Person(object_id="o", tenant_id="t", name="boss@contoso.com", roles=frozenset(Role))
    viewing = Viewing(
        now=START + timedelta(minutes=12), person=boss, standard=Standard(sign_in=True)
    )
    return html_response(render(Found(reset=x, events=events, links=[link]), viewing))


@asynccontextmanager
async def served(reply: HttpResponse) -> AsyncIterator[tuple[str, list[str]]]:
    """The page with its headers; every other path that is asked for is kept."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        if request.path != "/page":
            asked.append(request.path)
            return web.Response(status=404)
        return web.Response(text=reply.body, content_type=reply.content_type, headers=reply.headers)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/page", asked
    await runner.cleanup()


async def browse(url: str, folder: Path, *options: str) -> str:
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-dev-shm-usage",
        f"--user-data-dir={folder / 'profile'}",
        *options,
        url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(PATIENCE):
        out, _ = await process.communicate()
    return out.decode()


async def photographed(reply: HttpResponse, folder: Path, *options: str, width: int = 1000) -> Path:
    picture = folder / "page.png"
    async with served(reply) as (url, _):
        size = f"--window-size={width},1400"
        await browse(url, folder, size, f"--screenshot={picture}", *options)
    return picture


def first_pixel(picture: Path) -> str:
    """Of a PNG; whatever the first row's filter is, its first pixel is stored as it is."""
    raw = picture.read_bytes()
    assert raw.startswith(b"\x89PNG")
    at, data = 8, b""
    while at < len(raw):
        length = int.from_bytes(raw[at : at + 4])
        if raw[at + 4 : at + 8] == b"IDAT":
            data += raw[at + 8 : at + 8 + length]
        at += length + 12
    return "#" + zlib.decompressobj().decompress(data, 4)[1:4].hex()


@pytest.mark.parametrize(
    ("scheme", "ground"), [("1", GROUNDS[0]), ("0", GROUNDS[1])], ids=["light", "dark"]
)
async def test_the_style_is_let_in_by_the_pages_own_policy(
    scheme: str, ground: str, tmp_path: Path
) -> None:
    options = f"--blink-settings=preferredColorScheme={scheme}"

    picture = await photographed(page(reset()), tmp_path, options)

    assert first_pixel(picture) == ground


async def test_what_people_wrote_runs_nothing_and_loads_nothing(tmp_path: Path) -> None:
    hostile = reset(
        reason=HOSTILE,
        requested_by=HOSTILE,
        ticket_id=HOSTILE,
        ticket_url="javascript:alert(1)",
        subjects=(HOSTILE,),
        detail=HOSTILE,
        progress=HOSTILE,
        via=HOSTILE,
        state=State.FAILED,
    )
    async with served(page(hostile, said=HOSTILE)) as (url, asked):
        dom = await browse(url, tmp_path, "--dump-dom", "--virtual-time-budget=2000")

    assert "<title>salesforce-prod: Failed · Relink</title>" in dom
    assert set(asked) <= {"/favicon.ico"}
    assert not re.findall(r"<(script|img|iframe|svg|link)\b", dom)


async def test_on_a_narrow_screen_nothing_is_wider_than_the_screen(tmp_path: Path) -> None:
    # Measured by a script that the page itself never has, and whose policy would not let it run.
    words = "x" * 400
    reply = page(reset(reason=words, requested_by=words, subjects=(words,), detail=words))
    probe = reply.body.replace(
        "</body>",
        "<script>document.title = 'wide ' + document.documentElement.scrollWidth</script></body>",
    )
    measured = HttpResponse(status=200, body=probe, content_type="text/html")
    async with served(measured) as (url, _):
        dom = await browse(url, tmp_path, "--dump-dom", "--window-size=500,900")

    found = re.search(r"<title>wide (\d+)</title>", dom)
    assert found is not None
    assert int(found[1]) <= 500
