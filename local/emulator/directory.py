"""
Moves the tenant and the applications behind it through time.

Pure: time is passed in, nothing is read or written elsewhere. `advance_to` does what would have
happened meanwhile, user by user, in the order of time over all jobs, so that one long step and
many short ones end alike.
"""

from collections.abc import Iterator
from copy import deepcopy
from datetime import datetime, timedelta

from local.emulator.jobs import changed, configured_alike, execution_of, make_healthy, status_of
from local.emulator.matching import Accounts, evaluate, remembered
from local.emulator.quarantine import (
    CREDENTIALS,
    TOO_MANY_DELETES,
    give_up,
    impose,
    next_step,
    too_many_failures,
)
from local.emulator.scopes import ResetScope
from local.emulator.values import (
    Cycle,
    Event,
    Execution,
    Initiator,
    Job,
    Lag,
    PlannedRestart,
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
        for sp, job in self._jobs():
            if job.status is None:
                make_healthy(job, now)
                if job.history:
                    state.events += remembered(state, sp, job, at=now - timedelta(days=1))
        state.events.sort(key=lambda event: event.at)

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

    def restart(
        self,
        sp: ServicePrincipal,
        job: Job,
        flags: ResetScope,
        *,
        by: Initiator | None = None,
        after: float = 0,
    ) -> None:
        """Restart at once, or *after* so many seconds; the caller does it unless *by* says who."""
        who = by or self.state.caller
        if not (delay := after or job.effect_delay):
            self._restart(sp, job, flags, who)
            return
        at = self.now + timedelta(seconds=delay)
        job.restarts.append(PlannedRestart(at=at, flags=int(flags), by=who))
        job.restarts.sort(key=lambda planned: planned.at)

    def provision_on_demand(self, sp: ServicePrincipal, job: Job, user: User) -> Event:
        """Evaluate one user now: by the stored link, else by the attributes."""
        self._happened("EntryEvaluated", sp, job, **evaluate(user, job, Accounts(sp)))
        return self.state.events[-1]

    def delete_job(self, sp: ServicePrincipal, job: Job) -> None:
        """Delete the job and all its state; the accounts stay as they are."""
        sp.jobs.remove(job)

    def make_job_again(self, sp: ServicePrincipal, job: Job, *, new_id: str) -> Job:
        """Put a job of the same configuration, which has not run, in the place of *job*."""
        fresh = configured_alike(job, new_id)
        sp.jobs[sp.jobs.index(job)] = fresh
        fresh.next_cycle_at = self.now
        return fresh

    def _restart(self, sp: ServicePrincipal, job: Job, flags: ResetScope, who: Initiator) -> None:
        self._happened("JobRestarted", sp, job, who, flags=str(int(flags)))
        old = status_of(job)
        if job.status_lag:
            until = self.now + timedelta(seconds=job.status_lag)
            job.lag = Lag(until=until, status=deepcopy(old))
        self._settle_held_deletes(sp, job, flags)
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

    def _settle_held_deletes(self, sp: ServicePrincipal, job: Job, flags: ResetScope) -> None:
        """Forced they are carried out; with the store goes what told that they were due."""
        cleared = ResetScope.CONNECTOR_DATA_STORE in flags
        let_go = cleared and job.cleared_store_and_held_deletes == "carriedOut"
        if ResetScope.FORCE_DELETES in flags or let_go:
            for user in job.held_deletes:
                self._disable(sp, job, user)
        elif not cleared:
            return
        job.held_deletes.clear()

    def _disable(self, sp: ServicePrincipal, job: Job, user: str) -> None:
        anchor = job.links.pop(user, "")
        for account in sp.target_accounts:
            if account.id == anchor:
                account.active = False
        self._happened("EntryDisabled", sp, job, user=user, target=anchor)

    def start(self, sp: ServicePrincipal, job: Job) -> None:
        self._happened("JobStarted", sp, job, self.state.caller)
        self._set_going(job, lifts_quarantine=True, enables=True)
        if job.cycle is None:
            job.next_cycle_at = self.now

    def pause(self, sp: ServicePrincipal, job: Job) -> None:
        """The cycle that runs goes on to its end (a known issue of the service)."""
        self._happened("JobPaused", sp, job, self.state.caller)
        job.schedule_state = "Paused"
        if status_of(job).code != "NotConfigured":
            status_of(job).code = "Paused"

    def _set_going(self, job: Job, *, lifts_quarantine: bool, enables: bool) -> None:
        status = status_of(job)
        if enables:
            job.schedule_state = "Active"
        if lifts_quarantine:
            status.quarantine = None
            if status.code == "Quarantine":
                status.code = "Paused"
        held = status.code == "Quarantine" and not lifts_quarantine
        if not held and status.code != "NotConfigured" and job.schedule_state == "Active":
            status.code = "NotRun" if status.steady_state_last_achieved is None else "Active"

    def _jobs(self) -> Iterator[tuple[ServicePrincipal, Job]]:
        return ((sp, job) for sp in self.state.service_principals for job in sp.jobs)

    def _due(self) -> Iterator[tuple[datetime, ServicePrincipal, Job]]:
        for sp, job in self._jobs():
            if job.restarts:
                yield job.restarts[0].at, sp, job
            if job.cycle is not None:
                yield job.cycle.began + job.each * (job.cycle.done + 1), sp, job
            elif job.schedule_state == "Active" and status_of(job).code in ("NotRun", "Active"):
                yield job.next_cycle_at or self.now, sp, job
            elif (
                job.schedule_state == "Active"
                and status_of(job).code == "Quarantine"
                and (at := next_step(job)) is not None
            ):
                yield at, sp, job

    def _step(
        self,
        sp: ServicePrincipal,
        job: Job,
        users: dict[str, User],
        accounts: Accounts,
    ) -> None:
        if job.restarts and job.restarts[0].at <= self.now:
            planned = job.restarts.pop(0)
            self._restart(sp, job, ResetScope(planned.flags), planned.by)
            return
        if job.cycle is None:
            if status_of(job).code == "Quarantine" and give_up(job, now=self.now):
                self._happened("JobDisabled", sp, job)
            elif job.sign_in_fails is not None:
                self._fail_as_a_whole(sp, job)
            else:
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

    def _fail_as_a_whole(self, sp: ServicePrincipal, job: Job) -> None:
        """No connection to the application: nobody is evaluated, however many would fail."""
        status = status_of(job)
        status.complete_failures += 1
        error = job.sign_in_fails
        status.last_execution = Execution(
            began=self.now, ended=self.now, state="Failed", error=error
        )
        impose(job, CREDENTIALS, now=self.now, error=error)
        self._happened("JobQuarantined", sp, job, reason=CREDENTIALS)

    def _evaluate(
        self,
        sp: ServicePrincipal,
        job: Job,
        cycle: Cycle,
        user: User,
        accounts: Accounts,
    ) -> None:
        detail = evaluate(user, job, accounts)
        cycle.escrowed += "error" in detail
        cycle.exported += detail.get("found") == "created"
        self._happened("EntryEvaluated", sp, job, cycle=cycle.began.isoformat(), **detail)

    def _end(self, sp: ServicePrincipal, job: Job, cycle: Cycle) -> None:
        status = status_of(job)
        execution = execution_of(cycle, ended=self.now)
        status.last_execution = execution
        status.complete_failures = 0
        if execution.state == "Succeeded":
            status.last_successful_execution = execution
            if execution.exported:
                status.last_successful_execution_with_exports = execution
        if job.steady_state == "reached":
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
            self._judge(sp, job, cycle)
        self._happened("CycleEnded", sp, job, state=execution.state)

    def _judge(self, sp: ServicePrincipal, job: Job, cycle: Cycle) -> None:
        """Into quarantine, out of it, or paused with the failures pruned."""
        status, failing = status_of(job), too_many_failures(job)
        prunes = job.quarantine_rules.initial_cycle == "prunes" and status.quarantine is None
        if cycle.initial and (job.pause_after_cycle or (failing is not None and prunes)):
            job.schedule_state, status.code, status.escrows_pruned = "Paused", "Paused", True
            job.escrows.clear()
            return
        for user in job.held_deletes:
            detail = {"user": user, "target": job.links.get(user, "")}
            self._happened("EntryHeld", sp, job, cycle=cycle.began.isoformat(), **detail)
        reason = TOO_MANY_DELETES if job.held_deletes else failing
        if job.schedule_state != "Active":
            return
        if reason is not None:
            impose(job, reason, now=self.now)
            self._happened("JobQuarantined", sp, job, reason=reason)
        elif status.quarantine is not None:
            status.code, status.quarantine = "Active", None
            self._happened("QuarantineLifted", sp, job)

    def _happened(
        self,
        name: str,
        sp: ServicePrincipal,
        job: Job,
        by: Initiator | None = None,
        /,
        **detail: str,
    ) -> None:
        event = Event(self.now, name, sp.id, job.id, detail, by)  # type: ignore[arg-type]
        self.state.events.append(event)
        del self.state.events[:-_EVENTS_KEPT]
