"""The tree of errors jobspan raises.

::

    Exception
    └── JobspanError                    everything of ours
        ├── UsageError (TypeError, ValueError)   wrong programming use: unknown keyword, bad option
        ├── SettingsError (ValueError)  a setting that cannot be used
        ├── LedgerError (OSError)       a ledger that cannot be read or written
        └── DeadlineExceeded (TimeoutError)      a ``timeout=`` of ours has passed
    BaseException
    └── RunCanceled                     raised by ``checkpoint()`` of a canceled run

Tracking that cannot do its work never raises into the business code: these are raised
where a person wrote something wrong, or asked for them (``timeout=``, ``cancel()``).
"""

from __future__ import annotations


class JobspanError(Exception):
    """Any error of jobspan's own."""


class UsageError(JobspanError, TypeError, ValueError):
    """Wrong programming use, told at decoration or entry: an unknown keyword, a bad option."""


class SettingsError(JobspanError, ValueError):
    """A setting that cannot be used; the text names it and says what to write instead."""


class LedgerError(JobspanError, OSError):
    """The ledger cannot be read or written; the text says which file and what to do."""


class DeadlineExceeded(JobspanError, TimeoutError):
    """A deadline the user gave with ``timeout=`` has passed.

    Attributes:
        run_uid: The inside name of the run whose deadline it was.
    """

    def __init__(self, text: str = "", run_uid: str = "") -> None:
        super().__init__(text)
        self.run_uid = run_uid


class RunCanceled(BaseException):
    """The run was canceled: raised by ``checkpoint()`` so that no ``except Exception`` eats it."""
