"""Run ids: the text people see, and `RunKey`, the identity behind it.

A job's id is the second it was opened in, ``YYMMDD-HHMMSS`` in the configured zone. While no second
could be claimed it is provisional, ``YYMMDD-HHMMSS~xxxxxx``. A client run's id is ``<job id>-<client id>``;
it is only ever written, never taken apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import total_ordering

from jobspan.exceptions import UsageError

_SHAPE = re.compile("([0-9]{2})([0-9]{2})([0-9]{2})-([0-9]{2})([0-9]{2})([0-9]{2})(~[0-9a-f]{6})?")
_RANDOM_HEX = re.compile("[0-9a-f]{6}")
_NS = 1_000_000_000
_CENTURY = 2000

_last: tuple[int, tzinfo, str] = (-1, UTC, "")  # replaced as a whole: readers never see half of it


def format_run_id(instant_ns: int, zone: tzinfo) -> str:
    """Return the run id of the second `instant_ns` lies in, ``YYMMDD-HHMMSS`` as read in `zone`.

    Instants of 2000 to 2099 have a text of their own (but for a zone's repeated hour).
    """
    global _last
    second = instant_ns // _NS
    last = _last
    if second == last[0] and zone is last[1]:
        return last[2]
    text = datetime.fromtimestamp(second, zone).strftime("%y%m%d-%H%M%S")
    _last = (second, zone, text)
    return text


def provisional_run_id(instant_ns: int, zone: tzinfo, random_hex: str) -> str:
    """Return an id nobody else has, ``YYMMDD-HHMMSS~xxxxxx``; `random_hex` is its six lower-case digits.

    Raises:
        UsageError: `random_hex` has another shape.
    """
    if _RANDOM_HEX.fullmatch(random_hex) is None:
        raise UsageError(f"random_hex must be six lower-case hex digits, not {random_hex[:40]!r}")
    return f"{format_run_id(instant_ns, zone)}~{random_hex}"


def parse_run_id(text: str, zone: tzinfo, *, fold: int = 0) -> int | None:
    """Return the second since the epoch that the job id `text` names in `zone`.

    In the hour a zone repeats, `fold` 1 means the later of the two. None where `text` is no job id, or
    names a time that `zone` never had (the hour it skips).
    """
    local = _local_time(text)
    if local is None:
        return None
    instant = local.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != local:
        return None
    return int(instant.timestamp())


def is_run_id(text: str) -> bool:
    """Tell whether `text` can be a job's id, claimed or provisional."""
    return _local_time(text) is not None


def is_provisional(text: str) -> bool:
    """Tell whether `text` is a provisional job id, to be replaced before any destination sees it."""
    return "~" in text and is_run_id(text)


def _local_time(text: str) -> datetime | None:
    match = _SHAPE.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    try:
        return datetime(_CENTURY + year, month, day, hour, minute, second)
    except ValueError:
        return None


@total_ordering
@dataclass(frozen=True, slots=True)
class RunKey:
    """The identity of a job (`client` is None) or of one client's run of it.

    Two keys are the same run exactly when both parts are equal. A job sorts before its client runs.
    """

    job: str
    client: str | None = None

    @property
    def run_id(self) -> str:
        """The text people see: the job id, or ``<job id>-<client id>``. It is never parsed back."""
        return self.job if self.client is None else f"{self.job}-{self.client}"

    def __str__(self) -> str:
        return self.run_id

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, RunKey):
            return NotImplemented
        return self._order() < other._order()

    def _order(self) -> tuple[str, bool, str]:
        return self.job, self.client is not None, self.client or ""
