"""The names that are deployed: the version, queues and tables. Infrastructure creates no others."""

from typing import Final

VERSION: Final = "0.1.0"
"""The version of pyproject.toml, which is not deployed."""

RESETS_QUEUE: Final = "provisioning-resets"
FOLLOW_UPS_QUEUE: Final = "reset-follow-ups"
NOTIFICATIONS_QUEUE: Final = "reset-notifications"
QUEUES: Final[tuple[str, ...]] = (RESETS_QUEUE, FOLLOW_UPS_QUEUE, NOTIFICATIONS_QUEUE)

RESETS_TABLE: Final = "ProvisioningResets"
IDS_TABLE: Final = "ProvisioningResetIds"
TABLES: Final[tuple[str, ...]] = (RESETS_TABLE, IDS_TABLE)

CONNECTION: Final = "ResetStorage"

REMEDIATE: Final = "remediate"
"""The timer: its function, its heartbeat, and the `via` of what it asks for."""
