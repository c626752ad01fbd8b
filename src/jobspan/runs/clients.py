"""The loop over clients: ``for run in j.clients(xs): with run: …``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from jobspan.exceptions import UsageError
from jobspan.runs.inert import InertClientRun
from jobspan.runs.kinds import ClientRun, JobRun
from jobspan.runs.limits import Limits
from jobspan.runs.opening import client_id_of, new_client_run, plain_client_run
from jobspan.runs.option import Duration, seconds_of, whole_number

if TYPE_CHECKING:
    from jobspan.runs.done import DoneOfLate

T = TypeVar("T")
Key = str | Callable[[T], Any] | None


def check_key(key: object) -> None:
    """Refuse what is no key.

    Raises:
        UsageError: It is neither a name nor a function.
    """
    if key is not None and not isinstance(key, str) and not callable(key):
        raise UsageError(f"key={key!r}: give the name of a key or attribute, or a function of the client")


def each_client(
    job: JobRun,
    clients: Iterable[T],
    key: Key[T],
    on_error: str,
    timeout: Duration | None,
    limits: Limits | None,
    recent: DoneOfLate | None,
) -> Iterator[ClientRun]:
    """Check the options now, and return the loop."""
    check_key(key)
    if on_error not in ("continue", "raise"):
        raise UsageError(f'on_error={on_error!r}: write "continue" or "raise"')
    seconds = None if timeout is None else seconds_of(timeout, "timeout")
    return _loop(job, iter(clients), key, on_error == "continue", seconds, limits, recent)


def _loop(
    job: JobRun,
    clients: Iterator[T],
    key: Key[T],
    swallows: bool,
    seconds: float | None,
    limits: Limits | None,
    recent: DoneOfLate | None,
) -> Iterator[ClientRun]:
    try:
        for run in _to_be_entered(job, clients, key, seconds, limits, recent):
            run.swallows = swallows
            yield run
            run.leave_context()
            if run.was_never_entered and not isinstance(run, InertClientRun):
                job.unentered += 1
    finally:
        if recent is not None:
            recent.tell()


def _to_be_entered(
    job: JobRun,
    clients: Iterator[T],
    key: Key[T],
    seconds: float | None,
    limits: Limits | None,
    recent: DoneOfLate | None,
) -> Iterator[ClientRun]:
    for number, client in enumerate(clients, 1):
        job.checkpoint()
        where = f"client {number} of the loop"
        run = client_run_for(job, client, key, seconds, where=where, limits=limits)
        if run.is_done and job.resumption is not None:
            job.resumption.leave_out(run)
        elif recent is None or not recent.leaves_out(run):
            yield run


def recent_work(job: JobRun, done_within: Duration | None, min_items: int) -> DoneOfLate | None:
    """Check what a loop is to leave out as done; None where nothing was asked for.

    Raises:
        UsageError: An option is wrong.
    """
    if done_within is None:
        whole_number(min_items, "min_items", 0)
        return None
    from jobspan.runs.done import DoneOfLate

    return DoneOfLate(job, done_within, min_items)


def client_run_for(
    job: JobRun,
    client: Any,
    key: Any,
    seconds: float | None,
    *,
    where: str,
    part: str = "",
    attempt: int = 1,
    limits: Limits | None = None,
) -> ClientRun:
    """Return a client run for one client of a loop; one whose id cannot be told is not recorded."""
    try:
        client_id = client_id_of(client, key)
    except Exception as error:  # noqa: BLE001 - the key is the user's, its failure is data
        client_id = error
    if seconds is None and limits is None:
        plain = plain_client_run(client_id, job, part, attempt)
        if plain is not None:
            plain.client = client
            return plain
    run = new_client_run(
        client_id,
        job,
        timeout_seconds=seconds,
        part=part,
        attempt=attempt,
        where=where,
        reenters=False,
        limits=limits,
    )
    assert isinstance(run, ClientRun)
    run.client = client
    return run
