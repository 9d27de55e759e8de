"""Say what of the settings works otherwise than its writer may think; no secret is shown."""

from collections.abc import Iterator

from shared.config import Settings
from shared.domain.notifier_kinds import Auth


def advice(settings: Settings) -> Iterator[str]:
    """Yield a sentence each, beginning with the setting."""
    if settings.notifiers is None:
        # Unreadable: that is a problem of its own.
        return
    known = settings.notifiers
    for sender in settings.senders.values():
        for name in sender.notifiers:
            if name not in known:
                yield (
                    f"WEBHOOK_SENDERS: tickets of {sender.name} would be told by a notifier "
                    f"{name}, which NOTIFIERS does not list: they hear nothing; list it there, or "
                    "name another in the sender's `notifiers`"
                )
    for alias, target in (settings.catalogue or {}).items():
        if target.notify and target.notify not in known:
            yield (
                f"RESET_TARGETS: {alias}.notify names {target.notify}, which NOTIFIERS does not "
                "list: nobody hears of this target; list it there"
            )
    for notifier in known.values():
        if notifier.auth is Auth.UNSIGNED:
            yield (
                f"NOTIFIERS: {notifier.name} is sent without a signature, so that its receiver "
                "cannot tell it from anybody's; give it `signing` in NOTIFIER_SECRETS"
            )
