"""The names of span attributes, each in one place.

Our own are `jobspan.*`; what OpenTelemetry's semantic conventions name is called as they do. They are
written out because the packages of conventions move their constants about.
"""

from __future__ import annotations

from typing import Final

RUN_ID: Final = "jobspan.run.id"
RUN_KIND: Final = "jobspan.run.kind"
JOB_ID: Final = "jobspan.job.id"
JOB_TYPE: Final = "jobspan.job.type"
CLIENT_ID: Final = "jobspan.client.id"
OPERATION_NAME: Final = "jobspan.operation.name"
STATUS: Final = "jobspan.status"
COUNT_PREFIX: Final = "jobspan.count."
"""Followed by the counter's name: ``jobspan.count.leads``."""

ERROR_TYPE: Final = "error.type"
EXCEPTION_EVENT: Final = "exception"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"
EXCEPTION_ESCAPED: Final = "exception.escaped"

SCOPE_NAME: Final = "jobspan"
"""The instrumentation scope of our spans."""
