"""Log records that say which run they belong to: ``logger = jobspan.get_logger(__name__)``."""

from __future__ import annotations

import logging

from jobspan._guard import guarded
from jobspan.runs.current import live_run

_NOTHING = {"run_id": "", "client_id": "", "job_type": "", "operation": ""}


class RunFilter(logging.Filter):
    """Puts run_id, client_id, job_type and operation of the current run on every record; drops none.

    On a logger it sees that logger's own records, on a handler all that pass through it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields that the record does not have yet."""
        run = live_run()
        fields = _NOTHING
        with guarded("log.filter"):
            fields = _NOTHING if run is None else run.log_fields()
        for name, value in fields.items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


_filter = RunFilter()


def get_logger(name: str | None = None) -> logging.Logger:
    """Return the logger of this name, with a `RunFilter` on it."""
    logger = logging.getLogger(name)
    logger.addFilter(_filter)
    return logger
