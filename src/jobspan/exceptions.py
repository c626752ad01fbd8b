"""The tree of errors jobspan raises.

::

    Exception
    └── JobspanError                    everything of ours
        ├── UsageError (TypeError, ValueError)   wrong programming use: unknown keyword, bad option
        ├── SettingsError (ValueError)  a setting that cannot be used
        ├── LedgerError (OSError)       a ledger that cannot be read or written
        ├── DeliveryError               a request to a destination that failed (inside only)
        ├── DeadlineExceeded (TimeoutError)      a ``timeout=`` of ours has passed
        ├── BudgetExceeded              a ``max_tokens=``, ``max_cost_usd=`` or ``max_errors=`` is exceeded
        └── AlreadyRunning (RuntimeError)        ``overlap=``: another job of this type and key runs
    BaseException
    └── RunCanceled                     raised by ``checkpoint()`` of a canceled run

Tracking that cannot do its work never raises into the business code: these are raised
where a person wrote something wrong, or asked for them (``timeout=``, budgets, ``overlap=``, ``cancel()``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobspan.model.record import JobRecord


class JobspanError(Exception):
    """Any error of jobspan's own."""


class UsageError(JobspanError, TypeError, ValueError):
    """Wrong programming use, told at decoration or entry: an unknown keyword, a bad option."""


class SettingsError(JobspanError, ValueError):
    """A setting that cannot be used; the text names it and says what to write instead."""


class LedgerError(JobspanError, OSError):
    """The ledger cannot be read or written; the text says which file and what to do."""


class DeliveryError(JobspanError):
    """A request to a destination failed. It holds no URL, no token and no value of a row.

    Attributes:
        method: The HTTP method.
        status: The HTTP status; None where there was no answer.
        type: The destination's own name of the error, else of what happened to the connection.
        outcome: What is known of a write: "refused" (not done), "not_sent", or "unknown".
        retry_after: Seconds the destination asked for, if it did.
    """

    def __init__(
        self,
        method: str,
        status: int | None,
        type: str,
        message: str,
        *,
        outcome: str = "refused",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{method}: {' '.join(str(x) for x in (status, type) if x)}: {message}"[:600])
        self.method = method
        self.status = status
        self.type = type
        self.message = message
        self.outcome = outcome
        self.retry_after = retry_after


class DeadlineExceeded(JobspanError, TimeoutError):
    """A deadline the user gave with ``timeout=`` has passed.

    Attributes:
        run_uid: The inside name of the run whose deadline it was.
    """

    def __init__(self, text: str = "", run_uid: str = "") -> None:
        super().__init__(text)
        self.run_uid = run_uid


class BudgetExceeded(JobspanError):
    """A run has spent more than its ``max_tokens=``, ``max_cost_usd=`` or ``max_errors=``.

    Attributes:
        run_uid: The inside name of the run whose budget it was.
    """

    def __init__(self, text: str = "", run_uid: str = "") -> None:
        super().__init__(text)
        self.run_uid = run_uid


class AlreadyRunning(JobspanError, RuntimeError):
    """Another job of the same type and ``key=`` is Running, and ``overlap=`` wants one at a time.

    Attributes:
        run: The record of that other job, as it was; None where it cannot be told.
    """

    def __init__(self, text: str = "", run: JobRecord | None = None) -> None:
        super().__init__(text, run)
        self.run = run

    def __str__(self) -> str:
        return str(self.args[0])


class RunCanceled(BaseException):
    """The run was canceled: raised by ``checkpoint()`` so that no ``except Exception`` eats it."""
