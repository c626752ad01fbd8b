"""Callables of every kind that notice which run they are in."""

from __future__ import annotations

import asyncio
import functools
import inspect

import jobspan


def seen(client_id):
    run = jobspan.current_run()
    run.add(posts=1)
    return run.kind


def function(client_id):
    return seen(client_id)


async def coroutine(client_id):
    await asyncio.sleep(0)
    return seen(client_id)


def generator(client_id):
    assert (yield seen(client_id)) is None


async def agenerator(client_id):
    yield seen(client_id)


class Scorer:
    def __call__(self, client_id):
        return seen(client_id)


class AsyncScorer:
    async def __call__(self, client_id):
        return seen(client_id)


def methods(decorate):
    class Batch:
        @decorate
        def method(self, client_id):
            return seen(client_id)

        @decorate
        async def amethod(self, client_id):
            return seen(client_id)

        @decorate
        def pages(self, client_id):
            yield seen(client_id)

        @classmethod
        @decorate
        def inner_class(cls, client_id):
            return seen(client_id)

        @decorate
        @classmethod
        def outer_class(cls, client_id):
            return seen(client_id)

        @staticmethod
        @decorate
        def inner_static(client_id):
            return seen(client_id)

        @decorate
        @staticmethod
        def outer_static(client_id):
            return seen(client_id)

    return Batch()


PLAIN = {
    "function": function,
    "coroutine": coroutine,
    "generator": generator,
    "agenerator": agenerator,
    "object": Scorer(),
    "async object": AsyncScorer(),
    "partial": functools.partial(function),
    "async partial": functools.partial(coroutine),
}
METHODS = [
    "method",
    "amethod",
    "pages",
    "inner_class",
    "outer_class",
    "inner_static",
    "outer_static",
]
KINDS = [*PLAIN, *METHODS]


def decorated(kind, decorate):
    return decorate(PLAIN[kind]) if kind in PLAIN else getattr(methods(decorate), kind)


def drive(call, *args, **kwargs):
    """Run a call of any kind to its end and return what the body saw."""
    result = call(*args, **kwargs)
    if inspect.iscoroutine(result):
        return asyncio.run(_awaited(result))
    if hasattr(result, "__anext__"):
        return asyncio.run(_collected(result))[0]
    return next(iter(list(result))) if hasattr(result, "__next__") else result


async def _awaited(coroutine):
    return await coroutine


async def _collected(iterator):
    return [item async for item in iterator]
