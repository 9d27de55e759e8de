"""Build HTML documents: escaping, tables, style, and the security headers of every page."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from msgspec import Struct

from shared.web.messages import HTML, HttpResponse

STYLE: Final = """
:root { color-scheme: light dark;
  --ground: #f4f5f7; --card: #ffffff; --text: #1b1f24; --quiet: #57606a; --line: #d5dae0;
  --run: #0b57d0; --good: #1a7f37; --bad: #b3261e; --wait: #8a5a00; }
@media (prefers-color-scheme: dark) { :root {
  --ground: #0f1318; --card: #181d24; --text: #e6e9ed; --quiet: #9aa4af; --line: #333b45;
  --run: #8ab4f8; --good: #4cc38a; --bad: #ff8a80; --wait: #f0b94d; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2rem 1rem 3rem; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
main, header, footer { max-width: 60rem; margin: 0 auto; }
header { margin-bottom: 1rem; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; }
header span { color: var(--quiet); }
nav { display: flex; gap: 1.25rem; }
h1 { margin: 0 0 1rem; font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 0 0 .75rem; font-size: 1.05rem; }
p + .wide { margin-top: .75rem; }
section { margin: 0 0 1.25rem; padding: 1.25rem 1.5rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .6rem; }
a { color: var(--run); }
code { font: .875em/1.4 ui-monospace, Consolas, "DejaVu Sans Mono", monospace;
  overflow-wrap: anywhere; }
.quiet, footer { color: var(--quiet); }
.state { border-left: .4rem solid var(--tone); }
.state p { margin: .25rem 0 0; overflow-wrap: anywhere; }
.state .word { margin: 0; font-size: 1.3rem; font-weight: 650; color: var(--tone); }
.run { --tone: var(--run); } .good { --tone: var(--good); } .bad { --tone: var(--bad); }
.wait { --tone: var(--wait); }
progress { width: 100%; height: .9rem; margin-top: .9rem; accent-color: var(--run); }
dl { display: grid; grid-template-columns: minmax(9rem, max-content) 1fr; gap: .4rem 1.5rem;
  margin: 0; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; white-space: pre-line; }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; }
caption { margin-bottom: .5rem; text-align: left; font-size: 1.05rem; font-weight: 700; }
th, td { padding: .45rem .9rem .45rem 0; text-align: left; vertical-align: top;
  border-top: 1px solid var(--line); overflow-wrap: anywhere; }
thead th { border-top: 0; color: var(--quiet); font-weight: 500; overflow-wrap: normal; }
tbody th { font-weight: 500; }
ul { margin: .5rem 0 0; padding: 0 0 0 1.25rem; } ul li { overflow-wrap: anywhere; }
ol { margin: 0; padding: 0; list-style: none; }
ol li { position: relative; padding: 0 0 1rem 1.5rem; border-left: 2px solid var(--line);
  margin-left: .4rem; overflow-wrap: anywhere; }
ol li:last-child { padding-bottom: 0; border-left-color: transparent; }
ol li::before { content: ""; position: absolute; left: -.46rem; top: .42rem; width: .78rem;
  height: .78rem; border-radius: 50%; background: var(--tone); }
ol li strong { color: var(--tone); margin-right: .6rem; }
ol li p { margin: .1rem 0 0; }
footer { font-size: .875rem; }
.said { border-left: .4rem solid var(--bad); } .said p { margin: 0; }
.barred { color: var(--quiet); margin: 0 0 .75rem; }
h3 { margin: 1rem 0 .4rem; font-size: 1rem; }
label { display: block; margin: 0 0 .3rem; }
input, select, textarea, button { font: inherit; color: inherit; }
input[type=text], select, textarea { width: 100%; padding: .5rem .6rem; background: var(--ground);
  border: 1px solid var(--quiet); border-radius: .3rem; }
form p { margin: .25rem 0 0; color: var(--quiet); }
.field, .choice { margin: 0 0 1rem; } form > .choice:first-of-type { margin-top: 1rem; }
.choice:last-child { margin-bottom: 0; }
input[type=checkbox] { width: 1.2rem; height: 1.2rem; margin: 0 .5rem 0 0;
  vertical-align: -.2rem; accent-color: var(--run); }
.inline { display: inline; }
button { padding: .55rem 1.2rem; min-height: 2.75rem; border-radius: .4rem; cursor: pointer;
  border: 1px solid var(--run); background: var(--run); color: var(--card); font-weight: 600; }
button.plain { background: var(--card); color: var(--run); }
button.grave { background: var(--card); color: var(--bad); border-color: var(--bad); }
a:focus-visible, button:focus-visible, input:focus-visible, select:focus-visible,
textarea:focus-visible, .wide:focus-visible { outline: 3px solid var(--run); outline-offset: 2px; }
h2 ~ .wide caption { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .6rem; }
  table, caption, tbody, tr, tbody th, td { display: block; width: auto; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { padding: .6rem 0; border-top: 1px solid var(--line); }
  tbody tr:first-child { border-top: 0; padding-top: 0; }
  th, td { padding: .1rem 0; border-top: 0; } tbody th { font-weight: 650; }
  td[data-column]::before { content: attr(data-column) ": "; color: var(--quiet); }
  td:empty { display: none; } }
@media print {
  :root { --ground: #fff; --card: #fff; --text: #000; --quiet: #444; --line: #bbb;
    --run: #0b57d0; --good: #1a7f37; --bad: #b3261e; --wait: #8a5a00; }
  body { padding: 0; font-size: 10pt; } section { padding: .6rem 0; border: 0; border-radius: 0; }
  section, li, tr { break-inside: avoid; } .state { padding-left: 1rem; }
  ol li::before, .state, progress { print-color-adjust: exact; } }
"""

_DIGEST: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

# A page may load nothing but this one style, known by its digest; it runs no script, and its
# forms go to this app alone.
HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_DIGEST}'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    # Under no-referrer a browser would send our own forms with the origin `null`.
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


class Markup(Struct, frozen=True):
    """HTML that is safe to put on a page; any plain text is escaped."""

    html: str


Part = str | Markup
_WITHOUT_EMPTY: Final = frozenset({"class_", "aria_describedby"})
EMPTY: Final = Markup("")


def escaped(part: Part) -> str:
    return part.html if isinstance(part, Markup) else escape(part)


def user_text(text: str) -> Markup:
    """Wrap user-supplied text in `<bdi>`, so that right-to-left text cannot reorder the page."""
    return Markup(f"<bdi>{escape(text)}</bdi>")


def element(tag: str, *parts: Part, **attributes: str) -> Markup:
    """*attributes* are escaped; `class_` and `for_` lose their underscore."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for name, value in attributes.items()
        if value or name not in _WITHOUT_EMPTY
    )
    return Markup(f"<{tag}{written}>{''.join(map(escaped, parts))}</{tag}>")


def void(tag: str, **attributes: str) -> Markup:
    """Build an element without content; an attribute without a value is left out."""
    return Markup(element(tag, **attributes).html.removesuffix(f"</{tag}>"))


def joined(parts: Iterable[Part]) -> Markup:
    return Markup("".join(map(escaped, parts)))


def described(pairs: Iterable[tuple[str, Part]]) -> Markup:
    """Build a description list; a pair without a value is left out."""
    shown = [(name, value) for name, value in pairs if escaped(value)]
    return element(
        "dl",
        joined(joined((element("dt", name), element("dd", value))) for name, value in shown),
    )


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[Part]]) -> Markup:
    """
    Build a table; the first cell of each row is its header.

    On a narrow screen each row becomes a card, whose cells name their columns. The roles keep it a
    table for a screen reader there.
    """
    head = [element("th", each, scope="col", role="columnheader") for each in columns]
    body = [
        element(
            "tr",
            element("th", first, scope="row", role="rowheader"),
            *(
                element("td", each, role="cell", data_column=column)
                for column, each in zip(columns[1:], rest, strict=True)
            ),
            role="row",
        )
        for first, *rest in rows
    ]
    grid = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *head, role="row"), role="rowgroup"),
        element("tbody", *body, role="rowgroup"),
        role="table",
    )
    # Focusable, so that the keyboard can scroll it on a narrow screen.
    return element("div", grid, class_="wide", role="region", aria_label=caption, tabindex="0")


