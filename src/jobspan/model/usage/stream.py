"""Add up what the chunks of a stream say: most providers tell the usage at the end, some repeat it."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from jobspan.model.usage.name import id_of, model_of
from jobspan.model.usage.response import Reading, find_counts, reading_of, summed
from jobspan.model.usage.shape import Counts, field

_MOST_RESPONSES = 1000
_ENDS = frozenset(
    {
        "response.completed",
        "response.incomplete",
        "response.failed",
        "message_stop",
        "message-end",
    }
)


class StreamReading:
    """Collect the usage of one stream, chunk by chunk; keeps numbers and names, no content.

    Anthropic repeats growing counts, so per response the largest of each field holds (adding them
    gives 408 + 60 = 468 for 460); Gemini's last chunk holds; LangChain's chunks add up.
    """

    __slots__ = ("_counts", "_current", "_ended", "_model", "_names")

    def __init__(self) -> None:
        self._counts: dict[str, Counts] = {}
        self._names: Reading = Reading()
        self._current = ""
        self._model: str | None = None
        self._ended = False

    def feed(self, chunk: object) -> None:
        """Take one chunk or event of the stream. Never raises, whatever the chunk is."""
        if chunk is None or isinstance(chunk, str | bytes | int | float):
            return
        found = find_counts(chunk)
        self._note_names(chunk, found[1] if found else None)
        self._ended = self._ended or _is_end(chunk)
        if found is None:
            return
        counts, owner = found
        if not counts.prompt and not counts.completion:
            return
        known = self._counts.get(self._current)
        if known is None and len(self._counts) >= _MOST_RESPONSES:
            return
        self._counts[self._current] = counts if known is None else _merged(known, counts)
        reading = reading_of(counts, owner, chunk)
        self._names = replace(reading, model=reading.model or self._names.model)

    def reading(self, *, ended: bool = True) -> Reading:
        """Return what was used so far. `ended` says whether the stream was read to its end.

        Of a stream that was left, what was seen is given but does not count as metered, unless the
        last word of the provider had come.
        """
        parts = list(self._counts.values())
        model = self._names.model or self._model
        if not parts:
            return replace(self._names, model=model, response_id=self._current or None)
        whole = parts[0] if len(parts) == 1 else summed(parts)
        several = len(parts) > 1 or whole.requests > 1
        return Reading(
            whole.prompt,
            whole.completion,
            whole.cache_read,
            whole.cache_write,
            whole.reasoning,
            self._names.cost,
            self._names.provider,
            model,
            None if several else self._current or None,
            metered=ended or self._ended,
            aggregate=several,
            requests=max(1, whole.requests),
        )

    def _note_names(self, chunk: object, owner: object) -> None:
        parts = (owner, chunk, field(chunk, "message"), field(chunk, "response"), field(chunk, "data"))
        named = next((text for part in parts if part is not None and (text := id_of(part))), None)
        if named and named != self._current:
            if not self._current and "" in self._counts:
                self._counts[named] = self._counts.pop("")
            self._current = named
        self._model = next(
            (text for part in parts if part is not None and (text := model_of(part))), self._model
        )


def _merged(known: Counts, new: Counts) -> Counts:
    if new.shape == "gemini":
        return new
    if new.shape == "langchain":
        return replace(summed([known, new]), requests=1)
    return Counts(
        known.shape,
        max(known.prompt, new.prompt),
        max(known.completion, new.completion),
        _larger(known.cache_read, new.cache_read),
        _larger(known.cache_write, new.cache_write),
        _larger(known.reasoning, new.reasoning),
        cost=new.cost or known.cost,
        requests=max(known.requests, new.requests),
    )


def _larger(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else max(one, other)


def _is_end(chunk: object) -> bool:
    """Tell whether the provider's last word on usage is in this chunk."""
    kind = field(chunk, "type", "event_type")
    if isinstance(kind, str):
        if kind in _ENDS:
            return True
        if kind == "message_delta":
            return isinstance(field(field(chunk, "delta"), "stop_reason"), str)
    if field(field(chunk, "metadata"), "usage") is not None:  # Bedrock converse
        return True
    inner = field(chunk, "data")
    part = inner if inner is not None and not isinstance(inner, str | list) else chunk
    if field(part, "usage") is not None and (
        field(part, "choices") == [] or _finished(field(part, "choices"))
    ):
        return True
    return _finished(field(part, "candidates"))


def _finished(choices: object) -> bool:
    if not isinstance(choices, list):
        return False
    return any(
        field(choice, "finish_reason", "finishReason") is not None for choice in cast("list[object]", choices)
    )
