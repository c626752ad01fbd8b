"""Compare the counting rule with simpler ones on the recordings, and time it.

Run with `python benchmarks/usage.py`. Baselines: the naive sum of all `gen_ai.usage.*` attributes, the
sum over leaves only, and the sum over leaves with equal response ids counted once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.usage.recorded import EXACT, EXPECTED, facts_and_links, spans_of  # noqa: E402

from jobspan.model.usage.attribute import COMPLETION, PROMPT  # noqa: E402
from jobspan.model.usage.fact import UsageFact  # noqa: E402
from jobspan.model.usage.normalise import might_be_genai, normalise  # noqa: E402
from jobspan.model.usage.resolve import resolve  # noqa: E402

Pair = tuple[int, int]
Span = dict[str, Any]


def naive(spans: list[Span]) -> Pair:
    """Sum what every span has under the current names."""
    return _sum((_number(s, PROMPT[:1]), _number(s, COMPLETION[:1])) for s in spans)


def naive_aliases(spans: list[Span]) -> Pair:
    """Sum what every span has under any known name."""
    return _sum((_number(s, PROMPT), _number(s, COMPLETION)) for s in spans)


def leaves(spans: list[Span]) -> Pair:
    """Sum over spans with usage that have no span with usage beneath them."""
    return _sum((_number(s, PROMPT), _number(s, COMPLETION)) for s in _leaves(spans))


def leaves_by_id(spans: list[Span]) -> Pair:
    """Sum over leaves, each response id once."""
    once: dict[str, Span] = {}
    for span in _leaves(spans):
        once.setdefault(span["attributes"].get("gen_ai.response.id") or span["span_id"], span)
    return _sum((_number(s, PROMPT), _number(s, COMPLETION)) for s in once.values())


def _leaves(spans: list[Span]) -> list[Span]:
    parents = {span["span_id"]: span["parent_id"] for span in spans}
    used = [span for span in spans if _number(span, PROMPT) or _number(span, COMPLETION)]
    above: set[str] = set()
    for span in used:
        parent = span["parent_id"]
        while parent is not None:
            above.add(parent)
            parent = parents.get(parent)
    return [span for span in used if span["span_id"] not in above]


def _number(span: Span, names: tuple[str, ...]) -> int:
    return next((int(v) for name in names if (v := span["attributes"].get(name)) is not None), 0)


def _sum(pairs: Iterable[Pair]) -> Pair:
    prompt = completion = 0
    for one, other in pairs:
        prompt, completion = prompt + one, completion + other
    return prompt, completion


def ours(name: str) -> Pair:
    """Resolve the facts of a recording."""
    facts, links = facts_and_links(name)
    return _sum((call.prompt, call.completion) for call in resolve(facts, links=links).calls)


def true(name: str) -> Pair:
    """Return what the provider billed."""
    return EXPECTED[name]["true"]["prompt_tokens"], EXPECTED[name]["true"]["completion_tokens"]


def compare() -> None:
    """Print how often each rule is wrong, and by how much."""
    rules: dict[str, Callable[[str], Pair]] = {
        "naive sum of gen_ai.usage": lambda name: naive(spans_of(name)),
        "naive sum of all aliases": lambda name: naive_aliases(spans_of(name)),
        "leaves only": lambda name: leaves(spans_of(name)),
        "leaves, response id once": lambda name: leaves_by_id(spans_of(name)),
        "jobspan": ours,
    }
    billed = sum(sum(true(name)) for name in EXACT)
    print(f"{'rule':28} {'right':>6} {'wrong':>6} {'tokens':>9} {'of billed':>9}   ({len(EXACT)} recordings)")
    for title, rule in rules.items():
        found = {name: rule(name) for name in EXACT}
        right = sum(found[name] == true(name) for name in EXACT)
        tokens = sum(sum(pair) for pair in found.values())
        print(f"{title:28} {right:6} {len(EXACT) - right:6} {tokens:9,} {tokens / billed:9.2f}")


def microseconds(work: Callable[[], object], number: int = 20_000) -> float:
    """Return the least time of `work` over five rounds."""
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(number // 5):
            work()
        best = min(best, (time.perf_counter() - began) / (number // 5))
    return best * 1e6


def time_spans() -> None:
    """Print the time per span on the caller's path."""
    try:
        from opentelemetry.attributes import BoundedAttributes
    except ImportError:
        BoundedAttributes = None  # noqa: N806
    foreign: dict[str, Any] = {f"http.request.header.x-{n}": n for n in range(20)}
    samples = {
        "openllmetry_openai_chat": 0,
        "openinference_openai_chat": 0,
        "strands_agent_tools": 0,
        "native_anthropic_stream": 0,
    }
    keys: dict[str, Any] = {
        "trace_id": "t",
        "span_id": "s",
        "parent_span_id": "p",
        "start_ns": 1,
        "end_ns": 2,
        "name": "x",
    }
    print("\nper span, microseconds                      dict   SDK attributes")
    wrap = (lambda a: BoundedAttributes(attributes=a, immutable=False)) if BoundedAttributes else dict
    forms = [foreign, wrap(foreign)]
    print(f"{'might_be_genai, foreign, 20 attributes':40}", *(f"{_test(form):7.2f}" for form in forms))
    for name in samples:
        span = next(s for s in spans_of(name) if might_be_genai(s["attributes"]))
        forms = [span["attributes"], wrap(span["attributes"])]
        scope = span["scope"]["name"]
        times = [microseconds(lambda f=form, s=scope: normalise(f, scope=s, **keys)) for form in forms]
        print(f"{'normalise, ' + name:40}", *(f"{t:7.2f}" for t in times))


