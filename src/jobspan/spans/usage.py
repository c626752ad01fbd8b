"""Reads the LLM usage out of other libraries' spans, and books it on the run they belong to.

Whose a span is: its ancestors lead to a run's span; else the run of the context it ends in; else the
only open client run; else the job. Parents end after their children and nothing is done when a span
starts, so a fact is booked at once where it seems to belong, durable on return, and moved if its
ancestors, when they end, turn out to lead elsewhere. No text of a message is ever kept.
"""

from __future__ import annotations

import json
import weakref
from functools import lru_cache
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode

from jobspan import _clock
from jobspan._guard import guarded, guarded_event
from jobspan.model.usage import attribute
from jobspan.model.usage.fact import UsageFact
from jobspan.model.usage.identity import LITELLM
from jobspan.model.usage.normalise import fact_from, has_tokens, normalise, read_usage
from jobspan.spans.fact_text import fact_json, telling_json
from jobspan.spans.roster import Home, roster
from jobspan.spans.span import RunSpan

_MARKERS = attribute.MARKERS
_EXPECTING = guarded("usage.expect")
_ATTACHING = guarded("usage.attach")

_TRACE_ID, _SPAN_ID = 0, 1
"""Where they stand in a `SpanContext`, which is a tuple."""
_MOST_LINKS = 16_384
_MOST_WAITING = 4_096
_MOST_MOVABLE = 4_096
_LONGEST_CHAIN = 64
_NO_LINKS: dict[int, int] = {}

Booked = tuple[str, str, str, str, Home | None]
"""A fact whose ancestors are not known yet: JSON, trace id, span id, how its run was found, and that run."""


