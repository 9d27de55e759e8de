"""In-memory store and queues that keep the ports' promises (shared contract tests prove it)."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from shared import rows
from shared.errors import Conflict, StorageUnavailable
from shared.models import Answer, AuditEvent, Budget, Claim, DueRow, JobRow, Reset, Stored

Key = tuple[str, str]


@dataclass
class Cell:
    value: Any
    etag: str


@dataclass
class MemoryStore:
    """The `Store` over a dict; transactions are all or nothing under ETags."""

    cells: dict[Key, Cell] = field(default_factory=dict)
    ids: dict[str, Claim] = field(default_factory=dict)
    writes: int = 0
    beats: dict[str, datetime] = field(default_factory=dict)
    transactions: list[list[str]] = field(default_factory=list)
    down: bool = False

    async def remember_target(self, alias: str, *, at: datetime) -> None:
        self._check_up()
        self.cells.setdefault(("targets", alias), Cell(at, self._etag()))

    async def claim(self, claim: Claim) -> Claim:
        self._check_up()
        return self.ids.setdefault(claim.id, claim)

    async def find(self, reset_id: str) -> Claim | None:
        self._check_up()
        return self.ids.get(reset_id)

    async def read_job(self, target: str) -> Stored[JobRow]:
        self._check_up()
        cell = self.cells.get((target, "job"))
        if cell is None:
            return Stored(row=JobRow(target=target))
        return Stored(row=cell.value, etag=cell.etag)

    async def read_reset(self, claim: Claim) -> Stored[Reset] | None:
        self._check_up()
        cell = self.cells.get((claim.target, rows.reset_key(claim.requested_at, claim.id)))
        return Stored(row=cell.value, etag=cell.etag) if cell is not None else None

    async def insert(
        self, reset: Reset, event: AuditEvent, answers: Sequence[Answer]
    ) -> Stored[Reset]:
        self._check_up()
        key = (reset.target, rows.reset_key(reset.requested_at, reset.id))
        if key in self.cells:
            return Stored(row=self.cells[key].value, etag=self.cells[key].etag)
        written = self._signed(reset)
        self._put(key, written)
        self._put((reset.target, rows.due_key(reset.id)), _due(written))
        self._put((reset.target, rows.event_key(reset.id, event.sequence)), event)
        for answer in answers:
            self._put((reset.target, rows.answer_key(answer.id, answer.n)), answer)
        self.transactions.append(["insert", reset.id])
        return Stored(row=written, etag=self.cells[key].etag)

    async def commit(
        self,
        before: Stored[Reset],
        after: Reset,
        *,
        job: tuple[Stored[JobRow], JobRow] | None = None,
        event: AuditEvent | None = None,
        answers: Sequence[Answer] = (),
    ) -> Stored[Reset]:
        self._check_up()
        key = (after.target, rows.reset_key(after.requested_at, after.id))
        due = (after.target, rows.due_key(after.id))
        event_key = (after.target, rows.event_key(after.id, event.sequence)) if event else None
        self._expect(key, before.etag)
        if job is not None:
            self._expect((after.target, "job"), job[0].etag)
        if event_key in self.cells or (after.due_at is None and due not in self.cells):
            raise Conflict(after.id)
        written = self._signed(after)
        self._put(key, written)
        if after.due_at is None:
            del self.cells[due]
        else:
            self._put(due, _due(written))
        if event_key is not None:
            self._put(event_key, event)
        for answer in answers:
            self._put((after.target, rows.answer_key(answer.id, answer.n)), answer)
        if job is not None:
            self._put((after.target, "job"), job[1])
        self.transactions.append(["commit", after.id, *(["J"] if job else [])])
        return Stored(row=written, etag=self.cells[key].etag)

    async def events(self, reset: Reset) -> list[AuditEvent]:
        first, last = f"event:{reset.id}:", f"event:{reset.id};"
        return [
            cell.value
            for (partition, key), cell in sorted(self.cells.items())
            if partition == reset.target and first <= key < last
        ]

    async def budget(self, day: str, reset_id: str) -> Budget:
        self._check_up()
        spent = self._spent(day)
        return Budget(spent=len(spent), mine=reset_id in spent)

    async def reserve(self, day: str, reset_id: str, *, limit: int) -> bool:
        self._check_up()
        spent = self._spent(day)
        if reset_id in spent:
            return True
        if len(spent) >= limit:
            return False
        self._put(("budget", day), (*spent, reset_id))
        return True

    async def keep_unreadable(
        self, key: str, body: bytes, *, reason: str, queue: str, at: datetime
    ) -> str:
        self._check_up()
        digest = hashlib.sha256(body).hexdigest()
        for row_key in (key, f"{key}-{digest[:16]}"):
            cell = self.cells.get(("unreadable", row_key))
            if cell is None:
                kept = {"Body": body, "Reason": reason, "Queue": queue, "At": at}
                self._put(("unreadable", row_key), kept)
                return row_key
            if cell.value["Body"] == body:
                return row_key
        raise StorageUnavailable(f"two messages share the key {key}")

    async def targets(self) -> list[str]:
        self._check_up()
        return sorted(key for partition, key in self.cells if partition == "targets")

    async def due(self, target: str) -> AsyncIterator[DueRow]:
        self._check_up()
        found = sorted(
            (key, cell)
            for (partition, key), cell in self.cells.items()
            if partition == target and key.startswith("due:")
        )
        for _, cell in found:
            value = cell.value
            if isinstance(value, Answer):
                yield DueRow(
                    target=target, id=value.id, n=value.n, due_at=value.due_at, etag=cell.etag
                )
            else:
                yield replace(value, etag=cell.etag)

    async def mark_sent(self, row: DueRow, *, at: datetime) -> None:
        self._check_up()
        cell = self.cells.get((row.target, rows.due_key(row.id)))
        if cell is not None and cell.etag == row.etag:
            cell.value, cell.etag = replace(cell.value, sent=at), self._etag()

    async def beat(self, timer: str, *, at: datetime) -> None:
        self._check_up()
        self.beats[timer] = at

    async def last_beat(self, timer: str) -> datetime | None:
        self._check_up()
        return self.beats.get(timer)

    def _spent(self, day: str) -> tuple[str, ...]:
        cell = self.cells.get(("budget", day))
        return cell.value if cell is not None else ()

    def _signed(self, x: Reset) -> Reset:
        self.writes += 1
        return replace(x, write_id=f"w{self.writes}")

    def _etag(self) -> str:
        self.writes += 1
        return f"e{self.writes}"

    def _put(self, key: Key, value: Any) -> None:
        self.cells[key] = Cell(value, self._etag())

    def _expect(self, key: Key, etag: str) -> None:
        cell = self.cells.get(key)
        if (cell.etag if cell is not None else "") != etag:
            raise Conflict(f"{key} has changed")

    def _check_up(self) -> None:
        if self.down:
            raise StorageUnavailable("switched off by the test")


def _due(x: Reset) -> DueRow:
    if x.due_at is None:
        raise AssertionError("an open reset has a due time")
    return DueRow(target=x.target, id=x.id, due_at=x.due_at, behind=x.behind)


@dataclass
class MemoryQueues:
    """The `Queues` as two lists."""

    follow_ups: list[str] = field(default_factory=list)
    notifications: list[tuple[str, str, int]] = field(default_factory=list)
    down: bool = False

    async def follow_up(self, reset_id: str) -> None:
        if self.down:
            raise StorageUnavailable("switched off by the test")
        self.follow_ups.append(reset_id)

    async def notification(self, target: str, reset_id: str, n: int) -> None:
        if self.down:
            raise StorageUnavailable("switched off by the test")
        self.notifications.append((target, reset_id, n))
