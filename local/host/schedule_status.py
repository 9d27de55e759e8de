"""Stores when a monitored timer last ran, in the blob that the genuine timer uses."""

import contextlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient

CONTAINER: Final = "azure-webjobs-hosts"
UNSET: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleStatus:
    next: datetime
    last: datetime = UNSET
    last_updated: datetime = UNSET

    def to_json(self) -> dict[str, str]:
        return {
            "Last": _iso(self.last),
            "Next": _iso(self.next),
            "LastUpdated": _iso(self.last_updated),
        }

    @classmethod
    def from_json(cls, content: dict[str, str]) -> "ScheduleStatus":
        return cls(
            last=_moment(content["Last"]),
            next=_moment(content["Next"]),
            last_updated=_moment(content["LastUpdated"]),
        )


class StatusStore(Protocol):
    async def read(self, timer: str) -> ScheduleStatus | None:
        """None where nothing, or nothing readable, is stored."""

    async def write(self, timer: str, status: ScheduleStatus) -> None: ...


class MemoryStatusStore:
    """Forgets with the process: for a host without host storage."""

    def __init__(self) -> None:
        self._kept: dict[str, ScheduleStatus] = {}

    async def read(self, timer: str) -> ScheduleStatus | None:
        return self._kept.get(timer)

    async def write(self, timer: str, status: ScheduleStatus) -> None:
        self._kept[timer] = status


class BlobStatusStore:
    def __init__(self, service: BlobServiceClient, *, host_id: str) -> None:
        self._service = service
        self._host_id = host_id

    async def aclose(self) -> None:
        await self._service.close()

    async def read(self, timer: str) -> ScheduleStatus | None:
        blob = self._service.get_blob_client(CONTAINER, self._path(timer))
        try:
            content = await (await blob.download_blob()).readall()
            return ScheduleStatus.from_json(json.loads(content))
        except (ResourceNotFoundError, ValueError, KeyError, TypeError):
            return None

    async def write(self, timer: str, status: ScheduleStatus) -> None:
        content = json.dumps(status.to_json())
        blob = self._service.get_blob_client(CONTAINER, self._path(timer))
        try:
            await blob.upload_blob(content, overwrite=True)
        except ResourceNotFoundError:
            with contextlib.suppress(ResourceExistsError):  # another timer was faster
                await self._service.create_container(CONTAINER)
            await blob.upload_blob(content, overwrite=True)

    def _path(self, timer: str) -> str:
        return f"timers/{self._host_id}/{timer}/status"


def _iso(moment: datetime) -> str:
    text = moment.astimezone(UTC).isoformat()
    head, point, fraction = text.removesuffix("+00:00").partition(".")
    return f"{head}{point}{fraction.rstrip('0')}+00:00" if point else text


def _moment(text: str) -> datetime:
    # Seven decimals are .NET's; Python drops the seventh.
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
