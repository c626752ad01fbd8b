"""The kinds of runs inside a job: client run and operation."""

from __future__ import annotations

from functools import partial
from json.encoder import encode_basestring_ascii as quote
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from jobspan.exceptions import BudgetExceeded, DeadlineExceeded
from jobspan.model.run import client_run_uid
from jobspan.model.status import Left, Status
from jobspan.runs.current import live_run
from jobspan.runs.departed import Departed
from jobspan.runs.detachable import Detachable, of_text
from jobspan.runs.handle import RunHandle
from jobspan.runs.job import JobRun
from jobspan.runs.plain import enter_plain, leave_plain
from jobspan.runs.telling import Attributes, client_run_attributes
from jobspan.spans import names
from jobspan.spans.roster import Remains

if TYPE_CHECKING:
    from jobspan._composition import Runtime
    from jobspan.runs.option import Duration


class ClientRun(Detachable):
    """One client's share of a job. Made by ``client_run(...)``, ``j.client(...)`` and ``j.clients(...)``."""

    kind: ClassVar[str] = "client_run"
    client: Any
    """The client as it came to `clients()` or `map`; else its id."""
    is_done: bool = False
    """Whether this part of it was Completed in an earlier attempt of the job."""
    swallows: bool = False
    """Whether an `Exception` ends at the block: only in the loop of `clients`."""
    lends: bool = False
    """Whether entering the same client again, in here, goes on with this run: in `map`."""
    _attempt: int = 1
    _of: str = ""
    _part: str = ""
    _skipped: bool = False
    _plain: str = ""
    """What its open event says of where and whose it is, if nothing more is asked of it; see `plain`."""
    _is_plain: bool = False
    """Whether it was entered by the short road."""

    def __init__(  # pyright: ignore[reportMissingSuperCall] - what that does, in the same call: it is done often
        self, runtime: Runtime, client_id: str, job: JobRun, parent: RunHandle | None, part: str = ""
    ) -> None:
        self._runtime = runtime
        self.name = self.client = client_id
        self.job = job
        self.parent = parent
        self.budget = None if parent is None else parent.budget
        self._counts = {}
        self._epoch = self._errors = self._depth = 0
        self._left = None
        self._part = part

    def __enter__(self) -> Self:
        return self if self._plain and enter_plain(self) else super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if error is None and self._is_plain and live_run() is self and leave_plain(self):
            return None
        return super().__exit__(kind, error, trace)

    def try_number(self, attempt: int) -> None:
        """Say which try of its part this is."""
        self._attempt = attempt

    @property
    def _span_name(self) -> str:
        return self.job.client_label

    @property
    def client_id(self) -> str:
        """The client's id, as it is recorded."""
        return self.name

    @property
    def run_id(self) -> str:
        """``<job id>-<client id>``, for people; never read apart again."""
        return f"{self.job.run_id}-{self.name}"

    @property
    def job_uid(self) -> str:
        return self.job.uid

    @property
    def client_key(self) -> str:
        return f"{self.job.uid}/{self.name}"

    def skip(self, reason: object = "skipped") -> None:
        """Say that there is nothing to do for this client; records and returns.

        A skipped client run is Completed, and its numbers stay blank.
        """
        self._skipped = True
        super().skip(reason)

    def done_within(self, within: Duration, *, min_items: int = 1) -> bool:
        """Whether another job of this type and ``key=`` has Completed this client of late.

        ``if run.done_within("24h"): run.skip("done today")``. Reads the ledger, for at most 2 s; where
        it cannot be read: False, and a note.

        Args:
            within: How long ago it may have ended.
            min_items: With at least so many posts, leads and items together: one that found nothing
                is not done. Skipped ones never are.

        Raises:
            UsageError: An option is wrong.
        """
        from jobspan.runs.done import done_within

        return done_within(self, within, min_items)

    def swallows_error(self, error: BaseException) -> bool:
        """Whether `error` ends at this block: an `Exception` in the loop of `clients`.

        The deadline or budget of a run around this one does not: it stops the loop.
        """
        if not self.swallows or not isinstance(error, Exception):
            return False
        return not self.is_from_around(error)

    def is_from_around(self, error: BaseException) -> bool:
        """Whether `error` is about the deadline or budget of a run around this one."""
        if not isinstance(error, DeadlineExceeded | BudgetExceeded):
            return False
        return self.job.is_within(error.run_uid) or (
            error.run_uid != self.uid and self.is_within(error.run_uid)
        )

    def attach_to(self, of: str, part: str, delivery: str = "") -> None:
        """Have this run open one more part of a client run that was opened elsewhere."""
        self._of = of_text(of, part, delivery)

    def be_part(self, name: str) -> None:
        """Have this run be a try of the part called `name`."""
        self._part = name

    def try_again(self, first: str, attempts: int) -> None:
        """Have this run be one more attempt of a part that an earlier attempt of the job has entered.

        Args:
            first: The part of the first attempt.
            attempts: How many there were.
        """
        self._attempt += attempts
        self._of += f',"retry":"{first}"' + ("" if self._part else f',"attempt":{self._attempt}')

    @property
    def part(self) -> str:
        """The name of its part; empty: it has none."""
        return self._part

    @property
    def part_text(self) -> str:
        """What its open event says of its part."""
        return f',"part":{quote(self._part)},"attempt":{self._attempt}' if self._part else ""

    def asked_by(self) -> tuple[str, ...]:
        """Return the inside names by which this run is asked to cancel."""
        return (self.job.job_uid, client_run_uid(self.job.job_uid, self.name))

    def goes_on_as(self, client_id: str, job: JobRun | None) -> bool:
        """Whether entering `client_id` of `job` in here means this very run: in `map`."""
        is_ours = self.lends and self._left in (None, Left.TIMED_OUT)  # `map` left its thread behind
        return is_ours and self.job is job and self.name == client_id

    def _opening(self, now_ns: int) -> str:
        name, job = quote(self.name), self.job
        text = f'"kind":"c","job":"{job._attached_to or job.uid}","name":{name},"client":{name}'
        return text + self.part_text + self._of

    def _tell_parent(self) -> None:
        left, job = self._left, self.job
        if left is Left.OK and not self._errors and not self._part and not self._is_detached:  # as most do
            if job.told_last is not Status.COMPLETED and not self._skipped:
                job.count_client(Status.COMPLETED)
        elif self._part:
            if not self._skipped or left is not Left.OK:
                job.count_part((self.name, self._part), self._status)
        elif not self._skipped or left is not Left.OK:
            job.count_client(self._status)

    def _remains(self) -> Remains:
        uid, job_uid = self.uid, self.job.uid
        return (Departed, self._runtime, self.kind, uid, uid, job_uid, self.trace_id, self.budget)

    def attribute_source(self) -> Attributes:
        return partial(client_run_attributes, self.job, self.name)

    def _log_names(self) -> dict[str, str]:
        return {"run_id": self.run_id, "client_id": self.name, "job_type": self.job.name}