class UsageSpanProcessor(SpanProcessor):
    """An OpenTelemetry span processor: attach it to any SDK tracer provider, as often as you like.

    For a span without LLM usage `on_end` takes about 1 µs; it never raises.
    """

    def __init__(self) -> None:
        roster.is_asked = True
        self._links: dict[int, int] = {}
        """Span id -> parent's span id (0: none) of spans that ended, of the last two generations."""
        self._links_before: dict[int, int] = {}
        self._waiting: dict[int, tuple[dict[str, Home], list[Booked]]] = {}
        """By the first ancestor that has not ended: the runs that want its link, and what may move."""
        self._movable = 0
        self._by_hand: dict[str, None] = {}
        """Runs whose calls our LiteLLM callback has seen: what is written on their spans is known."""
        self.litellm_is_booked = False
        """Whether our callback is registered with LiteLLM."""
        self._providers: list[weakref.ref[object]] = []
        """Those that tell; known by identity, for logfire's cannot be hashed."""

    def attach(self, provider: object) -> bool:
        """Have a tracer provider tell of its spans; once each. False for one that is not of the SDK."""
        with _ATTACHING:
            if any(known() is provider for known in self._providers):
                return True
            add = getattr(provider, "add_span_processor", None)
            if add is None:
                return False
            roster.is_asked = True
            self._providers = [known for known in self._providers if known() is not None]
            self._providers.append(weakref.ref(provider))
            add(self)
            return True
        return False

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        """Do nothing: all is read when the span ends."""

    @guarded_event("usage.on_end")
    def on_end(self, span: ReadableSpan) -> None:
        """Book what the span says of an LLM call, if it says anything."""
        if roster.is_empty:
            return
        own: Any = span
        try:  # the properties of the SDK's span cost more than all the rest
            context, parent, plain = own._context, own._parent, own._attributes._dict
        except AttributeError:
            context, parent, plain = own.context, own.parent, own.attributes
        span_id = context[_SPAN_ID]
        links = self._links
        if len(links) >= _MOST_LINKS:
            self._links_before, links = links, {}
            self._links = links
        links[span_id] = parent[_SPAN_ID] if parent is not None else 0
        if plain and not plain.keys().isdisjoint(_MARKERS):
            self._read(span, plain, context, parent)
        if span_id in self._waiting:
            self._lead_on(context[_TRACE_ID], span_id)

    def on_ending(self, span: Span) -> None:
        """Do nothing."""

    def shutdown(self) -> None:
        """Go on: the processor belongs to the process, not to one provider."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return True: everything is booked when `on_end` returns."""
        return True

    def own_span(self, home: Home, span: RunSpan) -> None:
        """Book usage that somebody wrote onto the span of a run itself, as LiteLLM's callback does."""
        attributes = span.written_attributes
        if attributes.keys().isdisjoint(_MARKERS) or self._by_hand.pop(home.uid, "") is None:
            return
        fact = normalise(
            attributes,
            scope=attribute.OWN_SCOPE,
            trace_id=f"{span.trace_id:032x}",
            span_id=f"{span.span_id:016x}",
            parent_span_id=None,
            start_ns=span.start_time,
            end_ns=span.end_time or _clock.now_ns(),
        )
        if fact is not None and fact.has_usage:
            _book(home, fact_json(home, fact), "")
            if home.budget is not None:
                home.budget.take(home, fact)

    def seen_by_hand(self, home: Home) -> None:
        """Note that LiteLLM's calls in a run are booked by our callback: its span is not to be read."""
        self._by_hand[home.uid] = None
        if len(self._by_hand) > _MOST_WAITING:
            self._by_hand.pop(next(iter(self._by_hand)), None)

    # -- a span of an LLM call

    def _read(self, span: Any, attributes: Any, context: Any, parent: Any) -> None:
        try:
            scope, start_ns, end_ns = span._instrumentation_scope, span._start_time, span._end_time
        except AttributeError:
            scope, start_ns, end_ns = span.instrumentation_scope, span.start_time, span.end_time
        telling = read_usage(attributes, scope.name if scope is not None else "")
        if telling is None or (not has_tokens(telling) and span.status.status_code is StatusCode.ERROR):
            return
        trace, above = context[_TRACE_ID], 0 if parent is None else parent[_SPAN_ID]
        by, path, unknown = "", _NO_LINKS, 0
        known = roster.opened.get(above)
        home: Home | None = None if known is None else known()
        if home is None or home.trace_id != trace:
            home, path, unknown = self._climb(trace, above)
            if home is None:
                home, by = self._guess(telling[0].scope, bool(unknown))
                if home is None and not unknown:
                    return
        ids = (
            _hex_trace(trace),
            "%016x" % context[_SPAN_ID],  # noqa: UP031 - half the time of an f-string
            None if parent is None else "%016x" % above,  # noqa: UP031
            start_ns or 0,
            end_ns or 0,
        )
        text = telling_json(home or next(iter(roster.open()), None), telling, *ids)
        if home is not None:
            _book(home, text, by)
            if home.budget is not None:
                home.budget.take(home, fact_from(telling, *ids), by)
            if path:
                _book_path(home, ids[0], path)
        if unknown:
            homes = {home.uid: home} if home is not None else {}
            self._wait(trace, unknown, homes, [(text, ids[0], ids[1], by, home)])

    def _guess(self, scope: str, may_be_known: bool) -> tuple[Home | None, str]:
        """Return the run of a span whose ancestors lead to none so far, and how it was found if guessed."""
        home = roster.live()
        if home is not None and home.is_known:
            return home, ""
        guessed = roster.guess()
        if guessed[0] is not None or may_be_known:
            return guessed
        if self.litellm_is_booked and scope == LITELLM:
            return None, ""  # its streams end in a thread without context; our callback had it
        return roster.last_resort()

    def expect(self, trace_id: int, ancestor: int, home: Home) -> None:
        """Have the links above a span told to a run, which has booked something beneath it by hand."""
        with _EXPECTING:
            _, path, unknown = self._climb(trace_id, ancestor)
            if path:
                _book_path(home, f"{trace_id:032x}", path)
            if unknown:
                self._wait(trace_id, unknown, {home.uid: home}, [])

    # -- the ancestors of spans with usage

    def links_above(self, trace_id: str, span_id: str) -> dict[tuple[str, str], str]:
        """Return the links known from a span up: {(trace id, span id): parent's span id}."""
        path = self._climb(int(trace_id, 16), int(span_id, 16))[1]
        return {(trace_id, f"{span:016x}"): f"{parent:016x}" for span, parent in path.items()}

    def _climb(self, trace_id: int, at: int) -> tuple[Home | None, dict[int, int], int]:
        """Follow the links known so far: (the run they lead to, the links, the ancestor without one)."""
        path: dict[int, int] = {}
        for _ in range(_LONGEST_CHAIN):
            if not at:
                return None, path, 0
            home = roster.by_span(at)
            if home is not None and home.trace_id == trace_id:
                return home, path, 0
            above = self._links.get(at)
            if above is None:
                above = self._links_before.get(at)
            if above is None:
                return None, path, at
            if above in path:
                break
            if above:
                path[at] = above
            at = above
        return None, path, 0

    def _wait(self, trace_id: int, ancestor: int, homes: dict[str, Home], booked: list[Booked]) -> None:
        waiting = self._waiting
        known_homes, known = waiting.setdefault(ancestor, ({}, []))
        known_homes.update(homes)
        if self._movable < _MOST_MOVABLE:
            known.extend(booked)
            self._movable += len(booked)
        else:
            _leave(booked)
        if len(waiting) > _MOST_WAITING:
            _leave(self._forget(next(iter(waiting)))[1])
        if ancestor in self._links:  # it ended on another thread meanwhile
            self._lead_on(trace_id, ancestor)

    def _forget(self, ancestor: int) -> tuple[dict[str, Home], list[Booked]]:
        homes, booked = self._waiting.pop(ancestor, ({}, []))
        self._movable -= len(booked)
        return homes, booked

    def _lead_on(self, trace_id: int, span_id: int) -> None:
        """A span that others wait for has ended: tell its link, and follow it."""
        homes, booked = self._forget(span_id)
        if not homes and not booked:
            return
        home, path, unknown = self._climb(trace_id, span_id)
        if path:
            for told in homes.values() if home is None else {**homes, home.uid: home}.values():
                _book_path(told, f"{trace_id:032x}", path)
        if home is not None:
            for one in booked:
                _move(one, home)
        elif unknown and unknown != span_id:
            self._wait(trace_id, unknown, homes, booked)
        else:
            _leave(booked)


