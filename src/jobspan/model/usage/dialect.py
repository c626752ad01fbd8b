"""Which of the known names an emitter writes: found once for each set of names, not for each span.

An emitter writes the same few names on every span. Looking all the others up costs more than all the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from jobspan.model.usage import attribute

Names = tuple[str, ...]
_KEPT = 512


@dataclass(frozen=True, slots=True)
class Dialect:
    """The names in use for each thing that is read, in the order in which they are believed."""

    prompt: Names
    completion: Names
    total: Names
    cache_read: Names
    cache_write: Names
    reasoning: Names
    cost: Names
    provider: Names
    model: Names
    tells_kind: bool
    """Whether a name is there that may make it an aggregate."""


@lru_cache(maxsize=_KEPT)
def dialect(names: frozenset[str]) -> Dialect:
    """Return the dialect of a span that has these of the known names."""

    def used(known: Iterable[str]) -> Names:
        return tuple(name for name in known if name in names)

    return Dialect(
        used(attribute.PROMPT),
        used(attribute.COMPLETION),
        used(attribute.TOTAL),
        used(attribute.CACHE_READ),
        used(attribute.CACHE_WRITE),
        used(attribute.REASONING),
        used(attribute.COST),
        used(attribute.PROVIDER),
        used(attribute.RESPONSE_MODEL),
        not names.isdisjoint(attribute.KINDS),
    )
