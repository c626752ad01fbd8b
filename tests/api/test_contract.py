"""The decorator contract, a test per clause."""

from __future__ import annotations

import abc
import asyncio
import builtins
import copy
import doctest
import functools
import gc
import inspect
import operator
import pydoc
import types
import typing
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from jobspan._api.argument import signature_binder
from jobspan._api.instrumented import InstrumentedFunction, instrument
from jobspan.exceptions import UsageError
from tests.api import decorated
from tests.api.decorated import AsyncPageScorer, AsyncScorer, Batch, PageScorer, Scorer
from tests.api.recording import RecordingScope, current, inside


def run_through(result: Any) -> Any:
    """Return what a call gave: its value, its awaited value or its one item."""
    if inspect.isawaitable(result):

        async def awaited() -> Any:
            return await result

        return asyncio.run(awaited())
    if hasattr(result, "__anext__"):

        async def collected() -> Any:
            return [item async for item in result]

        (item,) = asyncio.run(collected())
        return item
    if hasattr(result, "__next__"):
        (item,) = result
        return item
    return result


def plain(client_id):
    return inside()


async def coroutine(client_id):
    return inside()


def generator(client_id):
    yield inside()


async def async_generator(client_id):
    yield inside()


def with_extra(extra, client_id):
    return inside()


async def async_with_extra(extra, client_id):
    return inside()


def pages_with_extra(extra, client_id):
    yield inside()


async def apages_with_extra(extra, client_id):
    yield inside()


KINDS = [plain, coroutine, generator, async_generator]


class Plain:
    def method(self, client_id):
        return inside()

    async def amethod(self, client_id):
        return inside()

    @classmethod
    def of_class(cls, client_id):
        return inside()


CALLABLES: dict[str, Callable[..., Any]] = {
    "function": plain,
    "coroutine function": coroutine,
    "generator function": generator,
    "async generator function": async_generator,
    "lambda": lambda client_id: inside(),
    "callable object": Scorer(),
    "async callable object": AsyncScorer(),
    "generator callable object": PageScorer(),
    "async generator callable object": AsyncPageScorer(),
    "partial": functools.partial(with_extra, 1),
    "partial coroutine": functools.partial(async_with_extra, 1),
    "partial generator": functools.partial(pages_with_extra, 1),
    "partial async generator": functools.partial(apages_with_extra, 1),
    "partial of a partial": functools.partial(functools.partial(async_with_extra), 1),
    "bound method": Plain().method,
    "bound coroutine method": Plain().amethod,
    "bound class method": Plain.of_class,
    "partial of a bound method": functools.partial(Plain().amethod),
    "partial of an async callable object": functools.partial(AsyncScorer()),
    "wrapped by functools": decorated.wrapped_by_functools(plain),
    **{f"{kind.__name__} wrapped by wrapt": decorated.wrapped_by_wrapt(kind) for kind in KINDS},
    "cached": functools.lru_cache(plain),
    "singledispatch": functools.singledispatch(plain),
}


def given(name: str) -> Callable[..., Any]:
    function = CALLABLES[name]
    if name == "cached":
        function.cache_clear()  # type: ignore[attr-defined]
    return function


@pytest.mark.parametrize("name", CALLABLES)
def test_any_callable_is_a_run_while_its_body_runs(name):
    scope = RecordingScope()
    function = instrument(given(name), scope)
    assert run_through(function("A")) == "scope"
    assert scope.only.error is None
    assert scope.balanced()
    assert inside() is None


@pytest.mark.parametrize("name", CALLABLES)
@pytest.mark.parametrize("by_keyword", [False, True])
def test_any_callable_tells_its_argument_by_name(name, by_keyword):
    if by_keyword and name == "singledispatch":
        pytest.skip("singledispatch itself wants its first argument by place")
    scope = RecordingScope()
    function = instrument(given(name), scope)
    reader = signature_binder(CALLABLES[name], "client_id")
    run_through(function(client_id="A") if by_keyword else function("A"))
    run = scope.only
    assert reader(run.args, run.kwargs) == "A"