@lru_cache(maxsize=256)
def _hex_trace(trace_id: int) -> str:
    return f"{trace_id:032x}"


def _move(booked: Booked, home: Home) -> None:
    """Book a fact where its ancestors lead to, and take it away from where it was booked before."""
    text, trace, span, by, before = booked
    if before is None or by or before.uid != home.uid:
        _book(home, text, "")
    is_elsewhere = before is None or before.top_uid != home.top_uid
    if before is not None and is_elsewhere:
        before.book(f'"e":"span","void":1,"u":{{"t":"{trace}","s":"{span}"}}')
        if before.budget is not None:
            before.budget.void(before, trace, span)
    if home.budget is not None and (is_elsewhere or by):
        home.budget.take(home, UsageFact.from_dict(json.loads(text)))


def _book(home: Home, text: str, by: str) -> None:
    guess = f',"by":"{by}"' if by else ""
    home.book(f'"e":"span"{guess},"u":{text}')


def _book_path(home: Home, trace: str, path: dict[int, int]) -> None:
    links = ",".join([f'"{span:016x}":"{parent:016x}"' for span, parent in path.items()])
    home.book(f'"e":"path","tr":"{trace}","up":{{{links}}}')


def _leave(booked: list[Booked]) -> None:
    """Book facts whose ancestors lead to no run, and that are nowhere yet, where nothing is lost."""
    for text, _, _, _, before in booked:
        home, by = roster.last_resort() if before is None else (None, "")
        if home is not None:
            _book(home, text, by)


usage_processor = UsageSpanProcessor()
"""Of this process: one for all providers and configurations."""
roster.is_asked = False  # not before it is attached
