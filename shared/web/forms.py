"""
Offer a person the decisions that a reset allows, each with what it does and what follows. Pure.

Plain forms without script. They are answered for by `same_origin` and by the use case; what is
offered here is for the eye alone.
"""

from typing import Final
from urllib.parse import parse_qs

from msgspec import Struct

from shared.domain.deciders import LIFTED_BY_A_PERSON, why_not
from shared.domain.errors import InvalidRequest, NotAllowed
from shared.domain.people import Person
from shared.domain.requests import LONGEST_REASON
from shared.domain.reset import BEFORE_SENDING, Reset, State, tag
from shared.web.html import EMPTY, Markup, Part, element, joined, user_text, void
from shared.web.messages import HttpRequest, origin

FORM: Final = "application/x-www-form-urlencoded"
LONGEST_FORM: Final = 64 * 1024


class Choice(Struct, frozen=True, kw_only=True):
    """One button: what it is called, what it does, and what follows."""

    decision: str
    label: str
    what: str
    grave: bool = False


_APPROVE: Final = Choice(
    decision="approve",
    label="Approve",
    what="The restart is sent within seconds if no other rule objects; its cycle is then watched "
    "to the end. The approval covers the job as it is shown here and lapses after some hours.",
)
_LET_GO: Final = Choice(
    decision="approve",
    label="Let it go now",
    what="Ends this wait alone; every other rule still counts, and another approval may be asked "
    "for.",
)
_REJECT: Final = Choice(
    decision="reject",
    label="Reject",
    what="Nothing is sent, and the request ends. The ticket is told, with your reason.",
)
_CANCEL: Final = Choice(
    decision="cancel",
    label="Cancel",
    what="Withdraws the request: nothing is sent. It can be asked for again.",
)
_CONFIRM: Final = Choice(
    decision="confirm",
    label="It happened",
    what="Choose this where the audit log of Microsoft Entra shows “Enable/restart provisioning "
    "configuration” for this application within two minutes of the time the restart was sent, "
    "made by this app's own identity. The cycle is then watched to its end.",
)
_RESEND: Final = Choice(
    decision="resend",
    label="It did not: send again",
    what="Choose this where the audit log, looked at more than two hours after the restart was "
    "sent, shows no such entry. The policy is asked once more, then the restart is sent again.",
    grave=True,
)
_GIVE_UP: Final = Choice(
    decision="cancel",
    label="Give up",
    what="Choose this where neither can be told. The request ends as failed, with its fate "
    "unknown; nothing more is sent.",
)


def choices(reset: Reset) -> tuple[Choice, ...]:
    """Return what can be decided in the reset's present state."""
    if reset.state is State.UNKNOWN and reset.operator_asked:
        return (_CONFIRM, _RESEND, _GIVE_UP)
    if reset.state is State.AWAITING_APPROVAL:
        return (_APPROVE, _REJECT, _CANCEL)
    if reset.state not in BEFORE_SENDING:
        return ()
    liftable = reset.state is State.WAITING and reset.waiting_for in LIFTED_BY_A_PERSON
    return (_LET_GO, _CANCEL) if liftable and not reset.behind else (_CANCEL,)


def decision_form(reset: Reset, person: Person, *, action: str, reason: str = "") -> Markup:
    """Return the form; where this person may not decide, the reason for that in its place."""
    offered = [(each, why_not(reset, each.decision, person)) for each in choices(reset)]
    if not offered:
        return EMPTY
    may = [choice for choice, why in offered if not why]
    barred = dict.fromkeys(why for _, why in offered if why)
    parts: list[Part] = [element("h2", "Decide")]
    parts += [
        element("p", "You cannot decide this: ", user_text(why), ".", class_="barred")
        for why in barred
    ]
    if may:
        parts.append(_form(reset, may, action=action, reason=reason))
    return element("section", *parts, class_="decide", id="decide")


def _form(reset: Reset, may: list[Choice], *, action: str, reason: str) -> Markup:
    buttons = [
        element(
            "div",
            element(
                "button",
                each.label,
                type="submit",
                name="decision",
                value=each.decision,
                class_=_look(each),
                aria_describedby=f"about-{n}",
            ),
            element("p", each.what, id=f"about-{n}"),
            class_="choice",
        )
        for n, each in enumerate(may)
    ]
    return element(
        "form",
        void("input", type="hidden", name="seen", value=tag(reset)),
        element(
            "label", "Why (stands in the history and goes into the ticket)", for_="decision-reason"
        ),
        element(
            "textarea",
            reason,
            id="decision-reason",
            name="reason",
            rows="2",
            maxlength=str(LONGEST_REASON),
        ),
        joined(buttons),
        method="post",
        action=action,
        accept_charset="utf-8",
    )


def _look(choice: Choice) -> str:
    """Of the buttons one stands out, and what cannot be taken back is red."""
    if choice.grave or choice.decision == "reject":
        return "grave"
    return "plain" if choice.decision == "cancel" else ""


def read_form(request: HttpRequest, *, own_origins: tuple[str, ...]) -> dict[str, str]:
    """
    Return the fields of a form that came from our own pages.

    Raise NotAllowed where another site sent it: a browser says so in two headers, which no page
    can change. Raise InvalidRequest where it is not a form, or a field is given twice.
    """
    site = request.headers.get("sec-fetch-site", "")
    if site != "same-origin" or request.headers.get("origin", "") not in own_origins:
        raise NotAllowed("the form was not sent from a page of this app; open the page and decide")
    if request.media_type != FORM or len(request.body) > LONGEST_FORM:
        raise InvalidRequest(f"content-type: send a form ({FORM}) of at most {LONGEST_FORM} bytes")
    try:
        found = parse_qs(
            request.body.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=200,
            encoding="utf-8",
            errors="strict",
        )
    except ValueError as error:
        raise InvalidRequest("form: cannot be read; send it again from the page") from error
    for name, values in found.items():
        if len(values) > 1:
            raise InvalidRequest(f"{name[:64]}: given more than once")
    # Browsers end lines with CR LF in forms; a reason is kept with LF alone.
    return {name: values[0].replace("\r\n", "\n") for name, values in found.items()}


def own_origins(request: HttpRequest, public_url: str) -> tuple[str, ...]:
    """The origins of our own pages: as this request came, and as the setting has it."""
    return tuple(each for each in (origin(request.url), origin(public_url)) if each)