QUESTIONS = {
    look: getattr(inspect, look)
    for look in dir(inspect)
    if look.startswith("is") and look not in ("isfunction", "ismethoddescriptor", "iskeyword")
}
"""What differs: it is no plain function, and has the ``__get__`` of one whatever it wraps."""


@pytest.mark.parametrize("name", [*CALLABLES, "builtin"])
def test_inspect_says_of_any_callable_what_it_says_of_the_bare_one(name):
    bare = len if name == "builtin" else CALLABLES[name]
    kept = instrument(bare, RecordingScope())
    asked = {look: ask for look, ask in QUESTIONS.items() if look != "isroutine" or inspect.isroutine(bare)}
    assert {look: ask(kept) for look, ask in asked.items()} == {
        look: ask(bare) for look, ask in asked.items()
    }
    assert asyncio.iscoroutinefunction(kept) == asyncio.iscoroutinefunction(bare)
    assert inspect.signature(kept) == inspect.signature(bare)
    assert isinstance(kept, Callable)
    if not inspect.isfunction(bare):
        assert isinstance(kept, type(bare))


@pytest.mark.parametrize("name", CALLABLES)
def test_a_callable_decorated_twice_is_two_runs_one_in_the_other(name):
    outer, inner = RecordingScope("outer"), RecordingScope("inner")
    function = instrument(instrument(given(name), inner), outer)
    assert run_through(function("A")) == "inner"
    assert inner.only.parent is outer.only
    assert inner.balanced()
    assert outer.balanced()


def made_class(scope: RecordingScope | None) -> Any:  # noqa: C901 - a list of methods
    """Return a class with every sort of method, each decorated with `scope` if there is one."""

    def deco(function: Any) -> Any:
        return function if scope is None else instrument(function, scope)

    class Job:
        @deco
        def method(self, client_id):
            return inside()

        @deco
        async def coroutine_method(self, client_id):
            return inside()

        @deco
        def generator_method(self, client_id):
            yield inside()

        @deco
        async def async_generator_method(self, client_id):
            yield inside()

        @deco
        @classmethod
        def outer_class(cls, client_id):
            assert cls is Job
            return inside()

        @classmethod
        @deco
        def inner_class(cls, client_id):
            assert cls is Job
            return inside()

        @deco
        @staticmethod
        def outer_static(client_id):
            return inside()

        @staticmethod
        @deco
        def inner_static(client_id):
            return inside()

        @deco
        @classmethod
        async def outer_class_coroutine(cls, client_id):
            return inside()

        @classmethod
        @deco
        async def inner_class_coroutine(cls, client_id):
            return inside()

        @deco
        @staticmethod
        def outer_static_generator(client_id):
            yield inside()

        @staticmethod
        @deco
        async def inner_static_async_generator(client_id):
            yield inside()

        def _plain(self, extra, client_id):
            return inside()

        def _single(self, client_id):
            return inside()

        async def _async(self, extra, client_id):
            return inside()

        @classmethod
        def _class(cls, extra, client_id):
            return inside()

        @staticmethod
        def _static(extra, client_id):
            return inside()

        partial_method = deco(functools.partialmethod(_plain, 7))
        partial_coroutine_method = deco(functools.partialmethod(_async, extra=7))
        partial_class = deco(functools.partialmethod(_class, 7))
        partial_static = deco(functools.partialmethod(_static, 7))
        dispatched = deco(functools.singledispatchmethod(_single))
        wrapt_below = deco(decorated.wrapped_by_wrapt(_plain))
        wrapt_above = decorated.wrapped_by_wrapt(deco(_plain))

    return Job


METHODS = [
    name
    for name in vars(made_class(RecordingScope()))
    if not name.startswith("_") and not name.startswith("wrapt")
]


def binder_of(job: Any, name: str) -> Any:
    found = inspect.getattr_static(job, name)
    if isinstance(found, (classmethod, staticmethod)):
        found = found.__func__
    return signature_binder(found.__wrapped__, "client_id")


