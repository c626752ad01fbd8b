"""OpenTelemetry metrics of runs and tokens, where the program has set a meter provider; else nothing.

Durations and outcomes are told when a run closes. Tokens are told by the background thread, once the calls
of a closed run are resolved: an instrumentation's own token metrics count a call as often as it is seen.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics
from opentelemetry.metrics import Meter, _internal

from jobspan._guard import guarded

if TYPE_CHECKING:
    from jobspan.ledger.reading import LedgerReader


class _Unknown:
    """Stands for it where the API keeps its provider elsewhere."""

    _METER_PROVIDER = object()


watched: Any = _internal if hasattr(_internal, "_METER_PROVIDER") else _Unknown
"""Has the global meter provider as `_METER_PROVIDER`, None while none is set: asked as each run closes."""

_MOST_WAITING = 10_000
_TELLING = guarded("metrics")
_DURATIONS = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)


class Instruments:
    """The instruments of one meter provider."""

    def __init__(self, meter: Meter) -> None:
        self.duration = meter.create_histogram(
            "jobspan.run.duration",
            unit="s",
            description="How long runs took.",
            explicit_bucket_boundaries_advisory=_DURATIONS,
        )
        self.outcomes = meter.create_counter(
            "jobspan.run.outcomes", unit="{run}", description="How runs ended."
        )
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Tokens of each LLM call, counted once.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )


class Metrics:
    """Tells what this process closes."""

    def __init__(self) -> None:
        self._made: tuple[object, Instruments] | None = None
        self._closed: collections.deque[tuple[str, dict[str, Any]]] = collections.deque(maxlen=_MOST_WAITING)

    def closed(self, uid: str, seconds: float, kind: str, job_type: str, status: str, client: str) -> None:
        """Tell of a run that closed; `uid` is that of the job or client run, empty for an operation."""
        instruments = self._instruments()
        if instruments is None:
            return
        with _TELLING:
            said = {"jobspan.run.kind": kind, "jobspan.job.type": job_type, "jobspan.status": status}
            instruments.duration.record(seconds, said)
            instruments.outcomes.add(1, said)
            if uid:
                named = {"jobspan.job.type": job_type, **({"jobspan.client.id": client} if client else {})}
                self._closed.append((uid, named))

    @property
    def is_on(self) -> bool:
        """Whether a meter provider is set that takes what it is told."""
        return watched._METER_PROVIDER is not None and self._instruments() is not None

    @property
    def waiting(self) -> int:
        """How many closed runs there are whose tokens were not told yet."""
        return len(self._closed)

    def tell_tokens(self, reader: LedgerReader, count: int) -> None:
        """Tell the tokens of the first `count` of the runs that closed; what they wrote must be folded."""
        instruments = self._instruments()
        for _ in range(min(count, len(self._closed))):
            uid, said = self._closed.popleft()
            if instruments is None:
                continue
            for provider, model, prompt, completion in reader.calls_of(uid):
                call = {
                    "gen_ai.provider.name": provider or "unknown",
                    "gen_ai.response.model": model or "unknown",
                    **said,
                }
                instruments.tokens.record(prompt, {**call, "gen_ai.token.type": "input"})
                instruments.tokens.record(completion, {**call, "gen_ai.token.type": "output"})

    def _instruments(self) -> Instruments | None:
        """Return the instruments of the meter provider that is set, if one is."""
        provider = metrics.get_meter_provider()
        if type(provider).__name__ in ("_ProxyMeterProvider", "NoOpMeterProvider"):
            return None
        made = self._made
        if made is None or made[0] is not provider:
            with _TELLING:
                made = self._made = (provider, Instruments(provider.get_meter("jobspan")))
        return None if made is None or made[0] is not provider else made[1]
