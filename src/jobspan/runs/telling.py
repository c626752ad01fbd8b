"""What a run tells of itself to others than the journal: attributes of its span, metrics, log fields."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from opentelemetry.trace import INVALID_SPAN, Span

from jobspan.model.status import Left, Status, combine
from jobspan.runs.recorder import Recorder
from jobspan.spans import names
from jobspan.spans.span import RunSpan

Attributes = Callable[[], dict[str, Any]]


class Telling(Recorder):
    """The telling half of a run."""

    span: Span = INVALID_SPAN
    _left: Left | None

    @property
    def stays_open(self) -> bool:
        """Whether the record stays open though the block was left."""
        return False

    @property
    def _status(self) -> Status:
        """What this process knows of the status: enough for a span, not for a record."""
        if self._left is None or self.stays_open:
            return Status.RUNNING
        if self._left is Left.OK and not self._errors:
            return Status.COMPLETED
        return combine(self._left, (), errors=self._errors > 0)

    @property
    def trace_id(self) -> int:
        span = self.span
        return span.trace_id if isinstance(span, RunSpan) else 0

    @abstractmethod
    def attribute_source(self) -> Attributes:
        """Return what makes the attributes of the span while the run is open.

        It holds the names it needs, not the run: a run that its own span held would be kept until the
        garbage collector comes, which cost more than all the rest of a block.
        """

    def _last_attributes(self) -> Attributes:
        """Return what makes the attributes its span has at its end beside those of its start.

        What they say is fixed here: `add` goes on counting after the end, a span does not.
        """
        return partial(_ended, self._status, self._counts.copy())

    def log_fields(self) -> dict[str, str]:
        """Return what log records of this run carry: run_id, client_id, job_type, operation."""
        fields = {"run_id": "", "client_id": "", "job_type": "", "operation": ""}
        run: Recorder | None = self
        while isinstance(run, Telling):
            for name, value in run._log_names().items():
                fields[name] = fields[name] or value
            run = None if run.kind == "job" else run._around()
        return fields

    @abstractmethod
    def _log_names(self) -> dict[str, str]:
        """Return this run's own share of `log_fields`."""


def client_run_attributes(job: Any, client: str) -> dict[str, Any]:
    """Return the attributes of the span of a client run of `job`."""
    return {
        names.RUN_ID: f"{job.run_id}-{client}",
        names.RUN_KIND: "client_run",
        names.JOB_ID: job.run_id,
        names.JOB_TYPE: job.name,
        names.CLIENT_ID: client,
    }


def _ended(status: Status, counts: Mapping[str, int]) -> dict[str, Any]:
    return {names.STATUS: status.value, **{names.COUNT_PREFIX + name: counts[name] for name in counts}}