@pytest.mark.parametrize("name", METHODS)
def test_any_method_is_a_run_and_tells_its_argument(name):
    scope = RecordingScope()
    job = made_class(scope)
    call = getattr(job(), name)
    by_keyword = {"extra": 7, "client_id": "A"} if name == "partial_coroutine_method" else None
    assert run_through(call(**by_keyword) if by_keyword else call("A")) == "scope"
    run = scope.only
    assert run.error is None
    assert binder_of(job, name)(run.args, run.kwargs) == "A"
    assert scope.balanced()


@pytest.mark.parametrize("name", [name for name in METHODS if "partial" not in name and name != "dispatched"])
def test_a_method_reached_through_its_class_is_the_same_run(name):
    scope = RecordingScope()
    job = made_class(scope)
    first = () if "class" in name or "static" in name else (job(),)
    assert run_through(getattr(job, name)(*first, "A")) == "scope"
    run = scope.only
    assert binder_of(job, name)(run.args, run.kwargs) == "A"
    assert scope.balanced()


def test_wrapt_decorators_above_and_below_keep_the_instance():
    scope = RecordingScope()
    job = made_class(scope)()
    assert job.wrapt_below(1, "A") == "scope"
    assert job.wrapt_above(1, "B") == "scope"
    assert [run.args for run in scope.runs] == [(job, 1, "A"), (job, 1, "B")]


def test_a_method_taken_apart_and_bound_again_is_still_a_run():
    scope = RecordingScope()
    job = made_class(scope)
    method, of_class = job().method, job.outer_class
    assert types.MethodType(method.__func__, job())("A") == "scope"
    assert of_class.__func__(job, "A") == "scope"
    assert len(scope.runs) == 2
    assert not hasattr(job.method, "__func__")


def test_the_instance_is_handed_to_the_scope():
    scope = RecordingScope()
    job = made_class(scope)()
    job.method("A")
    assert scope.only.instance is job


def test_a_method_made_by_hand_tells_the_same_arguments():
    scope = RecordingScope()
    job = made_class(scope)
    function = vars(job)["method"]
    assert types.MethodType(function, "self")("A") == "scope"  # so does classmethod from Python 3.13 on
    assert scope.only.args == ("self", "A")


def test_special_methods_can_be_decorated():
    class Special:
        @decorated.decorate
        def __init__(self):
            self.made = inside()

        @decorated.decorate
        def __call__(self, client_id):
            return inside()

        @decorated.decorate
        def __iter__(self):
            yield inside()

    special = Special()
    assert [special.made, special("A"), *special] == ["module"] * 3


def test_a_method_calls_the_one_of_its_parent_by_super():
    decorated.scope.runs.clear()
    assert decorated.Special().score("A") == "module"
    outer, inner = decorated.scope.runs
    assert inner.parent is outer
    assert [run.args[1] for run in (outer, inner)] == ["A", "A"]


def test_builtins_can_be_decorated():
    scope = RecordingScope()
    assert instrument(len, scope)([1, 2]) == 2
    assert instrument([3, 1].index, scope)(1) == 1
    assert [run.args for run in scope.runs] == [([1, 2],), (1,)]
    assert scope.balanced()


@pytest.mark.parametrize("wrong", [Scorer, int, Exception])
def test_a_class_is_refused(wrong):
    with pytest.raises(UsageError, match=f"cannot decorate the class {wrong.__qualname__}"):
        instrument(wrong, RecordingScope())


@pytest.mark.parametrize("wrong", [None, "name", 3, property(plain)])
def test_what_cannot_be_called_is_refused(wrong):
    with pytest.raises(UsageError, match="cannot be called"):
        instrument(wrong, RecordingScope())


def test_a_plain_function_that_returns_an_awaitable_is_a_plain_function():
    scope = RecordingScope()
    result = instrument(lambda: coroutine("A"), scope)()
    assert scope.balanced()
    assert run_through(result) is None


# What is kept.


def documented(client_id: str, weight: int = 2, *, dry: bool = False) -> str | None:
    """Score one client."""
    return inside()


