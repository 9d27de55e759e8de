"""The page for people: who sees it, what it says, and that nothing anybody wrote runs on it."""

import re
from copy import replace
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser

import pytest

from shared.domain import evidence
from shared.domain.approvals import Standard
from shared.domain.people import Person, Role
from shared.domain.requests import Ticket
from shared.domain.reset import OPEN, HistoryEntry, Link, Reset, State
from shared.domain.sync_job import Execution
from shared.use_cases.lookup import Found
from shared.web.html import HEADERS, STYLE, element, user_text
from shared.web.reset_page import WORDS, Viewing, render
from shared.web.respond import respond
from tests.support.calls import TENANT, call, object_id, principal
from tests.support.graph import healthy
from tests.support.world import START, World

HOSTILE = (
    "<script>document.title='pwned'</script><img src=x onerror=alert(1)>\"'&lt;b&gt;</title>"
    "</bdi></td></table></style>\u202egnp.exe\x00"
)
RESET = Reset(id="r1", target="salesforce-prod", requested_at=START, sequence=1)


def shown(x: Reset, *, links: tuple[Link, ...] = (), detail: str = "taken in (api)") -> str:
    event = HistoryEntry(sequence=1, at=START, state=x.state, by="ann", detail=detail)
    return render(Found(reset=x, events=[event], links=links), viewing())


def viewing(name: str = "boss@contoso.com", *, roles: frozenset[Role] = frozenset(Role)) -> Viewing:
    person = Person(object_id=object_id(name), tenant_id=TENANT, name=name, roles=roles)
    return Viewing(
        now=START + timedelta(minutes=12), person=person, standard=Standard(sign_in=True)
    )


class Outline(HTMLParser):
    """Checks that every element is closed, in order; keeps what it met."""

    VOID = frozenset({"meta", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def everything() -> Reset:
    return replace(
        RESET,
        state=State.COMPLETED,
        requested_by="ann@contoso.com",
        via="webhook:desk",
        reason="account replaced",
        ticket_system="servicenow",
        ticket_id="INC1",
        ticket_url="https://contoso.service-now.com/INC1",
        subjects=("adele", "megan"),
        approved_by="boss",
        approver_signed_in=True,
        restarted_at=START,
        finished_at=START + timedelta(hours=1),
        expected_minutes="125-1000",
        detail="the initial cycle ended",
        outcome="completed",
        before='{"code": "Active", "counts": {"User": 1200, "Group": 3}, "quarantine": null}',
        after='{"code": "Active", "counts": {"User": 1198}, "lastExecution": '
        '{"state": "EntryLevelErrors", "began": "2026-11-24T09:10:00Z"}}',
    )


def test_everything_that_is_known_is_said_in_words() -> None:
    link = Link(subject="adele", verdict="relinked", before="005OLD", after="005NEW")

    outline = Outline(shown(everything(), links=(link,)))

    for words in (
        "Completed",
        "The initial cycle ended",
        "ann@contoso.com",
        "webhook:desk",
        "INC1",
        "contoso.service-now.com",
        "boss (signed in)",
        "2 hours 5 minutes to 16 hours 40 minutes",
        "005OLD",
        "005NEW",
        "relinked",
        "not looked up",
        "1,203",
        "1,198",
        "EntryLevelErrors",
        "2026-11-24 09:10:00",
        "by ann",
        "Taken in (api)",
    ):
        assert words in outline.text, words


@pytest.mark.parametrize("state", list(State))
def test_each_state_has_words_and_no_page_renews_itself(state: State) -> None:
    text = shown(replace(RESET, state=state, due_at=START))

    assert WORDS[state][1] in Outline(text).text
    assert "http-equiv" not in text
    assert ("?renew=yes" in text) is (state in OPEN)


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        ("4210 of 12500", "4,210 of 12,500 processed (33 %)"),
        ("9 of 3", "9 of 3 processed (100 %)"),
        ("Active", "Active"),
        ("0 of 0", "0 of 0"),
        ("", "running"),
    ],
)
def test_a_running_cycle_shows_its_progress(progress: str, words: str) -> None:
    x = replace(RESET, state=State.RESTARTED, restarted_at=START, expected_minutes="5-60")
    outline = Outline(shown(replace(x, progress=progress)))

    assert "progress" in outline.tags
    assert words in outline.text
    assert (
        "between today 09:05 UTC and today 10:00 UTC (in 48 minutes at the latest)" in outline.text
    )


def test_a_joined_reset_leads_to_its_leader() -> None:
    text = shown(replace(RESET, state=State.JOINED, leader="a.b", outcome="completed"))

    assert '<a href="../a.b/page">' in text
    assert "Its outcome: completed" in Outline(text).text


