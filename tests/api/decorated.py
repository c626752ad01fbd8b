"""Decorated callables at module level, to be found by their names."""

from __future__ import annotations

import abc
import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import wrapt

from jobspan._api.instrumented import instrument
from tests.api.recording import RecordingScope, inside

scope = RecordingScope("module")


def decorate(function: Any) -> Any:
    return instrument(function, scope)


@decorate
def score(client_id: str, weight: int = 2, *, dry: bool = False) -> str | None:
    """Score one client.

    >>> score("A") == "module"
    True
    """
    return inside()


def bare(client_id: str) -> str | None:
    return inside()


renamed = decorate(bare)


@decorate
async def fetch(client_id: str) -> str | None:
    return inside()


@decorate
def pages(client_id: str) -> Iterator[str | None]:
    yield inside()


@decorate
async def apages(client_id: str) -> AsyncIterator[str | None]:
    yield inside()


class Batch:
    def __init__(self, name: str = "batch") -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Batch) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    @decorate
    def score(self, client_id: str) -> str | None:
        return inside()

    @decorate
    async def fetch(self, client_id: str) -> str | None:
        return inside()

    @decorate
    def pages(self, client_id: str) -> Iterator[str | None]:
        yield inside()

    @decorate
    async def apages(self, client_id: str) -> AsyncIterator[str | None]:
        yield inside()

    @decorate
    @classmethod
    def outer_class(cls, client_id: str) -> str | None:
        return inside()

    @classmethod
    @decorate
    def inner_class(cls, client_id: str) -> str | None:
        return inside()

    @decorate
    @staticmethod
    def outer_static(client_id: str) -> str | None:
        return inside()

    @staticmethod
    @decorate
    def inner_static(client_id: str) -> str | None:
        return inside()

    def _plain(self, extra: int, client_id: str) -> str | None:
        return inside()

    partial_method = decorate(functools.partialmethod(_plain, 7))

    @property
    @decorate
    def client_id(self) -> str | None:
        return inside()

    class Inner:
        @decorate
        def score(self, client_id: str) -> str | None:
            return inside()


class Special(Batch):
    @decorate
    def score(self, client_id: str) -> str | None:
        return super().score(client_id)


class Abstract(abc.ABC):
    @abc.abstractmethod
    @decorate
    def score(self, client_id: str) -> str | None: ...

    @decorate
    @abc.abstractmethod
    def fetch(self, client_id: str) -> str | None: ...


class Scorer:
    """A callable object."""

    def __call__(self, client_id: str) -> str | None:
        return inside()


class AsyncScorer:
    async def __call__(self, client_id: str) -> str | None:
        return inside()


class PageScorer:
    def __call__(self, client_id: str) -> Iterator[str | None]:
        yield inside()


class AsyncPageScorer:
    async def __call__(self, client_id: str) -> AsyncIterator[str | None]:
        yield inside()


scorer = decorate(Scorer())
partial = decorate(functools.partial(bare, "A"))


def wrapped_by_functools(function: Any) -> Any:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


@wrapt.decorator
def wrapped_by_wrapt(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    return wrapped(*args, **kwargs)
