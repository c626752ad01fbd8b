"""Making the right run for an entry: of the job around it, of an implicit one, or none at all."""

from __future__ import annotations

from typing import Any

from jobspan import _clock
from jobspan._guard import guard
from jobspan._runtime import Runtime, runtime
from jobspan.exceptions import UsageError
from jobspan.model.client_id import clean_client_id
from jobspan.model.text import clip, one_line
from jobspan.runs.current import live_run
from jobspan.runs.handle import RunHandle
from jobspan.runs.inert import InertClientRun, InertJobRun, InertOperation, Reentry
from jobspan.runs.kinds import ClientRun, JobRun, Operation


def inert_job(name: str = "") -> InertJobRun:
    """Return a job that records nothing."""
    return InertJobRun(runtime(), name, None)


def inert_client_run(client: object = "", job: JobRun | None = None) -> InertClientRun:
    """Return a client run that records nothing."""
    run = InertClientRun(runtime(), "", job or inert_job(), None)
    run.client = client
    return run


def new_job(job_type: str, timeout_seconds: float | None) -> JobRun:
    """Return a fresh job. Inside another job it is a job of its own, that only knows its parent."""
    owner = runtime()
    if not owner.enabled:
        return inert_job(job_type)
    run = JobRun(owner, job_type, live_run())
    set_deadline(run, timeout_seconds)
    return run


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
        if isinstance(run, JobRun | ClientRun):
            return run
        run = run.parent
    return None


def new_operation(name: str, timeout_seconds: float | None, parent: RunHandle | None) -> Operation:
    """Return a fresh operation in `parent` or the current run; one outside of all records nothing."""
    around = live_run()
    if parent is None or (around is not None and around.is_within(parent.uid)):
        parent = around
    owner = owner_of(parent)
    if parent is None or owner is None or not parent.uid:
        return InertOperation(runtime(), name, inert_job(), inert_job())
    run = Operation(parent.owner_runtime, name, parent, owner)
    set_deadline(run, timeout_seconds)
    return run


def new_client_run(
    client: object,
    job: JobRun | None,
    *,
    timeout_seconds: float | None = None,
    part: str = "",
    attempt: int = 1,
    implicit: str | None = "client_run",
    where: str = "client_run",
) -> ClientRun | Reentry:
    """Return a fresh client run for a client id that came from data; it never raises for it.

    Args:
        client: The client id, whatever it is.
        job: The job; None: the one around, else an implicit one.
        timeout_seconds: Its deadline.
        part: The name of the part, if attempts are to be told.
        attempt: Which try it is.
        implicit: Job type of an implicit job; None: outside of a job nothing is recorded.
        where: Named where the client id is unusable.
    """
    around = live_run()
    home = job or job_of(around)
    owner: Runtime = home.owner_runtime if home is not None else runtime()
    if not owner.enabled or (home is None and implicit is None) or isinstance(home, InertJobRun):
        return inert_client_run(client, home)
    try:
        clean = clean_client_id(client)
    except UsageError as error:
        return _without_id(client, home, where, error)
    lender = owner_of(around)
    if isinstance(lender, ClientRun) and lender.lends and lender.job is home and lender.name == clean.text:
        return Reentry(lender)
    owns_job = home is None
    if home is None:
        assert implicit is not None
        home = JobRun(owner, implicit, around)
    parent = around if around is not None and around.is_within(home.uid) and home.uid else home
    run = ClientRun(owner, clean.text, home, parent, part=part, attempt=attempt, owns_job=owns_job)
    run.client_note = clean.note
    set_deadline(run, timeout_seconds)
    return run


def _without_id(client: object, job: JobRun | None, where: str, error: UsageError) -> InertClientRun:
    """Let the work go on unrecorded; say so in health() and in the notes of the job."""
    text = f"a client run of {where} was not recorded: {error}"
    guard.note("client_id", text)
    if job is not None:
        job.note(one_line(clip(text, 500)))
    return inert_client_run(client, job)


def set_deadline(run: RunHandle, timeout_seconds: float | None) -> None:
    """Give a run a deadline, counted from now."""
    if timeout_seconds is not None:
        run.deadline = _clock.monotonic() + timeout_seconds


def client_id_of(client: Any, key: Any) -> object:
    """Return the client id of a client, by a function, key or attribute name; itself without a `key`."""
    if key is None:
        return client
    if callable(key):
        return key(client)
    try:
        return client[key]
    except (TypeError, KeyError, IndexError):
        return getattr(client, key)