@pytest.mark.parametrize(
    "field",
    [
        "reason",
        "requested_by",
        "ticket_id",
        "ticket_system",
        "ticket_url",
        "detail",
        "progress",
        "approved_by",
        "via",
        "outcome",
        "target",
        "graph_request_id",
        "leader",
    ],
)
@pytest.mark.parametrize("state", [State.RESTARTED, State.JOINED])
def test_text_of_users_stays_text(field: str, state: State) -> None:
    x = replace(everything(), state=state, **{field: HOSTILE})  # type: ignore[arg-type]

    outline = Outline(shown(x))

    assert not {"script", "img", "b"} & set(outline.tags)
    assert not [name for name, _ in outline.attributes if name.startswith("on")]


def test_subjects_links_events_and_the_job_stay_text() -> None:
    link = Link(subject=HOSTILE, verdict=HOSTILE, before=HOSTILE, after=HOSTILE, evidence=HOSTILE)
    job = '{"code": "<script>", "counts": {"<img src=x>": 1, "b": 2}}'
    x = replace(everything(), subjects=(HOSTILE,), before=job)

    outline = Outline(shown(x, links=(link,), detail=HOSTILE))

    assert not {"script", "img", "b"} & set(outline.tags)
    assert "pwned" in outline.text


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "//evil.example/x",
        "http://",
        "https://a b.example",
        "http://[::1",
        "https://contoso.com@evil.example/",
        "java\nscript:alert(1)",
        "https://x.example/\u202e",
        # What a browser takes for another host than Python does, or shows as one that it is not.
        "https://evil.example\\.contoso.com/x",
        "https://contoso.com\\@evil.example/",
        "https:\\\\evil.example/",
        "https://evil.example\t.contoso.com/",
        "https://\u0441ontoso.com/",
        "https://\uff43ontoso.com/",
        "https://evil.example\u3002contoso.com/",
        "https://%65vil.example/",
    ],
)
def test_an_address_that_is_not_plainly_of_the_web_is_only_text(url: str) -> None:
    text = shown(replace(everything(), ticket_url=url))

    assert "rel=" not in text
    assert url in unescape(text)


def test_a_links_host_is_shown_beside_it() -> None:
    text = shown(replace(everything(), ticket_url="https://evil.example/?contoso.com"))

    assert 'rel="noopener noreferrer"' in text
    assert " at evil.example" in Outline(text).text


def test_the_page_is_put_together_so_that_a_screen_reader_can_tell() -> None:
    text = shown(everything())
    outline = Outline(text)

    assert '<html lang="en">' in text
    assert outline.tags.count("h1") == outline.tags.count("title") == 1
    assert outline.tags.count("caption") == outline.tags.count("table") == 2
    assert all(value in {"col", "row"} for name, value in outline.attributes if name == "scope")
    assert len([tag for tag in outline.tags if tag == "th"]) == len(
        [name for name, _ in outline.attributes if name == "scope"]
    )


