"""Counts the calls of one LLM client, without any instrumentation: ``jobspan.instrument(client)``.

One method of one client *instance* is wrapped, the one all its calls go through; results, errors and
types stay what they are. Clients are told apart by what they have; no SDK is imported.
"""

from __future__ import annotations

from typing import Any, TypeVar

from jobspan.exceptions import UsageError
from jobspan.integrations import gemini, litellm, stainless

C = TypeVar("C")


def instrument(client: C) -> C:
    """Have every call of a client counted on the run it is made in; return the client.

    An `ApifyClient` or `ApifyClientAsync`: the runs of actors and tasks started by it, and their costs.

    Takes clients of openai (and those made like it), anthropic and google-genai, synchronous and
    asynchronous, and the module litellm. Streams are counted at their last chunk, raw responses too.
    A second call changes nothing; `uninstrument` undoes it. Copies made by ``with_options`` are clients
    of their own. A call that an instrumentation tells of as well counts once.

    Raises:
        UsageError: It is no such client.
    """
    made: Any = client
    if _is_apify(made):
        from jobspan.integrations.apify import instrumenting

        instrumenting.instrument(made)
        return client
    for kind in (litellm, gemini, stainless):
        if kind.takes(made):
            kind.instrument(made)
            return client
    raise UsageError(
        f"instrument({type(client).__name__}): give a client of openai, anthropic, google-genai or Apify, or"
        " litellm"
    )


def uninstrument(client: C) -> C:
    """Undo `instrument`; return the client."""
    made: Any = client
    if _is_apify(made):
        from jobspan.integrations.apify import instrumenting

        instrumenting.uninstrument(made)
        return client
    for kind in (litellm, gemini, stainless):
        if kind.takes(made):
            kind.uninstrument(made)
    return client


def _is_apify(client: Any) -> bool:
    return all(callable(getattr(client, name, None)) for name in ("actor", "task", "run", "webhook_dispatch"))