def _test(attributes: Any) -> float:
    return microseconds(lambda: might_be_genai(attributes))


CHATS = (
    "openllmetry_openai_chat",
    "openinference_openai_chat",
    "otelgenai_openai_chat_stream_usage",
    "langchain_tl_invoke",
    "logfire_openai_chat",
    "pydanticai_agent_tools",
    "strands_agent_tools",
    "native_anthropic_stream",
)
IN_A_CHAIN = "a chat in a chain, both"


def processor_costs(
    rounds: int = 15, spans: int = 300, chats: tuple[str, ...] = CHATS
) -> dict[str, tuple[float, float]]:
    """Return the CPU microseconds of `on_end`, and their share of what a raw span of the SDK costs.

    By the kind of span; the append to a journal on the disk is included. Raw spans and `on_end` take turns;
    the best round of each counts: what another program took can only have been added.
    """
    import tempfile

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import set_span_in_context

    import jobspan
    from jobspan.spans.usage import usage_processor

    header: dict[str, Any] = {f"http.request.header.x-{n}": n for n in range(20)}
    kinds: dict[str, tuple[str, Span]] = {
        "no attributes": ("x", {}),
        "20 attributes, no GenAI": ("x", header),
    }
    for name in chats:
        recorded = next(s for s in spans_of(name) if might_be_genai(s["attributes"]))
        kinds[name] = recorded["scope"]["name"], recorded["attributes"]
    kinds[IN_A_CHAIN] = kinds[chats[0]]
    provider = TracerProvider()

    def made(name: str, under: Context) -> list[Any]:
        scope, attributes = kinds[name]
        start = provider.get_tracer(scope).start_span
        chain: Any = None
        made: list[Any] = []
        for _ in range(spans):
            if name == IN_A_CHAIN:
                chain = start("chain", under)
            above = under if chain is None else set_span_in_context(chain, under)
            made.append(start("x", above, attributes=attributes))
            made[-1].end()
            if chain is not None:
                chain.end()
                made.append(chain)
        return [span._readable_span() for span in made]

    best: dict[str, list[float]] = {name: [float("inf")] * 2 for name in kinds}
    with tempfile.TemporaryDirectory() as folder:
        jobspan.configure(ledger=Path(folder) / "ledger.db", exit_flush=0, relay="off")
        with jobspan.job("bench") as job, job.client("x") as run:
            under = set_span_in_context(run.span, Context())
            for _ in range(rounds):
                for name in kinds:
                    began = time.thread_time_ns()
                    ended = made(name, under)
                    between = time.thread_time_ns()
                    for span in ended:
                        usage_processor.on_end(span)
                    costs = between - began, time.thread_time_ns() - between
                    best[name] = [min(pair) for pair in zip(best[name], costs, strict=True)]
        jobspan.shutdown(0)
    return {name: (ours / spans / 1000, ours / raw) for name, (raw, ours) in best.items()}


def time_processor() -> None:
    """Print what `on_end` takes."""
    print("\non_end of the processor: CPU microseconds, of a raw span with the same attributes")
    for name, (micro, share) in processor_costs().items():
        print(f"{name:40} {micro:7.2f} {share:7.2f}")


def time_runs() -> None:
    """Print the time to resolve large runs."""
    from tests.usage.test_resolve_laws import CALLS, crowd

    print(f"\n{'resolve, seconds':40} {'1,000':>7} {'10,000':>7} facts")
    for kind in CALLS:
        times: list[float] = []
        for size in (1_000, 10_000):
            facts: list[UsageFact] = [replace(fact) for fact in crowd(kind, size)]
            began = time.perf_counter()
            resolve(facts)
            times.append(time.perf_counter() - began)
        print(f"{kind:40}", *(f"{t:7.3f}" for t in times))


if __name__ == "__main__":
    compare()
    time_spans()
    time_processor()
    time_runs()