def luminance(colour: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_colour_of_text_can_be_read_on_every_ground(scheme: int) -> None:
    block = re.findall(r":root \{([^}]*)\}", STYLE)[scheme]
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
    grounds = [colours.pop("ground"), colours.pop("card")]
    colours.pop("line")

    assert set(colours) == {"text", "quiet", "run", "good", "bad", "wait"}
    for ground in map(luminance, grounds):
        for name, colour in colours.items():
            light, dark = sorted([ground, luminance(colour)], reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, name


def test_markup_is_escaped_wherever_it_stands() -> None:
    made = element("a", "<b>", user_text("<i>"), href='"><script>', class_="x", aria_label="'")

    assert made.html == (
        '<a href="&quot;&gt;&lt;script&gt;" class="x" aria-label="&#x27;">&lt;b&gt;'
        "<bdi>&lt;i&gt;</bdi></a>"
    )


# Who sees it


async def test_who_is_signed_in_sees_the_page() -> None:
    world = World()
    world.rebuild(WEBSITE_AUTH_ENABLED="True")
    await world.ask(ticket=Ticket(system="desk", id="INC7"))

    reply = await respond(world.app.api.show_reset, call(reset_id="r1", signed_in=principal()))

    assert (reply.status, reply.content_type) == (200, "text/html")
    assert "INC7" in Outline(reply.body).text
    policy = reply.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert reply.headers["Cache-Control"] == "no-store"
    assert set(HEADERS) <= set(reply.headers)


@pytest.mark.parametrize("reset_id", ["r1", "r2", "../x", ""])
async def test_who_is_not_signed_in_is_told_how_and_nothing_of_any_reset(reset_id: str) -> None:
    world = World()
    world.rebuild(WEBSITE_AUTH_ENABLED="True")
    await world.ask()
    world.faults.log.clear()

    reply = await respond(world.app.api.show_reset, call(reset_id=reset_id))

    assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "/.auth/login/aad?post_login_redirect_uri=%2Fapi%2Fresets%2F" in reply.body
    assert "salesforce" not in Outline(reply.body).text
    assert world.faults.log == []


async def test_the_same_is_said_of_a_reset_that_is_there_and_of_one_that_is_not() -> None:
    world = World()
    world.rebuild(WEBSITE_AUTH_ENABLED="True")
    await world.ask()

    there, absent = [
        await respond(world.app.api.show_reset, call(reset_id=each)) for each in ("r1", "r2")
    ]

    assert there.body == absent.body.replace("r2", "r1")
    assert (there.status, there.headers) == (absent.status, absent.headers)


@pytest.mark.parametrize("enabled", ["", "1", "False"])
async def test_where_nobody_can_sign_in_a_forged_header_shows_nothing(enabled: str) -> None:
    world = World()
    world.rebuild(WEBSITE_AUTH_ENABLED=enabled)
    await world.ask()

    reply = await respond(world.app.api.show_reset, call(reset_id="r1", signed_in=principal()))

    assert reply.status == 403
    assert "not switched on" in Outline(reply.body).text
    assert "salesforce" not in reply.body


async def test_a_page_of_no_reset_is_404_for_who_is_signed_in() -> None:
    world = World()
    world.rebuild(WEBSITE_AUTH_ENABLED="True")

    for reset_id in ("r1", "<b>", "r1\n"):
        reply = await respond(
            world.app.api.show_reset, call(reset_id=reset_id, signed_in=principal())
        )
        assert (reply.status, reply.content_type) == (404, "text/html")
        assert "b" not in Outline(reply.body).tags


async def test_storage_that_is_down_is_a_503_page() -> None:
    world = World()
    world.rebuild(WEBSITE_AUTH_ENABLED="True")
    await world.ask()
    world.faults.at, world.faults.kind = world.faults.count + 1, "timeout"

    reply = await respond(world.app.api.show_reset, call(reset_id="r1", signed_in=principal()))

    assert (reply.status, reply.headers["Retry-After"]) == (503, "30")
    assert reply.content_type == "text/html"


def test_a_warning_of_the_record_is_shown() -> None:
    page = Outline(shown(replace(RESET, warnings=("ticket.system: there is no notifier <b>x",))))

    assert "there is no notifier <b>x" in page.text


@pytest.mark.parametrize(
    ("state", "outcome", "verdicts", "tone", "words"),
    [
        (State.COMPLETED, "completed", [], "wait", "Completed, links not checked"),
        (State.COMPLETED, "completed", [""], "wait", "Completed, links not checked"),
        (State.COMPLETED, "completed", ["unknown"], "wait", "Completed, links not checked"),
        (State.COMPLETED, "completed", ["relinked"], "good", "Completed"),
        (State.COMPLETED, "completed", ["relinked", "relinked"], "good", "Completed"),
        (
            State.COMPLETED,
            "completed",
            ["relinked", "still_linked"],
            "wait",
            "Completed, but see Users",
        ),
        (State.COMPLETED, "completed", ["created"], "wait", "Completed, but see Users"),
        (State.JOINED, "completed", [], "wait", "Joined another restart, links not checked"),
        (State.JOINED, "completed", ["relinked"], "good", "Joined another restart"),
        (
            State.JOINED,
            "quarantined",
            ["relinked"],
            "bad",
            "Joined another restart, which did not end well",
        ),
        (State.JOINED, "", [], "bad", "Joined another restart, which did not end well"),
    ],
)
def test_green_is_only_what_ended_as_wanted_links_included(
    state: State, outcome: str, verdicts: list[str], tone: str, words: str
) -> None:
    ended = Reset(
        id="r1", target="salesforce-prod", requested_at=START, state=state, outcome=outcome
    )
    links = [Link(subject=f"u{n}", verdict=each) for n, each in enumerate(verdicts)]

    text = shown(ended, links=tuple(links))

    assert f'<section class="state {tone}"' in text
    assert f'<p class="word">{words}</p>' in text


def test_entries_that_failed_are_counted_on_the_page() -> None:
    after = replace(
        healthy(START),
        last_execution=Execution(state="EntryLevelErrors", escrowed=15),
    )
    ended = Reset(
        id="r1",
        target="salesforce-prod",
        requested_at=START,
        state=State.COMPLETED,
        before=evidence.dump(healthy(START)),
        after=evidence.dump(after),
    )

    text = shown(ended)

    assert "Entries that failed" in text
    assert "<bdi>15</bdi>" in text
