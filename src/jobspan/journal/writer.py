"""Appends events to this process's own journal: durable against any death of it on return.

The road of one event is one copy into the mapped file (or one `os.write`) that nobody else writes,
without a lock; `_append` is that road in Python, and the compiled one (`road`) is taken where it may be.
Everything rare (first use, a fork, a full disk, a new segment) goes through `_append_late`: the event joins
the backlog in memory, and the backlog is written out at once, or once a second while the disk refuses.
"""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

from jobspan import _clock
from jobspan._guard import guard, guarded
from jobspan.journal import mapping, process
from jobspan.journal.frame import encode
from jobspan.journal.place import Place
from jobspan.journal.road import Road
from jobspan.journal.segment import NOWHERE, SUFFIX, Segment, TornError, close_inherited
from jobspan.journal.state import WriterState, is_foreign, tell

_pid, _told = process.pid, process.told
_RETRY_SECONDS = 1.0
_CHECK_SECONDS = 1.0
_DRAIN_SECONDS = 0.005
"""How long one append may spend on writing what others left in the backlog."""
_PATIENT_SECONDS = 0.25
_TRIES = 3
_BATCH_BYTES = 128 * 1024
_SPOILED_EARLY_BYTES = 64 * 1024
"""A segment that fails below this size is not followed by the next one at once."""

_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EINTR, errno.EAGAIN, errno.ENOMEM})
"""Errors after which the same segment can be written again."""


