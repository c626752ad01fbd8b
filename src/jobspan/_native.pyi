from collections.abc import Callable
from mmap import mmap

class Area:
    """The mapped start of a file, written from its beginning."""

    def __init__(self, mapped: mmap) -> None: ...
    @property
    def used(self) -> int:
        """Bytes written."""
    def write(self, record: bytes) -> None:
        """Copy a record behind all others; ValueError, having done nothing, if it does not fit."""
    def release(self) -> None:
        """Let go of the mapping, which could not be closed before; nothing more is written."""

class Pen:
    """Writes the events of one writer; see `jobspan.journal.pen.Pen`."""

    @property
    def pid(self) -> int:
        """The process it writes in."""
    @property
    def uid(self) -> str:
        """The writer id of its events."""
    def write(self, at_ns: int, body: str, /) -> None:
        """Write one event."""

class Line:
    """Where the events of this process go.

    Args:
        told: The page whose first int is the id of this process (see `jobspan.journal.process`).
        late: Takes each payload that is not plain.
    """

    check_at: float
    """From this second of `time.monotonic` on `late` is asked, whatever comes."""
    def __init__(self, told: memoryview, late: Callable[[str], None]) -> None: ...
    def aim(self, area: Area | None, pid: int, /) -> None:
        """Write there from now on, as process `pid`; None: nowhere."""
    def hold(self, keep: Callable[[str], None] | None, pid: int, until: float, room: int, /) -> None:
        """Give `keep` up to `room` bytes while there is no area, until a second of `time.monotonic`."""
    def append(self, payload: str, /) -> None:
        """Write one event."""
    def pen(self, pid: int, writer: str, part: str, /) -> Pen:
        """Return what writes the events of one writer to a part that another one has opened."""
    def new_pen(self, pid: int, prefix: str, number: int, /) -> Pen:
        """Return what writes the events of a new part, whose uid is the prefix and the number in hex."""

class Clock:
    """A clock of the system, moved by an offset."""

    offset_ns: int
    def __init__(self, clock_id: int, offset_ns: int) -> None: ...
    def now_ns(self) -> int:
        """Return the offset plus the clock, in nanoseconds."""
