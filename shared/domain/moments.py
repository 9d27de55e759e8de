"""Write moments the one way in which people and rows read them."""

from datetime import UTC, datetime


def utc_minute(at: datetime) -> str:
    """A moment in a message, to the minute."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def budget_day(at: datetime) -> str:
    """The row of the budget in which a restart at this moment counts."""
    return f"{at.astimezone(UTC):%Y-%m-%d}"