class JournalWriter:
    """Writes the journal of this process below `place`.

    Safe from any thread, from signal handlers and in forked children; never raises because the disk
    fails (an exception of a signal handler that runs meanwhile passes). Opens nothing before the
    first `append`.

    Args:
        place: Where; its folders are made when needed.
        header: Gives the JSON text that becomes the first record of every segment. Called in the
            process that opens the segment; must not append.
        segment_bytes: Size beyond which the next segment is begun. Mapped ones start smaller and grow to it.
        buffer_bytes: How much may wait in memory while the disk refuses.
        maps: Map segments into memory where that is safe; else each event is a system call.
    """

    def __init__(
        self,
        place: Place,
        header: Callable[[], str],
        *,
        segment_bytes: int = 16 * 1024 * 1024,
        buffer_bytes: int = 8 * 1024 * 1024,
        maps: bool = True,
    ) -> None:
        self._place = place
        self._header = header
        self._segment_bytes = segment_bytes
        self._buffer_bytes = buffer_bytes
        self._maps = maps
        self._segment = NOWHERE  # where to write without a second thought; NOWHERE while there is trouble
        self._check_at = 0.0
        self._states: dict[int, WriterState] = {}
        self._road = Road(self._append)
        self.append = self._road.append
        """Write one event; on return it outlives this process, unless `trouble` says otherwise."""
        self.pen, self.new_pen = self._road.pen, self._road.new_pen

    def _append(self, payload: str) -> None:
        if self._segment is NOWHERE:  # trouble may last: a record nobody takes is not made
            self._append_late(payload)
            return
        if "\n" in payload or not payload.isascii():
            record = encode(payload)
        else:  # the same, without a call
            body = payload.encode()
            record = b"\n%08x %b\n" % (crc32(body), body)
        segment = self._segment
        if segment.pid != _told[0]:  # nowhere, or of a parent; as late as can be: a signal handler may fork
            self._append_late(payload)
            return
        try:
            segment.write(record)
        except (OSError, ValueError) as error:
            if is_foreign(error):
                raise
            self._append_late(payload, segment, error)
            return
        if _clock.monotonic() >= self._check_at:
            self._look_after(segment)

    def touch(self) -> None:
        """Give a sign of life (the file's time of last change) and write out what waits in memory."""
        state = self._state()
        with state.lock:
            self._drain(state, _PATIENT_SECONDS)
            segment = self._segment
            if segment is not NOWHERE:
                self._check_at = 0.0
                self._look_after(segment)
                with contextlib.suppress(OSError):
                    self._segment.touch()
        tell(state)

    def sync(self) -> bool:
        """Bring everything appended so far to the disk; True if all of it is there (safe from power loss)."""
        state = self._state()
        with state.lock:
            self._drain(state, _PATIENT_SECONDS)
            state.keeps_unsynced = True
            segments = [*state.unsynced, *([state.segment] if state.segment else [])]
            complete = not state.backlog
        for segment in segments:  # without the lock: a disk may take its time
            try:
                segment.sync()
            except OSError as error:
                guard.note("journal.sync", f"{segment.path}: {error.strerror}")
                complete = False
            else:
                with state.lock, contextlib.suppress(ValueError):
                    state.unsynced.remove(segment)
        tell(state)
        return complete

    def close(self) -> None:
        """Let go of the file, so that readers take this process's journal as finished.

        A later `append` opens a new segment.
        """
        state = self._state()
        with state.lock:
            state.retry_at = 0.0  # a last try
            self._drain(state, _PATIENT_SECONDS)
            self._aim(NOWHERE)
            state.segment = None
            state.unsynced.clear()
        tell(state)

    @property
    def path(self) -> Path | None:
        """The segment now written to; None before the first event and after `close`."""
        segment = self._state().segment
        return segment.path if segment else None

    @property
    def position(self) -> int:
        """Bytes in the segment at `path`."""
        segment = self._state().segment
        return segment.written() if segment else 0

    @property
    def trouble(self) -> str | None:
        """Why events are kept in memory only, None while all is well."""
        return self._state().trouble

    @property
    def dropped(self) -> int:
        """Events of this process lost because the buffer in memory was full."""
        return self._state().backlog.dropped

    @property
    def buffered(self) -> int:
        """Events of this process that are in memory only."""
        return len(self._state().backlog)

    @property
    def lost_files(self) -> int:
        """Segments that were deleted, or closed by other code, while in use."""
        return self._state().lost_files

    def buffered_payloads(self) -> list[str]:
        """Return the events that are in memory only, oldest first, so that a reader here sees them."""
        state = self._state()
        with state.lock:
            return state.backlog.payloads()

    def forget(self, payloads: list[str]) -> None:
        """Let go of `buffered_payloads` that somebody has stored."""
        state = self._state()
        with state.lock:
            state.backlog.forget(payloads)

    # -- the rare roads -------------------------------------------------------------------------

    def _state(self) -> WriterState:
        pid = _pid()
        state = self._states.get(pid)
        if state is None:
            close_inherited()
            self._aim(NOWHERE)
            for other in list(self._states):  # in one step: another thread may add its own
                if other != pid:
                    self._states.pop(other, None)
            state = self._states.setdefault(pid, WriterState(pid, self._buffer_bytes))
        return state

    def _aim(self, segment: Segment) -> None:
        """Have events written to `segment` from now on."""
        self._road.aim(segment)  # first: the segment before may close where nothing refers to it any more
        self._segment = segment

    def _append_late(
        self, payload: str, failed: Segment | None = None, error: OSError | ValueError | None = None
    ) -> None:
        state = self._state()
        with state.lock:
            if failed is not None and failed is state.segment:
                if isinstance(error, OSError):
                    self._blame(state, error)
                else:
                    self._rotate(state, failed, len(encode(payload)))
            if _clock.monotonic() < state.retry_at:
                state.backlog.push(payload)
            else:
                if state.backlog.is_full():
                    self._drain(state)
                state.backlog.push(payload)
                self._drain(state)
        if state.news:
            tell(state)

    def _drain(self, state: WriterState, seconds: float = _DRAIN_SECONDS) -> None:
        """Write out the backlog in order, as far as the disk allows; clear the trouble if all.

        After trouble it may be long, and takes `seconds` at most. Without any it is what was appended just
        now, and is written before that append returns, however long it takes to begin a segment.
        """
        deadline = _clock.monotonic() + seconds
        failures = 0
        while True:
            if _clock.monotonic() < state.retry_at or failures > _TRIES or not state.is_own():
                return
            self._road.release()  # from here on others wait: nothing may come in behind the last look at it
            if not state.backlog.is_waiting():
                break
            segment = self._usable_segment(state)
            if segment is None or not self._write_batch(state, segment):
                failures += 1
            elif state.backlog and state.trouble is not None and _clock.monotonic() > deadline:
                self._aim(NOWHERE)  # the next append goes on; until then everything queues up behind
                return
        if state.segment is not None and not state.is_spoiled and not state.backlog.in_hand:
            state.trouble, state.is_told = None, False
            self._aim(state.segment)

    def _usable_segment(self, state: WriterState) -> Segment | None:
        if state.segment is not None and not state.is_spoiled:
            return state.segment
        try:
            self._open(state)
        except OSError as error:
            if is_foreign(error):
                raise
            self._blame(state, error)
        return None if state.is_spoiled else state.segment

    def _write_batch(self, state: WriterState, segment: Segment) -> bool:
        """Write some of the backlog; what did not get in stays in front.

        Nothing leaves it before it is written: a signal handler's exception may pass at any point.
        """
        backlog, whole = state.backlog, 0
        place = backlog.in_hand  # not 0 in a signal handler that came in the midst of this
        batch = backlog.first(_BATCH_BYTES)
        records = [encode(payload) for payload in batch]
        try:
            backlog.in_hand = place + len(batch)
            if not batch or not backlog.is_at(place, batch[0]):
                return True  # a signal handler has written them
            while segment.is_mapped and whole < len(batch):
                segment.write(records[whole])
                backlog.drop(batch[whole], place)
                whole += 1
            written = segment.write_some(b"".join(records[whole:])) if whole < len(batch) else 0
            while whole < len(batch) and written >= len(records[whole]):
                written -= len(records[whole])
                backlog.drop(batch[whole], place)
                whole += 1
            if whole < len(batch):
                raise TornError
        except (OSError, ValueError) as error:
            if is_foreign(error):
                raise
            if isinstance(error, OSError):
                self._blame(state, error)
                return False
            self._rotate(state, segment, len(records[whole]))
        finally:
            backlog.in_hand = place
        return True

    def _open(self, state: WriterState, record_bytes: int = 0) -> None:
        """Begin the next segment; the one before closes when the last thread writing to it lets go.

        If it is mapped, it has room for a record of `record_bytes`.

        Raises:
            OSError: It could not be opened; the one before is still there.
        """
        if sys.platform == "win32":
            raise OSError(errno.ENOTSUP, "no file locks on this system")
        if not state.is_own():
            raise OSError(errno.ECHILD, "a journal of the parent")
        header = "{}"
        with guarded("journal.header"):
            header = self._header()
        self._place.prepare()
        path = self._place.journal / f"{state.stem}-{next(state.numbers):06d}{SUFFIX}"
        first = encode(header)
        room = 0
        if self._maps and mapping.is_safe(self._place.journal):
            room = max(min(state.room_bytes, self._segment_bytes), len(first) + record_bytes)
        segment = Segment.create(path, first, room=room, limit=self._segment_bytes)
        if state.keeps_unsynced and state.segment is not None and not state.is_spoiled:
            state.unsynced.append(state.segment)
        state.segment, state.is_spoiled = segment, False
        state.opened_at = _clock.monotonic()

    def _blame(self, state: WriterState, error: OSError) -> None:
        """Note why the disk did not take an event, and when to ask it again."""
        if not state.is_own():
            return  # a child that a signal handler forked in the midst of it: the event is its parent's
        now = _clock.monotonic()
        is_spoiled = error.errno not in _PASSING or isinstance(error, TornError)
        is_young = now - state.opened_at < _RETRY_SECONDS and (
            state.segment is None or state.segment.size < _SPOILED_EARLY_BYTES
        )
        is_fresh_damage = is_spoiled and state.segment is not None and not state.is_spoiled
        at_once = is_fresh_damage and (not is_young or error.errno == errno.EBADF)  # the next may do
        state.is_spoiled = state.is_spoiled or (is_spoiled and state.segment is not None)
        self._aim(NOWHERE)
        reason = "no file locks" if sys.platform == "win32" else error.strerror or str(error)
        state.trouble = f"in memory only: {reason}"
        if at_once or error.errno == errno.EINTR:
            return
        state.retry_at = now + _RETRY_SECONDS
        self._road.hold(state)
        if not state.is_told:
            state.is_told = True
            state.news.append(f"events are kept in memory only: {reason} ({self._place.journal})")

    def _look_after(self, segment: Segment) -> None:
        """Once a second see whether the file is still ours, and whether it had to go on beyond its size."""
        state = self._state()
        with state.lock:
            if segment is not self._segment:
                return
            now = _clock.monotonic()
            if now >= self._check_at:
                self._check_at = now + _CHECK_SECONDS
                self._road.ask_again_at(self._check_at)
                if fate := segment.fate():
                    self._replace(state, segment, fate)
                elif segment.is_mapped:  # a copy into memory leaves the file's time as it is
                    with contextlib.suppress(OSError):
                        segment.touch()
                elif segment.size >= self._segment_bytes:
                    self._rotate(state, segment)
                    self._drain(state)
        tell(state)

    def _replace(self, state: WriterState, segment: Segment, fate: str) -> None:
        state.lost_files += 1
        state.is_spoiled = True
        state.news.append(f"a new journal was begun, of the old one {fate}: {segment.path}")
        self._aim(NOWHERE)
        if self._usable_segment(state) is not None:
            self._drain(state)

    def _rotate(self, state: WriterState, segment: Segment, record_bytes: int = 0) -> None:
        """Open the next segment, or, where none can be had, go on in this one; `_drain` aims at it."""
        if segment is not state.segment or state.is_spoiled or not state.is_own():
            return  # a signal handler was faster, or has forked
        try:
            state.room_bytes = min(2 * state.room_bytes, self._segment_bytes)
            self._open(state, record_bytes)
        except OSError as error:
            if is_foreign(error):
                raise
            self._unmap(state, segment)  # the old one is too large, but good

    def _unmap(self, state: WriterState, segment: Segment) -> None:
        try:
            segment.unmap()
        except OSError as error:
            if is_foreign(error):
                raise
            self._blame(state, error)
