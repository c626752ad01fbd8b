"""LiteLLM: a callback of our own, registered when the library is imported.

Its OpenTelemetry callback writes onto the current span, the last call over the earlier ones. Ours sees
every call: before the call it notes whose it is, for a synchronous stream ends without any context
(measured); at its success it books usage and cost.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import wrapt

from jobspan._guard import guarded
from jobspan.model.usage.name import text_of
from jobspan.model.usage.number import dollars
from jobspan.model.usage.response import Reading, read_response
from jobspan.runs.usage import book_reading, home_of_call, with_given
from jobspan.spans.roster import Home
from jobspan.spans.usage import usage_processor

_SEEING = guarded("litellm")
_MOST_WAITING = 10_000
_MARK = "_jobspan_callback"


class UsageBook:
    """Books LiteLLM's calls; its methods are those of a `CustomLogger`."""

    def __init__(self) -> None:
        self._homes: dict[str, tuple[Home, str]] = {}

    def before(self, kwargs: dict[str, Any]) -> None:
        """Note whose a call is, in the context that makes it."""
        with _SEEING:
            home, by = home_of_call()
            name = kwargs.get("litellm_call_id")
            if home is not None and isinstance(name, str):
                self._homes[name] = (home, by)
                if len(self._homes) > _MOST_WAITING:
                    self._homes.pop(next(iter(self._homes)), None)

    def after(self, kwargs: dict[str, Any], response_obj: Any) -> None:
        """Book a call that succeeded, once: LiteLLM may tell of it by two roads."""
        with _SEEING:
            name = kwargs.get("litellm_call_id")
            home, by = self._homes.pop(name, (None, "")) if isinstance(name, str) else (None, "")
            if home is None:
                return
            answer = kwargs.get("complete_streaming_response") or kwargs.get(
                "async_complete_streaming_response"
            )
            reading = read_response(answer or response_obj) or Reading()
            said = Reading(
                cost=dollars(kwargs.get("response_cost")) or None,
                provider=text_of(kwargs.get("custom_llm_provider")),
                model=text_of(kwargs.get("model")),
            )
            usage_processor.seen_by_hand(home)
            book_reading(home, with_given(said, reading), by)

    def failed(self, kwargs: dict[str, Any]) -> None:
        """Forget a call that failed: it is not billed."""
        with _SEEING:
            name = kwargs.get("litellm_call_id")
            if isinstance(name, str):
                self._homes.pop(name, None)


def takes(client: Any) -> bool:
    """Tell whether this is the module."""
    return isinstance(client, ModuleType) and client.__name__ == "litellm"


def instrument(module: Any) -> None:
    """Register our callback, unless it is."""
    if getattr(module, _MARK, None) is None:
        callback = _callback(module, UsageBook())
        module.callbacks.append(callback)
        setattr(module, _MARK, callback)
        usage_processor.litellm_is_booked = True


def uninstrument(module: Any) -> None:
    """Take our callback away."""
    callback = getattr(module, _MARK, None)
    if callback is not None:
        names = ("callbacks", "success_callback", "failure_callback", "input_callback")
        for name in (*names, "_async_success_callback", "_async_failure_callback", "_async_input_callback"):
            held: Any = getattr(module, name, None)
            if held and callback in held:
                held.remove(callback)
        delattr(module, _MARK)
        usage_processor.litellm_is_booked = False


def _callback(module: Any, book: UsageBook) -> Any:
    """Return a `CustomLogger`; LiteLLM passes its arguments by these very names."""
    from importlib import import_module

    base: Any = import_module("litellm.integrations.custom_logger").CustomLogger

    class JobspanLogger(base):  # type: ignore[misc] # a class of the library
        def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
            book.before(kwargs)

        def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
            book.after(kwargs, response_obj)

        async def async_log_success_event(
            self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
        ) -> None:
            book.after(kwargs, response_obj)

        def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
            book.failed(kwargs)

        async def async_log_failure_event(
            self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
        ) -> None:
            book.failed(kwargs)

    return JobspanLogger()


def _imported(module: ModuleType) -> None:
    with _SEEING:
        instrument(module)


def watch() -> None:
    """Register the callback when LiteLLM is imported, or now if it was."""
    if "litellm" in sys.modules:
        _imported(sys.modules["litellm"])
    else:
        wrapt.register_post_import_hook(_imported, "litellm")


watch()