async def adocumented(client_id: str, weight: int = 2, *, dry: bool = False) -> str | None:
    """Score one client."""


def gdocumented(client_id: str, weight: int = 2, *, dry: bool = False) -> Any:
    """Score one client."""
    yield


async def agdocumented(client_id: str, weight: int = 2, *, dry: bool = False) -> Any:
    """Score one client."""
    yield


DOCUMENTED = [documented, adocumented, gdocumented, agdocumented]

LOOKS: dict[str, Callable[[Any], Any]] = {
    "signature": inspect.signature,
    "iscoroutinefunction": inspect.iscoroutinefunction,
    "asyncio.iscoroutinefunction": asyncio.iscoroutinefunction,
    "isgeneratorfunction": inspect.isgeneratorfunction,
    "isasyncgenfunction": inspect.isasyncgenfunction,
    "callable": callable,
    "isroutine": inspect.isroutine,
    "ismethod": inspect.ismethod,
    "isclass": inspect.isclass,
    "isbuiltin": inspect.isbuiltin,
    "getdoc": inspect.getdoc,
    "getsource": inspect.getsource,
    "getmodule": inspect.getmodule,
    "getfullargspec": inspect.getfullargspec,
    "unwrap": inspect.unwrap,
    "type hints": typing.get_type_hints,
    "hash": hash,
    "vars": vars,
    **{
        name: operator.attrgetter(name)
        for name in (
            "__name__",
            "__qualname__",
            "__doc__",
            "__module__",
            "__annotations__",
            "__defaults__",
            "__kwdefaults__",
            "__code__",
            "__dict__",
            "__globals__",
        )
    },
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("function", DOCUMENTED, ids=lambda function: function.__name__)
def test_a_decorated_function_looks_like_what_it_wraps(function, look):
    assert LOOKS[look](instrument(function, RecordingScope())) == LOOKS[look](function)


@pytest.mark.parametrize(
    "look",
    [
        "signature",
        "iscoroutinefunction",
        "isgeneratorfunction",
        "isasyncgenfunction",
        "isroutine",
        "getdoc",
        "__name__",
        "__qualname__",
        "__module__",
        "__annotations__",
        "asyncio.iscoroutinefunction",
        "type hints",
    ],
)
@pytest.mark.parametrize("name", [name for name in METHODS if "partial" not in name and name != "dispatched"])
@pytest.mark.parametrize("through", ["class", "instance"])
def test_a_decorated_method_looks_like_what_it_wraps(name, look, through):
    decorated_class, bare_class = made_class(RecordingScope()), made_class(None)
    kept = getattr(decorated_class if through == "class" else decorated_class(), name)
    bare = getattr(bare_class if through == "class" else bare_class(), name)
    assert LOOKS[look](kept) == LOOKS[look](bare)


def test_wrapped_is_the_function_itself():
    assert instrument(documented, RecordingScope()).__wrapped__ is documented


def test_it_is_no_plain_function_and_says_so():
    function = instrument(documented, RecordingScope())
    assert not inspect.isfunction(function)
    assert isinstance(function, InstrumentedFunction)
    assert isinstance(function, Callable)
    assert function.__class__ is type(function)
    assert not isinstance(Batch().score, InstrumentedFunction)
    assert repr(function).startswith("<instrumented <function documented at")


def test_it_can_be_hashed_compared_and_weakly_referenced():
    function = instrument(documented, RecordingScope())
    assert {function: 1}[function] == 1
    assert function == function
    assert function != instrument(plain, RecordingScope())
    batch = Batch()
    assert batch.score == batch.score
    assert hash(batch.score) == hash(batch.score)
    assert batch.score != Batch("other").score
    reference = weakref.ref(function)
    assert reference() is function
    del function
    gc.collect()
    assert reference() is None


def test_attributes_can_be_set_on_it():
    def function():
        pass

    kept = instrument(function, RecordingScope())
    kept.retries = 3
    kept.__doc__ = "New."
    kept.__name__ = "other"
    assert (kept.retries, kept.__doc__, kept.__name__) == (3, "New.", "other")
    assert kept.__dict__ == {"retries": 3}
    del kept.retries
    assert not hasattr(kept, "retries")


def test_set_name_reaches_what_is_wrapped():
    named = []

    class Named:
        def __call__(self):
            pass

        def __set_name__(self, owner, name):
            named.append((owner, name))

    class Owner:
        field = instrument(Named(), RecordingScope())

    assert named == [(Owner, "field")]


def test_abstract_methods_stay_abstract():
    assert decorated.Abstract.__abstractmethods__ == {"score", "fetch"}
    with pytest.raises(TypeError, match="abstract"):
        decorated.Abstract()  # type: ignore[abstract]

    class Concrete(decorated.Abstract):
        def score(self, client_id):
            return "done"

        @decorated.decorate
        def fetch(self, client_id):
            return inside()

    assert isinstance(Concrete, abc.ABCMeta)
    assert Concrete().fetch("A") == "module"


def test_property_over_it():
    assert Batch().client_id == "module"


def test_cached_property_over_it():
    class Owner:
        @functools.cached_property
        @decorated.decorate
        def value(self):
            return inside()

    assert Owner().value == "module"


def test_lru_cache_over_and_under_it():
    scope = RecordingScope()
    over = functools.lru_cache(instrument(lambda client_id: inside(), scope))
    assert [over("A"), over("A")] == ["scope", "scope"]
    assert len(scope.runs) == 1
    under = instrument(functools.lru_cache(lambda client_id: inside()), scope)
    assert [under("A"), under("A")] == ["scope", "scope"]
    assert len(scope.runs) == 3
    assert under.cache_info().hits == 1


def test_singledispatch_over_and_under_it():
    scope = RecordingScope()
    over = functools.singledispatch(instrument(plain, scope))

    @over.register
    @decorated.decorate
    def _(client_id: int):
        return inside()

    under = instrument(functools.singledispatch(plain), scope)
    under.register(int, lambda client_id: "int")
    assert [over("A"), over(1), under("A"), under(1)] == ["scope", "module", "scope", "int"]


def test_functools_wraps_takes_it():
    function = decorated.wrapped_by_functools(instrument(documented, RecordingScope()))
    assert inspect.signature(function) == inspect.signature(documented)
    assert function("A") == "scope"


def test_help_shows_it_as_a_function():
    assert "score(client_id: 'str', weight: 'int' = 2, *, dry: 'bool' = False)" in pydoc.render_doc(
        decorated.score, renderer=pydoc.plaintext
    )
    assert "Score one client." in pydoc.render_doc(decorated, renderer=pydoc.plaintext)


def test_doctest_finds_it():
    result = doctest.testmod(decorated)
    assert result.attempted == 1
    assert result.failed == 0


def test_context_manager_over_a_decorated_generator_function():
    import contextlib

    scope = RecordingScope()

    @contextlib.contextmanager
    @functools.partial(instrument, scope=scope)
    def opened():
        try:
            yield inside()
        except KeyError:
            assert inside() == "scope"

    with opened() as name:
        assert name == "scope"
        assert inside() is None
        raise KeyError
    assert scope.balanced()
    assert scope.only.error is None


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy])
def test_copying_a_function_gives_itself(copier):
    assert copier(decorated.score) is decorated.score
    assert copier({"f": decorated.score})["f"] is decorated.score


def test_copying_a_method_copies_as_python_does():
    batch = Batch("copied")
    assert copy.copy(batch.score) == batch.score
    deep = copy.deepcopy(batch.score)
    assert deep.__self__ is not batch
    assert deep.__self__ == batch
    assert deep("A") == "module"
    assert copy.deepcopy(Batch.outer_class)("A") == "module"
    assert copy.deepcopy(Batch.inner_class)("A") == "module"
    assert copy.deepcopy(Batch.outer_static)("A") == "module"


def test_nothing_is_left_in_the_context_of_the_tests():
    assert current.get() is None
    assert builtins.len is len