OVERVIEW: Final = "/api/overview"
HEALTH: Final = "/api/health"
_PAGES: Final = (("Overview", OVERVIEW), ("Health", HEALTH))


def document(title: str, *parts: Part, head: Part = EMPTY, foot: Part = EMPTY) -> str:
    """
    Build a page; *head* stands beside the way back to the overview.

    It never renews itself: a page that does takes the place away from who is reading it.
    """
    pages = [element("a", words, href=at) for words, at in _PAGES]
    home = element("nav", *pages, aria_label="Pages")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="robots" content="noindex">'
        f"<title>{escape(title)} · Relink</title><style>{STYLE}</style></head>"
        f"<body><header>{home.html}{escaped(head)}</header>"
        f"<main>{joined(parts).html}</main><footer>{escaped(foot)}</footer></body></html>\n"
    )


def html_response(
    body: str, status: int = 200, extra: dict[str, str] | None = None
) -> HttpResponse:
    return HttpResponse(
        status=status, body=body, content_type=HTML, extra={**HEADERS, **(extra or {})}
    )


def notice(
    status: int, title: str, *parts: Part, extra: dict[str, str] | None = None
) -> HttpResponse:
    """Build a page that says why the requested one is not shown."""
    body = document(title, element("h1", title), element("section", *parts))
    return html_response(body, status, extra)
