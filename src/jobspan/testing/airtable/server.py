"""The server as tests use it: start it, look into it, break it, stop it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

from jobspan import _clock
from jobspan.testing.airtable import cell, seed
from jobspan.testing.airtable.access import SCOPES
from jobspan.testing.airtable.control import Control
from jobspan.testing.airtable.fault import Fault, When
from jobspan.testing.airtable.limit import Limits
from jobspan.testing.airtable.listener import HOST
from jobspan.testing.airtable.observation import SeenRequest
from jobspan.testing.airtable.person import Person
from jobspan.testing.airtable.service import Service
from jobspan.testing.airtable.store import Base
from jobspan.testing.airtable.wire import Front


class AirtableServer:
    """A strict Airtable on loopback, in threads of this process; a context manager.

    It answers as Airtable does where that is documented or was seen, and refuses what Airtable
    refuses. It holds one base with jobspan's two tables (`seed=False`: none); `add_base` makes more.

    Args:
        seed: Make the tables `Job Tracking` and `Client Run Results`.
        missing, computed, types, status_options: A variant of the seed, see `seed.tables`.
        rate_limit: Requests per second and base; None is no limit.
        lockout_seconds: How long a base refuses everything after too many requests.
        user_rate_limit: Requests per second of one user's token; None is no limit.
        monthly_quota: Calls of the data API until 429 `PUBLIC_API_BILLING_LIMIT_EXCEEDED`.
        record_cap: Records the base may hold.
        retry_after: Send Retry-After with the 429 of the rate limit.
        max_body_bytes: Larger bodies are refused with 413.
        iterator_seconds: How long an unused offset stays good.
        scopes: Scopes of `token`.
        port, control_port: 0 takes a free one; `control_port=None` opens no control endpoint.
        clock: Seconds, for limits, lock-outs, iterators and `SeenRequest.at`.

    Example:
        >>> with AirtableServer() as server:
        ...     server.rows("Job Tracking")
        []
    """

    def __init__(
        self,
        *,
        seed: bool = True,
        missing: Iterable[str] = (),
        computed: Iterable[str] = (),
        types: Mapping[str, str] | None = None,
        status_options: Iterable[str] = seed.STATUSES,
        rate_limit: float | None = 5,
        lockout_seconds: float = 30.0,
        user_rate_limit: float | None = 50,
        monthly_quota: int | None = None,
        record_cap: int | None = None,
        retry_after: bool = False,
        max_body_bytes: int = 4 * 1024 * 1024,
        iterator_seconds: float = 300.0,
        scopes: Iterable[str] = SCOPES,
        port: int = 0,
        control_port: int | None = 0,
        clock: Callable[[], float] = _clock.monotonic,
    ) -> None:
        self.limits = Limits(rate_limit, lockout_seconds, user_rate_limit, monthly_quota, retry_after)
        self._service = Service(clock, self.limits)
        self._service.iterators.lifetime = iterator_seconds
        self.base = self.add_base(record_cap=record_cap)
        if seed:
            self.base.tables = _seeded(missing, computed, types, status_options)
        self.token = self._service.access.add(scopes)
        self.person = Person(self.base)
        self._ports = (port, control_port)
        self._max_body_bytes = max_body_bytes
        self._front: Front | None = None
        self._control: Control | None = None
        self._timer: threading.Timer | None = None

    def __repr__(self) -> str:
        return f"<AirtableServer {self.base_id} {self.url if self._front else 'not started'}>"

    def start(self) -> AirtableServer:
        """Open the ports; return the server.

        Raises:
            OSError: A port is taken.
        """
        port, control_port = self._ports
        self._front = Front(self._service, port, self._max_body_bytes)
        if control_port is not None:
            try:
                self._control = Control(self, control_port)
            except OSError:
                self._front.listener.stop()
                raise
        return self

    def stop(self) -> None:
        """Close the ports and all connections; what was seen and stored can still be looked at."""
        self._cancel_timer()
        if self._control is not None:
            self._control.stop()
        if self._front is not None:
            self._front.listener.stop()

    def __enter__(self) -> AirtableServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Return what goes into AIRTABLE_ENDPOINT_URL, without ``/v0``."""
        return f"http://{HOST}:{self._started().listener.port}"

    @property
    def control_url(self) -> str:
        """Return the address of the control endpoint."""
        if self._control is None:
            raise RuntimeError("the server has no control endpoint")
        return f"http://{HOST}:{self._control.port}"

    @property
    def base_id(self) -> str:
        """Return the id of the first base."""
        return self.base.id

    # What was seen

    @property
    def requests(self) -> list[SeenRequest]:
        """Return every request so far, refused ones too."""
        return self._service.observation.all()

    @property
    def counts(self) -> dict[str, int]:
        """Return how many requests there were of each kind (list, get, create, upsert, schema …)."""
        return self._service.observation.counts()

    @property
    def rate_limited(self) -> int:
        """Return how many requests were answered with 429."""
        return self._service.observation.with_status(429)

    @property
    def busiest_second(self) -> int:
        """Return the largest number of requests within any second."""
        return self._service.observation.busiest_second()

    def forget_requests(self) -> None:
        """Forget the requests so far; rows stay."""
        self._service.observation.clear()

    def rows(self, table: str, *, base: Base | None = None) -> list[dict[str, Any]]:
        """Return the rows of a table in order of creation: ``{"id": record id, column: value}``.

        Empty cells are left out, as in the API.

        Raises:
            LookupError: There is no such table.
        """
        base = base or self.base
        with base.lock:
            found = base.find_table(table)
            if found is None:
                raise LookupError(f"no table {table!r}; there are {[each.name for each in base]}")
            records = [cell.record(base, found, row) for row in found.rows.values()]
        return [{"id": record["id"], **record["fields"]} for record in records]

    # What goes wrong

    def fail(
        self,
        action: str | int = "status",
        *,
        when: When | None = None,
        status: int = 503,
        body: Any = None,
        seconds: float = 1.0,
        retry_after: float | str | None = None,
        nth: int | None = None,
        every: int | None = None,
        times: int | None = None,
        method: str | None = None,
        path: str | None = None,
        table: str | None = None,
    ) -> Fault:
        """Order a fault; the parameters are those of `Fault`, a number as `action` is a status.

        `when` is "before" unless given ("after" for truncate and garble).

        Example:
            ``server.fail("reset", when="after", every=3, method="PATCH")``,
            ``server.fail(503, retry_after=2, times=4)``, ``server.fail("hang", seconds=2)``.
        """
        if isinstance(action, int):
            status = action
        name = action if isinstance(action, str) else "status"
        moment = when or ("after" if name in ("truncate", "garble") else "before")
        ordered = Fault(
            name, moment, status, body, seconds, retry_after, nth, every, times, method, path, table
        )
        return self._service.faults.add(ordered)

    def clear_faults(self) -> None:
        """End all faults ordered with `fail`."""
        self._service.faults.clear()

    def outage(self, seconds: float | None = None, *, kind: str = "refused") -> None:
        """Be away: refuse connections ("refused") or reset them ("reset"), and reset the open ones.

        After `seconds` the server comes back by itself; None waits for `end_outage`.
        """
        if kind not in ("refused", "reset"):
            raise ValueError("kind is 'refused' or 'reset'")
        self._cancel_timer()
        self._started().listener.go_down(resets=kind == "reset")
        if seconds is not None:
            self._timer = threading.Timer(seconds, self.end_outage)
            self._timer.daemon = True
            self._timer.start()

    def end_outage(self) -> None:
        """Come back."""
        self._started().listener.come_back()

    # Who may come in

    def add_token(self, scopes: Iterable[str] = SCOPES) -> str:
        """Make another user's token; return it."""
        return self._service.access.add(scopes)

    def revoke(self, token: str | None = None) -> None:
        """Refuse a token with 401 from now on (the server's own by default)."""
        self._service.access.revoke(token or self.token)

    def restore(self, token: str | None = None) -> None:
        """Take a revoked token again."""
        self._service.access.restore(token or self.token)

    def grant(self, scopes: Iterable[str], token: str | None = None) -> None:
        """Give a token exactly these scopes."""
        self._service.access.grant(token or self.token, scopes)

    def release_limits(self) -> None:
        """End every lock-out at once."""
        self.limits.release()

    def expire_iterators(self) -> None:
        """Let every offset given out so far be gone."""
        self._service.iterators.expire()

    def add_base(
        self, name: str = "Test base", *, seeded: bool = False, record_cap: int | None = None
    ) -> Base:
        """Make another base, seen by every token; `seeded` gives it jobspan's tables."""
        base = Base(name, record_cap)
        if seeded:
            base.tables = seed.tables()
        self._service.bases[base.id] = base
        return base

    def _started(self) -> Front:
        if self._front is None:
            raise RuntimeError("the server is not started; use it as a context manager")
        return self._front

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _seeded(
    missing: Iterable[str],
    computed: Iterable[str],
    types: Mapping[str, str] | None,
    status_options: Iterable[str],
) -> list[Any]:
    return list(seed.tables(missing, computed, types, status_options))
