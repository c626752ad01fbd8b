"""Never run, only type-checked: `instrument` keeps the type of what it wraps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ParamSpec, TypeVar, assert_type

from jobspan._api.argument import signature_binder
from jobspan._api.instrumented import instrument
from jobspan._api.scope import OpenRun, Scope

P = ParamSpec("P")
R = TypeVar("R")


def bind(scope: object) -> OpenRun:
    raise LookupError(scope)


class SomeScope:
    def bind(
        self,
        function: Callable[..., Any],
        instance: object | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> OpenRun:
        return bind(self)


scope: Scope = SomeScope()


def decorate(function: Callable[P, R]) -> Callable[P, R]:
    return instrument(function, scope)


@decorate
def plain(client_id: str, weight: int = 2) -> float:
    return 1.0


@decorate
async def coroutine(client_id: str) -> float:
    return 1.0


@decorate
def generator(client_id: str) -> Iterator[int]:
    yield 1


@decorate
async def async_generator(client_id: str) -> AsyncIterator[int]:
    yield 1


class Job:
    @decorate
    def method(self, client_id: str) -> float:
        return 1.0

    @decorate
    async def coroutine(self, client_id: str) -> float:
        return 1.0

    @classmethod
    @decorate
    def of_class(cls, client_id: str) -> float:
        return 1.0

    @staticmethod
    @decorate
    def static(client_id: str) -> float:
        return 1.0


assert_type(plain("A"), float)
assert_type(plain("A", weight=3), float)
assert_type(generator("A"), Iterator[int])
assert_type(async_generator("A"), AsyncIterator[int])
assert_type(Job().method("A"), float)
assert_type(Job.method(Job(), "A"), float)
assert_type(Job.of_class("A"), float)
assert_type(Job().of_class("A"), float)
assert_type(Job.static("A"), float)
assert_type(Job().static("A"), float)
assert_type(signature_binder(plain, "client_id")(("A",), {}), Any)

plain(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
plain()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Job().method()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Job.static(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def awaited() -> None:
    assert_type(await coroutine("A"), float)
    assert_type(await Job().coroutine("A"), float)
    assert_type([item async for item in async_generator("A")], list[int])
