"""Which of the known names an emitter writes: found once for each set of names, not for each span.

An emitter writes the same few names on every span. Looking all the others up costs more than all the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

from jobspan.model.usage import attribute

Names = tuple[str, ...]
_KEPT = 512
_NO_NAME: Any = object()
"""Looked up in the place of a name that is not there: found in no mapping."""

_COUNTS = (
    attribute.PROMPT,
    attribute.COMPLETION,
    attribute.TOTAL,
    attribute.CACHE_READ,
    attribute.CACHE_WRITE,
    attribute.REASONING,
)
_TEXTS = (
    *(attribute.OPERATION, attribute.OPENINFERENCE_KIND, attribute.TRACELOOP_KIND, attribute.REQUEST_TYPE),
    *(*attribute.AGENT_NAMES, *attribute.PROVIDER, *attribute.RESPONSE_MODEL, attribute.REQUEST_MODEL),
)


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """The names in use for each thing that is read, in the order in which they are believed.

    Equal only to itself: it is looked up by, for each span.
    """

    counts: tuple[Names, ...]
    """For input, output, total, cache read, cache written and reasoning."""
    first_counts: Names
    """Of each of these the first, or what is found nowhere."""
    usual_types: tuple[type, ...]
    """Of the values of these: whole numbers, and None where there is none."""
    cost: Names
    texts: Names
    """What has few values in a program: kinds, providers, models."""
    values_of_texts: Callable[[Mapping[str, Any]], tuple[object, ...]]
    """Gives their values in a span's attributes."""
    is_flagged: bool
    """Whether a flag of our own is there."""


@lru_cache(maxsize=_KEPT)
def dialect(names: frozenset[str]) -> Dialect:
    """Return the dialect of a span that has these of the known names."""

    def used(known: Iterable[str]) -> Names:
        return tuple(name for name in known if name in names)

    counts = tuple(used(known) for known in _COUNTS)
    texts = used(_TEXTS)
    return Dialect(
        counts,
        tuple(found[0] if found else _NO_NAME for found in counts),
        tuple(int if found else type(None) for found in counts),
        used(attribute.COST),
        texts,
        _values_of(texts),
        not names.isdisjoint((attribute.AGGREGATE, attribute.MANUAL)),
    )


def _values_of(names: Names) -> Callable[[Mapping[str, Any]], tuple[object, ...]]:
    """Return what gets the values of all `names` in one C call, where there are at least two."""
    return itemgetter(*names) if len(names) > 1 else lambda said: tuple(said[name] for name in names)
