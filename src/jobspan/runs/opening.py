"""Making the right run for an entry: of the job around it, of an implicit one, or none at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from jobspan import _clock
from jobspan._composition import Runtime
from jobspan._guard import guard, guarded
from jobspan._runtime import runtime
from jobspan.exceptions import UsageError
from jobspan.runs.current import live_run
from jobspan.runs.handle import RunHandle
from jobspan.runs.inert import InertClientRun, InertJobRun, InertOperation, Reentry
from jobspan.runs.job_plan import JobPlan
from jobspan.runs.kinds import ClientRun, JobRun, Operation
from jobspan.runs.naming import client_of, name_text, plain_client
from jobspan.spans.roster import Home, roster

if TYPE_CHECKING:
    from jobspan.runs.limits import Limits

_JOB, _CLIENT_RUN, _OPERATION = guarded("job.open"), guarded("client_run.open"), guarded("operation.open")
_NONE = cast("Runtime", None)
"""The runtime of a run that records nothing: it never uses one."""
_fresh = ClientRun.__new__


def _bucket() -> Home | None:
    from jobspan.runs.unattributed import bucket  # which opens its job by this module

    return bucket.home()


roster.bucket = _bucket


def inert_job(name: str = "") -> InertJobRun:
    """Return a job that records nothing."""
    return InertJobRun(_NONE, name, None)


def inert_client_run(client: object = "", job: JobRun | None = None) -> InertClientRun:
    """Return a client run that records nothing."""
    run = InertClientRun(_NONE, "", job or inert_job(), None)
    run.client = client
    return run


def inert_operation(name: str) -> InertOperation:
    """Return an operation that records nothing."""
    return InertOperation(_NONE, name, inert_job(), inert_job())


def new_job(
    job_type: str, timeout_seconds: float | None, plan: JobPlan | None = None, limits: Limits | None = None
) -> JobRun:
    """Return a fresh job. Inside another job it is a job of its own, that only knows its parent."""
    with _JOB:
        owner = runtime()
        if owner.enabled:
            if plan is not None or "JOBSPAN_RESUME" in os.environ:
                from jobspan.runs.planned import PlannedJob  # few jobs have a plan

                name = name_text(owner, job_type)
                planned = PlannedJob(owner, name, live_run(), plan or JobPlan(), timeout_seconds)
                limit_spend(planned, limits)
                return planned
            run = JobRun(owner, name_text(owner, job_type), live_run())
            set_deadline(run, timeout_seconds)
            limit_spend(run, limits)
            return run
    return inert_job(job_type)


def job_of(run: RunHandle | None) -> JobRun | None:
    """Return the job a run belongs to."""
    while run is not None:
        if isinstance(run, JobRun):
            return run
        if isinstance(run, ClientRun):
            return run.job
        run = run.parent
    return None


def owner_of(run: RunHandle | None) -> JobRun | ClientRun | None:
    """Return the innermost job or client run around."""
    while run is not None:
        if isinstance(run, (JobRun, ClientRun)):
            return run
        run = run.parent
    return None


def new_operation(name: str, timeout_seconds: float | None, parent: RunHandle | None) -> Operation:
    """Return a fresh operation in `parent` or the current run; one outside of all records nothing."""
    with _OPERATION:
        around = live_run()
        if parent is None or (around is not None and around.is_within(parent.uid)):
            parent = around
        owner = owner_of(parent)
        if parent is not None and owner is not None and parent.uid:
            if owner.way_left is not None and isinstance(owner, ClientRun) and owner.lends:
                return cast("Operation", Reentry(owner))  # its thread was left behind by `map`
            runtime = parent.owner_runtime
            run = Operation(runtime, name_text(runtime, name), parent, owner)
            set_deadline(run, timeout_seconds)
            return run
    return inert_operation(name)


def plain_client_run(
    client: object, job: JobRun | None, part: str = "", attempt: int = 1
) -> ClientRun | None:
    """Return a fresh client run in the run around; None where there is more to it (see `plain`)."""
    around = live_run()
    home, lead = (around, around.lead) if type(around) is JobRun else _lead_in(around)
    if not lead or type(client) is not str or (job is not None and job is not home):
        return None
    runtime = home._runtime
    told = plain_client(runtime, client)
    if told is None:
        return None
    run: ClientRun = _fresh(ClientRun)
    run._runtime = runtime
    run.name = run.client = told[0]
    run._plain = lead + told[1]
    run.job = home
    run.parent = around
    run._left = run._pen = None
    run._counts = {}
    run._epoch = run._errors = run._depth = 0
    run._part = part
    if part:
        run._attempt = attempt
        run._plain += run.part_text
    return run


def _lead_in(around: RunHandle | None) -> tuple[Any, str]:
    """Return the job of a client run in a client run or operation, and what its open event says of both."""
    owner = owner_of(around)
    home = owner.job if isinstance(owner, ClientRun) and not owner.lends else owner
    if around is None or not around.uid or around.budget is not None:
        return None, ""
    if type(home) is not JobRun or not home.lead:
        return None, ""
    return home, f',"parent":"{around.uid}","kind":"c","job":"{home.uid}",'


def new_client_run(
    client: object,
    job: JobRun | None,
    where: str = "client_run",
    *,
    timeout_seconds: float | None = None,
    part: str = "",
    attempt: int = 1,
    implicit: str | None = "",
    reenters: bool = True,
    limits: Limits | None = None,
) -> ClientRun | Reentry:
    """Return a fresh client run for a client id that came from data; it never raises for it.

    Args:
        client: The client id, whatever it is.
        job: The job; None: the one around, else an implicit one.
        where: What opens it: named where the client id is unusable, and the type of an implicit job.
        timeout_seconds: Its deadline.
        part: The name of the part, if attempts are to be told.
        attempt: Which try it is.
        implicit: Job type of an implicit job instead; None: outside of a job nothing is recorded.
        reenters: Whether the client that `map` works on here goes on with the run it has.
        limits: What it may spend.
    """
    with _CLIENT_RUN:
        around = live_run()
        home = job or (around if type(around) is JobRun else job_of(around))
        owner = _owner(home, implicit)
        if owner is None:
            return inert_client_run(client, home)
        try:
            clean = client_of(owner, client)
        except UsageError as error:
            return _without_id(client, home, where, error)
        if around is home and home is not None:
            run = ClientRun(owner, clean.text, home, home, part)
        else:
            lender = owner_of(around) if reenters else None
            if isinstance(lender, ClientRun) and lender.goes_on_as(clean.text, home):
                return Reentry(lender)
            run = _client_run(owner, clean.text, home, around, implicit or where, part)
        if clean.note is not None:
            run.first_note = clean.note
        if attempt != 1:
            run.try_number(attempt)
        if home is not None and (home.resumption is not None or home.delivered is not None):
            _place(run, home)
        if timeout_seconds is not None:
            set_deadline(run, timeout_seconds)
        if limits is not None:
            limit_spend(run, limits)
        return run
    return inert_client_run(client, job)


def _place(run: ClientRun, job: JobRun) -> None:
    """Say which part of what came before in its job a fresh client run is."""
    if job.resumption is not None:
        job.resumption.assign(run)
        run.asked_since_ns = job.asked_since_ns
    if job.delivered is not None:
        job.delivered.assign(run)


def _owner(home: JobRun | None, implicit: str | None) -> Runtime | None:
    """Return the runtime a client run is opened with; None: it is not recorded."""
    if home is not None:
        return home._runtime if home.uid else None
    if implicit is None:
        return None
    owner = runtime()
    return owner if owner.enabled else None


def _client_run(
    owner: Runtime,
    client_id: str,
    home: JobRun | None,
    around: RunHandle | None,
    implicit: str,
    part: str,
) -> ClientRun:
    if home is None:
        home = JobRun(owner, name_text(owner, implicit), around)
        run = ClientRun(owner, client_id, home, home, part)
        run.implicit = home
        return run
    parent = around if around is not None and around.is_within(home.uid) else home
    return ClientRun(owner, client_id, home, parent, part)


def _without_id(client: object, job: JobRun | None, where: str, error: UsageError) -> InertClientRun:
    """Let the work go on unrecorded; say so in health() and in the notes of the job."""
    text = f"a client run of {where} was not recorded: {error}"
    guard.note("client_id", text)
    if job is not None:
        job.note(text)
    return inert_client_run(client, job)


def set_deadline(run: RunHandle, timeout_seconds: float | None) -> None:
    """Give a run a deadline, counted from now."""
    if timeout_seconds is not None:
        run.deadline = _clock.monotonic() + timeout_seconds


def limit_spend(run: RunHandle, limits: Limits | None) -> None:
    """Give a run a budget."""
    if limits is not None:
        from jobspan.runs.budget import set_budget  # with the resolver of calls: only who limits them

        set_budget(run, limits)


def client_id_of(client: Any, key: Any) -> object:
    """Return the client id of a client, by a function, key or attribute name; itself without a `key`."""
    if key is None:
        return client
    if callable(key):
        return key(client)
    try:
        return client[key]
    except Exception:
        if isinstance(client, Mapping):
            raise
        return getattr(client, key)
