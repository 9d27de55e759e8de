"""
The tenant and the applications behind it, in motion.

Pure: time is passed in, nothing is read or written elsewhere. `advance_to` does what would have
happened meanwhile, user by user, in the order of time over all jobs, so that one long step and
many short ones end alike.
"""

from collections.abc import Iterator
from copy import deepcopy
from datetime import datetime, timedelta

from local.emulator.jobs import changed, execution_of, make_healthy, status_of
from local.emulator.matching import Accounts, Unprovisionable
from local.emulator.scopes import ResetScope
from local.emulator.values import (
    Cycle,
    Event,
    Job,
    Lag,
    ServicePrincipal,
    State,
    Status,
    User,
)

_EVENTS_KEPT = 50_000


class Directory:
    def __init__(self, state: State, *, now: datetime) -> None:
        self.state = state
        self.now = now
        for _, job in self._jobs():
            if job.status is None:
                make_healthy(job, now)

    def service_principal(self, object_id: str) -> ServicePrincipal | None:
        wanted = object_id.lower()
        return next((sp for sp in self.state.service_principals if sp.id.lower() == wanted), None)

    def user(self, key: str) -> User | None:
        """Find by object id or user principal name, in any case of letters as Graph does."""
        wanted = key.lower()
        for user in self.state.users:
            if wanted in (user.id.lower(), user.user_principal_name.lower()):
                return user
        return None

    def advance_to(self, now: datetime) -> None:
        users: dict[str, User] = {}
        accounts: dict[str, Accounts] = {}
        while due := min(self._due(), key=lambda due: due[0], default=None):
            at, sp, job = due
            if at > now:
                break
            if not users:
                # Only now: most calls find nothing due, and a tenant may be large.
                users = {user.id: user for user in self.state.users}
                accounts = {sp.id: Accounts(sp) for sp in self.state.service_principals}
            self.now = max(at, self.now)
            self._step(sp, job, users, accounts[sp.id])
        self.now = max(now, self.now)

    def restart(self, sp: ServicePrincipal, job: Job, flags: ResetScope) -> None:
        self._happened("JobRestarted", sp, job, flags=str(int(flags)))
        old = status_of(job)
        if job.status_lag:
            until = self.now + timedelta(seconds=job.status_lag)
            job.lag = Lag(until=until, status=deepcopy(old))
        if ResetScope.CONNECTOR_DATA_STORE in flags:
            job.links.clear()
            old.entries = None
        if ResetScope.ESCROWS in flags:
            job.escrows.clear()
        if ResetScope.WATERMARK in flags:
            job.watermark = None
            job.status = Status(code=old.code, quarantine=old.quarantine, entries=old.entries)
        lifts = ResetScope.QUARANTINE_STATE in flags or flags == ResetScope.NONE
        self._set_going(job, lifts_quarantine=lifts, enables=job.restart_enables)
        if job.cycle is not None and job.old_cycle_ends_after_restart:
            job.cycle.superseded = True
        else:
            job.cycle = None
            job.next_cycle_at = self.now

    def start(self, sp: ServicePrincipal, job: Job) -> None:
        self._happened("JobStarted", sp, job)
        self._set_going(job, lifts_quarantine=True, enables=True)
        if job.cycle is None:
            job.next_cycle_at = self.now

    def pause(self, sp: ServicePrincipal, job: Job) -> None:
        """The cycle that runs goes on to its end (a known issue of the service)."""
        self._happened("JobPaused", sp, job)
        job.schedule_state = "Paused"
        if status_of(job).code != "NotConfigured":
            status_of(job).code = "Paused"

    def _set_going(self, job: Job, *, lifts_quarantine: bool, enables: bool) -> None:
        status = status_of(job)
        if enables:
            job.schedule_state = "Active"
        if lifts_quarantine:
            status.quarantine = None
        held = status.code == "Quarantine" and not lifts_quarantine
        if not held and status.code != "NotConfigured" and job.schedule_state == "Active":
            status.code = "NotRun" if status.steady_state_last_achieved is None else "Active"

    def _jobs(self) -> Iterator[tuple[ServicePrincipal, Job]]:
        return ((sp, job) for sp in self.state.service_principals for job in sp.jobs)

    def _due(self) -> Iterator[tuple[datetime, ServicePrincipal, Job]]:
        for sp, job in self._jobs():
            if job.cycle is not None:
                yield job.cycle.began + job.each * (job.cycle.done + 1), sp, job
            elif job.schedule_state == "Active" and status_of(job).code in ("NotRun", "Active"):
                yield job.next_cycle_at or self.now, sp, job

    def _step(
        self,
        sp: ServicePrincipal,
        job: Job,
        users: dict[str, User],
        accounts: Accounts,
    ) -> None:
        if job.cycle is None:
            self._begin(sp, job, users)
            return
        cycle = job.cycle
        if cycle.done < len(cycle.users):
            user = users.get(cycle.users[cycle.done])
            cycle.done += 1
            if user is not None:
                self._evaluate(sp, job, cycle, user, accounts)
        if cycle.done >= len(cycle.users):
            self._end(sp, job, cycle)

    def _begin(self, sp: ServicePrincipal, job: Job, users: dict[str, User]) -> None:
        initial = job.watermark is None
        if job.scope is None:
            scope = list(users.values())
        else:
            scope = [users[id_] for id_ in job.scope if id_ in users]
        job.cycle = Cycle(
            began=self.now,
            users=[user.id for user in scope if user.id in job.escrows or changed(user, job)],
            initial=initial,
        )
        self._happened("CycleBegan", sp, job, kind="initial" if initial else "incremental")

    def _evaluate(
        self,
        sp: ServicePrincipal,
        job: Job,
        cycle: Cycle,
        user: User,
        accounts: Accounts,
    ) -> None:
        try:
            entry = accounts.provision(user, job)
        except Unprovisionable as error:
            cycle.escrowed += 1
            job.escrows[user.id] = error.code
            target = job.links.get(user.id, "")
            self._happened("EntryEvaluated", sp, job, user=user.id, target=target, error=error.code)
            return
        job.escrows.pop(user.id, None)
        job.links[user.id] = entry.target
        cycle.exported += entry.found == "created"
        detail = {"user": user.id, "target": entry.target, "found": entry.found}
        self._happened("EntryEvaluated", sp, job, **detail)

    def _end(self, sp: ServicePrincipal, job: Job, cycle: Cycle) -> None:
        status = status_of(job)
        execution = execution_of(cycle, ended=self.now)
        status.last_execution = execution
        if execution.state == "Succeeded":
            status.last_successful_execution = execution
            if execution.exported:
                status.last_successful_execution_with_exports = execution
        status.steady_state_first_achieved = status.steady_state_first_achieved or self.now
        status.steady_state_last_achieved = self.now
        status.entries = len(job.links)
        if status.code == "NotRun":
            status.code = "Active"
        job.cycle = None
        if cycle.superseded:
            job.next_cycle_at = self.now
        else:
            job.watermark = cycle.began
            job.next_cycle_at = max(self.now, cycle.began + job.every)
            if job.pause_after_cycle and cycle.initial:
                job.schedule_state, status.code, status.escrows_pruned = "Paused", "Paused", True
                job.escrows.clear()
        self._happened("CycleEnded", sp, job, state=execution.state)

    def _happened(self, name: str, sp: ServicePrincipal, job: Job, **detail: str) -> None:
        event = Event(self.now, name, sp.id, job.id, detail)  # type: ignore[arg-type]
        self.state.events.append(event)
        del self.state.events[:-_EVENTS_KEPT]
