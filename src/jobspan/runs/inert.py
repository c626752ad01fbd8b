"""Runs that record nothing: outside of every block, in mode disabled, or without a usable client id.

They have all the methods of the real ones, so that business code never has to ask.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from jobspan.runs import current
from jobspan.runs.current import Activation, Inside
from jobspan.runs.handle import RunHandle
from jobspan.runs.kinds import ClientRun, JobRun, Operation
from jobspan.runs.option import Duration


class _Inert(RunHandle):
    """Overrides whatever would record."""

    def add(self, /, **counters: int) -> None:
        """Record nothing."""

    def note(self, text: object) -> None:
        """Record nothing."""

    def error(self, error: BaseException | str, *, item: object = None) -> None:
        """Record nothing."""

    def item(self, key: object, **counters: int) -> None:
        """Record nothing."""

    def skip(self, reason: object = "skipped") -> None:
        """Record nothing."""

    def set(self, /, **fields: object) -> None:
        """Record nothing."""

    def record_usage(self, response: object = None, /, **numbers: object) -> None:
        """Record nothing."""

    def record_cost(self, source: str, usd: object, *, id: object = None) -> None:
        """Record nothing."""

    def start(self) -> None:
        """Record nothing."""

    def finish(self, error: BaseException | None = None) -> None:
        """Record nothing."""

    def activate(self) -> Activation | None:
        """Leave the context as it is: what is around this run stays current."""
        return None

    def deactivate(self, token: Activation | None) -> None:
        """Leave the context as it is."""

    def __enter__(self) -> Self:
        return self

    @property
    def token(self) -> str:
        """Empty: there is nothing to attach to."""
        return ""

    def cancel(self, reason: object = "canceled") -> None:
        """Cancel nothing."""


class InertJobRun(_Inert, JobRun):
    """A job that is not recorded."""

    def detach(self, *, external_id: object = None, deadline: Duration | None = None) -> None:
        """Record nothing."""

    def expect(self, count: int, *, deadline: Duration | None = None) -> None:
        """Record nothing."""

    def seal(self) -> None:
        """Record nothing."""

    @property
    def exit_code(self) -> int:
        """0: there is nothing to tell."""
        return 0


class InertClientRun(_Inert, ClientRun):
    """A client run that is not recorded."""

    def detach(self, *, external_id: object = None, deadline: Duration | None = None) -> None:
        """Record nothing."""

    @property
    def run_id(self) -> str:
        """Empty: there is none."""
        return ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if error is None or not self.swallows_error(error):
            return False
        self.job.error(error)  # the job is the innermost run there is
        return True


class InertOperation(_Inert, Operation):
    """An operation that is not recorded."""


class Reentry:
    """A second entering of the very client run that `map` has opened for this call: the same run goes on."""

    __slots__ = ("_inside", "_run")

    _activation: Activation | None = None
    """Nothing of it is put into the context: the run is there already."""

    def __init__(self, run: ClientRun) -> None:
        self._run = run
        self._inside: Inside | None = None

    def start(self) -> None:
        """Do nothing: the run is open."""

    def activate(self) -> Activation:
        """Make the run current again."""
        inside, self._inside = self._inside, None
        return current.activate(self._run, inside)

    def deactivate(self, token: Activation) -> None:
        """Undo `activate`."""
        self._inside = current.suspend(self._run, token)

    def finish(self, error: BaseException | None = None) -> None:
        """Do nothing: `map` closes the run."""

    def __enter__(self) -> ClientRun:
        return self._run

    def __exit__(self, *left: Any) -> None:
        pass

    async def __aenter__(self) -> ClientRun:
        return self._run

    async def __aexit__(self, *left: Any) -> None:
        pass