def _operation_attributes(around: Attributes, name: str) -> dict[str, Any]:
    return {**around(), names.RUN_KIND: "operation", names.OPERATION_NAME: name}


class Operation(RunHandle):
    """A named step in a client run or job. Made by ``operation(...)`` and ``run.operation(...)``."""

    kind: ClassVar[str] = "operation"

    def __init__(self, runtime: Runtime, name: str, parent: RunHandle, owner: JobRun | ClientRun) -> None:
        super().__init__(runtime, name, parent)
        self.owner = owner
        """The job or client run it belongs to."""

    @property
    def _span_name(self) -> str:
        return f"operation {self.name}"

    @property
    def run_id(self) -> str:
        """The id of the job or client run it belongs to."""
        return self.owner.run_id

    @property
    def job_uid(self) -> str:
        return self.owner.job_uid

    @property
    def top_uid(self) -> str:
        return self.owner.uid

    @property
    def client_key(self) -> str:
        return self.owner.client_key

    def _opening(self, now_ns: int) -> str:
        owner = self.owner
        job = owner if isinstance(owner, JobRun) else owner.job
        text = f'"kind":"o","job":"{job.job_uid}","name":{quote(self.name)},"top":"{owner.uid}"'
        return text if owner is job else f'{text},"client":{quote(owner.name)}'

    def attribute_source(self) -> Attributes:
        return partial(_operation_attributes, self.owner.attribute_source(), self.name)

    def _log_names(self) -> dict[str, str]:
        return {"operation": self.name}


__all__ = ["ClientRun", "JobRun", "Operation"]
