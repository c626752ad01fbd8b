"""Measure jobspan beside its peers, each in an environment of its own, and print one table.

``python benchmarks/peers/run.py [names…]``: bare OpenTelemetry and jobspan are always among them.
``--write`` puts the table into benchmarks/README.md; ``--here`` takes only these two, from the interpreter
that runs this. Contenders are timed in alternating rounds; a contender that does not install or breaks is
named with the reason. Nothing but pip reaches beyond the loopback.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))

from contenders import CONTENDERS
from environments import Broken, Environment, own_one, this_one
from measure import Timing, interleaved
from trials import Trials, warn

BASE = "otel"
ALWAYS = (BASE, "jobspan")
README = Path(__file__).parent.parent / "README.md"
MARKS = ("<!-- the table begins -->", "<!-- the table ends -->")
HEADER = (
    "contender",
    "block µs",
    "×",
    "decorator µs",
    "×",
    "import ms",
    "×",
    "exit s: answering",
    "refusing",
    "silent",
    "after SIGKILL",
    "elsewhere",
)


@dataclass
class Results:
    """What was measured, by contender; what broke is in `notes`."""

    blocks: dict[str, Timing] = field(default_factory=dict[str, Timing])
    decorated: dict[str, Timing] = field(default_factory=dict[str, Timing])
    imports: dict[str, Timing] = field(default_factory=dict[str, Timing])
    exits: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    survived: dict[str, int] = field(default_factory=dict[str, int])
    notes: list[str] = field(default_factory=list[str])


def whole(times: Mapping[str, Timing]) -> dict[str, Timing]:
    """Leave out what broke on the way."""
    return {name: timing for name, timing in times.items() if not any(map(math.isnan, timing.rounds))}


def or_nan(measure: Callable[[], float], name: str, what: str, notes: list[str]) -> Callable[[], float]:
    """Return `measure`, which gives NaN from its first failure on and notes the reason once."""
    broken = False

    def measured() -> float:
        nonlocal broken
        if not broken:
            try:
                return measure()
            except Broken as reason:
                broken = True
                notes.append(warn(name, what, reason))
        return math.nan

    return measured


def measure_blocks(
    environments: Sequence[Environment], trials: Trials, rounds: int, results: Results
) -> None:
    cases: dict[str, Callable[[], float]] = {}
    with ExitStack() as stack:
        for environment in environments:
            child = stack.enter_context(trials.child(environment, "block"))
            try:
                forms = child.hear()["blocks"]
            except Broken as reason:
                results.notes.append(warn(child.name, "block", reason))
                continue
            for form in forms:
                asked = _asking(child.ask, form)
                cases[f"{form} {child.name}"] = or_nan(asked, child.name, form, results.notes)
        times = whole(interleaved(cases, rounds))
    for case, timing in times.items():
        form, _, name = case.partition(" ")
        (results.blocks if form == "block" else results.decorated)[name] = timing


def _asking(ask: Callable[[str], float], form: str) -> Callable[[], float]:
    return lambda: ask(form)


def measure_imports(
    environments: Sequence[Environment], trials: Trials, rounds: int, results: Results
) -> None:
    def importing(environment: Environment) -> Callable[[], float]:
        return lambda: trials.import_ms(environment)

    names = {environment.contender.name: environment for environment in environments}
    cases = {name: or_nan(importing(one), name, "import", results.notes) for name, one in names.items()}
    results.imports = whole(interleaved(cases, rounds, warm_up=1))


def measure_ends(
    environments: Sequence[Environment], trials: Trials, options: argparse.Namespace, results: Results
) -> None:
    """Measure exits (mostly waiting: three contenders at a time), then kills."""

    def exits(environment: Environment) -> None:
        name = environment.contender.name
        try:
            results.exits[name] = trials.exits(environment, options.bound)
        except Broken as reason:
            results.notes.append(warn(name, "exit", reason))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(exits, environments))
    for environment in environments:
        name = environment.contender.name
        if name not in results.exits:
            continue
        try:
            results.survived[name] = trials.survivors(environment, options.kills)
        except Broken as reason:
            results.notes.append(warn(name, "SIGKILL", reason))


def cells_of(times: Mapping[str, Timing], name: str, digits: int) -> tuple[str, str]:
    if name not in times:
        return "—", "—"
    median = times[name].median
    ratio = f"{median / times[BASE].median:.2f}" if BASE in times else "—"
    return f"{median:.{digits}f}", ratio


def seconds(exits: Mapping[str, float], backend: str, bound: float) -> str:
    if backend not in exits:
        return "—"
    return f"{exits[backend]:.2f}" if math.isfinite(exits[backend]) else f"> {bound:.0f}"


def row(
    environment: Environment, results: Results, trials: Trials, options: argparse.Namespace
) -> tuple[str, ...]:
    name = environment.contender.name
    exits = results.exits.get(name, {})
    survived = f"{results.survived[name]} of {options.kills}" if name in results.survived else "—"
    return (
        f"{name} {environment.version}",
        *cells_of(results.blocks, name, 1),
        *cells_of(results.decorated, name, 1),
        *cells_of(results.imports, name, 0),
        *(seconds(exits, backend, options.bound) for backend in ("answering", "refusing", "silent")),
        survived,
        ", ".join(sorted(trials.elsewhere(name))) or "nothing",
    )


def rendered(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as a Markdown table, in columns."""
    lines = [HEADER, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    padded = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([padded[0], rule, *padded[1:]])


def machine() -> str:
    """Return one line on what it was measured on, and when."""
    info = Path("/proc/cpuinfo")
    models = (
        [
            line.partition(":")[2].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        if info.exists()
        else []
    )
    cpu = models[0] if models else platform.processor() or platform.machine()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({cpu}), {platform.system()}, "
        f"{platform.python_implementation()} {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )


def write(text: str) -> None:
    """Put the text between the marks of the README."""
    before, _, rest = README.read_text().partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    README.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{after}")


def environments_of(options: argparse.Namespace, results: Results) -> list[Environment]:
    if options.here:
        return [this_one(CONTENDERS[name]) for name in ALWAYS]
    names = dict.fromkeys([*ALWAYS, *(options.names or CONTENDERS)])
    found: list[Environment] = []
    for name in names:
        try:
            found.append(own_one(CONTENDERS[name], options.cache, options.install_seconds))
        except Broken as reason:
            results.notes.append(warn(name, "install", reason))
    return found


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jobspan-peers"
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(CONTENDERS)}; default: all")
    parser.add_argument("--rounds", type=int, default=40, help="timed rounds of blocks (40)")
    parser.add_argument("--imports", type=int, default=9, help="timed imports (9)")
    parser.add_argument("--kills", type=int, default=5, help="SIGKILL trials (5)")
    parser.add_argument("--bound", type=float, default=60, help="seconds an exit may take (60)")
    parser.add_argument("--install-seconds", type=float, default=900, help="seconds pip may take (900)")
    parser.add_argument(
        "--cache", type=Path, default=cache, help=f"where virtualenvs and ledgers go ({cache})"
    )
    parser.add_argument("--here", action="store_true", help="only otel and jobspan, from this interpreter")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    options = parser.parse_args(argv)
    if unknown := set(options.names) - set(CONTENDERS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(CONTENDERS)}")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    options.cache.mkdir(parents=True, exist_ok=True)
    results = Results()
    environments = environments_of(options, results)
    with tempfile.TemporaryDirectory(
        dir=options.cache, prefix="work-", ignore_cleanup_errors=True
    ) as scratch:
        trials = Trials(Path(scratch))
        measure_blocks(environments, trials, options.rounds, results)
        measure_imports(environments, trials, options.imports, results)
        measure_ends(environments, trials, options, results)
        table = rendered([row(environment, results, trials, options) for environment in environments])
    text = "\n".join([machine(), "", table, *(["", "Not measured:", ""] if results.notes else [])])
    text += "".join(f"\n- {note}" for note in results.notes)
    print(text)
    if options.write:
        write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
