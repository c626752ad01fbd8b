"""Generators and async generators: a run is open while they are iterated, in context only inside."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import contextvars
import gc
import inspect
import sys
import threading
import traceback
import warnings

import pytest

from jobspan._api.instrumented import instrument
from tests.api.recording import RecordingRun, RecordingScope, current, inside


class Boom(Exception):
    pass


def made(scope):
    """Return an undecorated and a decorated talkative generator function."""

    def talk(n=3):
        """Yield numbers, answer what is sent, bear what is thrown."""
        told = []
        for number in range(n):
            try:
                told.append((yield number))
            except KeyError as error:
                told.append(error)
                told.append((yield "borne"))
        return told

    return talk, instrument(talk, scope)


@pytest.fixture
def scope():
    return RecordingScope()


def test_a_generator_not_started_has_no_run(scope):
    _, talk = made(scope)
    generator = talk()
    assert scope.runs == []
    generator.close()
    with pytest.raises(StopIteration):
        next(generator)
    del generator
    thrown = talk()
    with pytest.raises(Boom):
        thrown.throw(Boom())
    with pytest.raises(StopIteration):
        next(thrown)
    talk()
    gc.collect()
    assert scope.runs == []


def test_the_run_is_open_from_the_first_step_to_the_end(scope):
    _, talk = made(scope)
    generator = talk(2)
    assert next(generator) == 0
    assert scope.only.state == "open"
    assert next(generator) == 1
    assert scope.only.state == "open"
    with pytest.raises(StopIteration):
        next(generator)
    assert scope.only.state == "closed"
    assert scope.only.error is None
    with pytest.raises(StopIteration):
        next(generator)
    assert scope.only.steps == 3


def test_the_consumer_never_sees_the_context(scope):
    outer = RecordingScope("outer")

    @instrument_with(scope)
    def body():
        while True:
            assert inside() == "scope"
            yield current.get()

    @instrument_with(outer)
    def consumer():
        generator = body()
        runs = {next(generator) for _ in range(3)}
        assert inside() == "outer"
        generator.close()
        assert inside() == "outer"
        return runs

    (run,) = consumer()
    assert run is scope.only
    assert run.parent is outer.only


def instrument_with(scope):
    return lambda function: instrument(function, scope)


def test_two_generators_interleaved_keep_their_own_runs(scope):
    @instrument_with(scope)
    def body(n):
        while True:
            yield current.get().args

    first, second = body(1), body(2)
    assert [next(first), next(second), next(first), next(second)] == [(1,), (2,), (1,), (2,)]
    second.close()
    first.close()
    assert scope.balanced()


SCRIPTS = [
    [("next",), ("next",), ("next",), ("next",), ("next",)],
    [("send", 1)],
    [("send", 1), ("next",), ("send", 2), ("send", 3)],
    [("next",), ("send", "a"), ("throw", KeyError("k")), ("send", "b"), ("next",), ("next",)],
    [("next",), ("throw", Boom()), ("next",)],
    [("throw", Boom()), ("next",)],
    [("next",), ("close",), ("next",), ("close",)],
    [("close",), ("send", 1)],
    [("next",), ("throw", GeneratorExit()), ("next",)],
    [("next",), ("throw", StopIteration("mine")), ("next",)],
]


def played(generator, script):
    heard = []
    for method, *args in script:
        try:
            call = generator.__next__ if method == "next" else getattr(generator, method)
            heard.append(call(*args))
        except BaseException as error:  # noqa: BLE001 - compared with the bare one's
            value = [str(part) for part in error.value or []] if isinstance(error, StopIteration) else None
            heard.append((type(error), str(error) if value is None else value))
        heard.append(inspect.getgeneratorstate(generator))
    return heard


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: " ".join(step[0] for step in script))
def test_it_answers_as_the_generator_it_wraps(scope, script):
    bare, talk = made(scope)
    assert played(talk(), script) == played(bare(), script)
    del script
    gc.collect()
    assert scope.balanced()


def test_the_returned_value_is_that_of_yield_from(scope):
    _, talk = made(scope)

    def outer():
        return (yield from talk(2))

    generator = outer()
    next(generator)
    generator.send("a")
    with pytest.raises(StopIteration) as caught:
        generator.send("b")
    assert caught.value.value == ["a", "b"]
    assert scope.balanced()


def test_it_can_delegate_itself(scope):
    _, talk = made(scope)

    @instrument_with(RecordingScope("outer"))
    def outer():
        return (yield from talk(2))

    generator = outer()
    assert [next(generator), generator.send("a")] == [0, 1]
    assert generator.throw(KeyError()) == "borne"
    assert isinstance(generator.gi_yieldfrom, collections.abc.Generator)
    generator.close()
    assert isinstance(scope.only.error, GeneratorExit)


def test_break_ends_the_run_with_generator_exit(scope):
    _, talk = made(scope)
    for _ in talk():
        break
    gc.collect()
    assert isinstance(scope.only.error, GeneratorExit)
    assert scope.balanced()


def test_a_cleanup_after_break_is_inside_the_run(scope):
    seen = []

    @instrument_with(scope)
    def body():
        try:
            yield
        finally:
            seen.append(inside())

    for _ in body():
        break
    generator = body()
    next(generator)
    generator.close()
    assert seen == ["scope", "scope"]
    assert scope.balanced()


def test_a_cleanup_that_fails_is_the_error_of_the_run(scope):
    @instrument_with(scope)
    def body():
        try:
            yield
        finally:
            raise Boom

    generator = body()
    next(generator)
    with pytest.raises(Boom) as caught:
        generator.close()
    assert scope.only.error is caught.value


def test_a_generator_that_will_not_close_stays_open(scope):
    @instrument_with(scope)
    def body():
        with contextlib.suppress(GeneratorExit):
            yield 1
        yield 2
        yield 3

    generator = body()
    next(generator)
    with pytest.raises(RuntimeError, match="generator ignored GeneratorExit"):
        generator.close()
    assert scope.only.state == "open"
    assert next(generator) == 3
    with pytest.raises(StopIteration):
        next(generator)
    assert scope.only.error is None
    assert scope.only.state == "closed"


def test_a_generator_used_inside_itself_is_refused_and_goes_on(scope):
    caught = []

    @instrument_with(scope)
    def body():
        try:
            next(generator)
        except ValueError as error:
            caught.append(str(error))
        yield 1

    generator = body()
    assert list(generator) == [1]
    assert caught == ["generator already executing"]
    assert scope.only.error is None
    assert scope.balanced()


def test_a_generator_is_iterated_from_different_threads(scope):
    @instrument_with(scope)
    def body():
        for _ in range(4):
            yield (threading.get_ident(), current.get())

    generator = body()
    seen = []
    for _ in range(5):
        thread = threading.Thread(target=lambda: seen.extend([next(generator, None), current.get()]))
        thread.start()
        thread.join(10)
    assert [item[1] for item in seen[:8:2]] == [scope.only] * 4
    assert seen[1::2] == [None] * 5
    assert scope.only.error is None
    assert scope.balanced()


def test_threads_that_fight_for_a_generator_break_nothing(scope):
    @instrument_with(scope)
    def body():
        yield from range(300)

    generator = body()
    items, errors = [], []

    def consume():
        while True:
            try:
                items.append(next(generator))
            except StopIteration:
                return
            except ValueError as error:
                errors.append(str(error))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=consume) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    finally:
        sys.setswitchinterval(interval)
    assert sorted(items) == list(range(300))
    assert set(errors) <= {"generator already executing"}
    assert scope.only.error is None
    assert scope.balanced()


@pytest.mark.parametrize("where", ["start", "deactivate", "finish"])
def test_a_signal_in_the_midst_of_tracking_leaves_the_generator_usable(monkeypatch, scope, where):
    _, talk = made(scope)
    original = getattr(RecordingRun, where)
    signals = [KeyboardInterrupt()]

    def interrupted(self, *args):
        result = original(self, *args)
        if signals:
            raise signals.pop()
        return result

    monkeypatch.setattr(RecordingRun, where, interrupted)
    generator = talk(1)
    heard = played(generator, [("next",), ("next",), ("next",)])
    assert (KeyboardInterrupt, "") in heard
    assert heard[-2][0] is StopIteration
    assert current.get() is None


def test_a_generator_is_iterated_from_different_contexts(scope):
    @instrument_with(scope)
    def body():
        while True:
            yield current.get()

    generator = body()
    runs = [contextvars.copy_context().run(next, generator) for _ in range(3)]
    contextvars.copy_context().run(generator.close)
    assert runs == [scope.only] * 3
    assert scope.balanced()


def test_a_generator_object_looks_like_one(scope):
    bare, talk = made(scope)
    generator = talk()
    assert inspect.isgenerator(generator)
    assert isinstance(generator, collections.abc.Generator)
    assert iter(generator) is generator
    assert (generator.__name__, generator.__qualname__) == (bare.__name__, bare.__qualname__)
    assert inspect.getgeneratorlocals(generator) == {"n": 3}
    assert generator.gi_code is bare.__code__
    assert not generator.gi_running
    next(generator)
    assert generator.gi_suspended
    generator.close()
    assert generator.gi_frame is None
    assert "talk" in repr(generator)


# Async generators.


async def aplayed(generator, script):
    heard = []
    for method, *args in script:
        try:
            call = generator.__anext__ if method == "next" else getattr(generator, f"a{method}")
            heard.append(await call(*args))
        except BaseException as error:  # noqa: BLE001 - compared with the bare one's
            heard.append((type(error), str(error)))
        heard.append((generator.ag_frame is None, generator.ag_running))
    return heard


def amade(scope):
    async def talk(n=3):
        told = []
        for number in range(n):
            await asyncio.sleep(0)
            try:
                told.append((yield number))
            except KeyError:
                told.append((yield "borne"))
        yield told

    return talk, instrument(talk, scope)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: " ".join(step[0] for step in script))
def test_it_answers_as_the_async_generator_it_wraps(scope, script):
    bare, talk = amade(scope)

    async def both():
        ours, plain = talk(), bare()
        heard = await aplayed(ours, script), await aplayed(plain, script)
        await ours.aclose()
        await plain.aclose()
        return heard

    ours, plain = asyncio.run(both())
    assert ours == plain
    assert scope.balanced()


def test_an_async_generator_not_started_has_no_run(scope):
    _, talk = amade(scope)

    async def main():
        generator = talk()
        await generator.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(generator)
        thrown = talk()
        with pytest.raises(Boom):
            await thrown.athrow(Boom())
        talk()

    asyncio.run(main())
    gc.collect()
    assert scope.runs == []


def test_an_async_run_is_open_from_the_first_step_to_the_end(scope):
    _, talk = amade(scope)

    async def main():
        items = []
        async for item in talk(2):
            items.append(item)
            assert scope.only.state == "open"
            assert current.get() is None
        return items

    assert asyncio.run(main()) == [0, 1, [None, None]]
    assert scope.only.error is None
    assert scope.balanced()


def test_the_context_is_there_after_each_await(scope):
    @instrument_with(scope)
    async def body():
        for _ in range(3):
            assert inside() == "scope"
            await asyncio.sleep(0)
            assert inside() == "scope"
            yield

    async def main():
        seen = []

        async def other():
            for _ in range(10):
                seen.append(inside())
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        async for _ in body():
            seen.append(inside())
        await task
        return set(seen)

    assert asyncio.run(main()) == {None}
    assert scope.balanced()


def test_different_tasks_iterate_one_async_generator(scope):
    _, talk = amade(scope)

    async def main():
        generator = talk(4)
        items = [await asyncio.create_task(step(generator)) for _ in range(5)]
        with pytest.raises(StopAsyncIteration):
            await step(generator)
        return items

    async def step(generator):
        item = await anext(generator)
        assert current.get() is None
        return item

    assert asyncio.run(main())[:4] == [0, 1, 2, 3]
    assert scope.only.error is None
    assert scope.balanced()


def test_a_step_asked_in_one_task_is_awaited_in_another(scope):
    _, talk = amade(scope)

    async def main():
        generator = talk(1)
        steps = [generator.__anext__(), generator.__anext__()]

        async def awaited(step):
            return await step

        items = [await asyncio.create_task(awaited(step)) for step in steps]
        await generator.aclose()
        return items

    assert asyncio.run(main()) == [0, [None]]
    assert isinstance(scope.only.error, GeneratorExit)
    assert scope.balanced()


def test_two_tasks_at_once_are_refused(scope):
    bare, talk = amade(scope)

    async def main(generator):
        results = await asyncio.gather(anext(generator), anext(generator), return_exceptions=True)
        rest = [item async for item in generator]
        return [results[0], type(results[1]), str(results[1]), rest]

    assert asyncio.run(main(talk())) == asyncio.run(main(bare()))
    assert scope.only.error is None
    assert scope.balanced()


def test_a_timeout_ends_it_with_the_cancellation(scope):
    @instrument_with(scope)
    async def body():
        yield 1
        await asyncio.sleep(60)

    async def main():
        try:
            async with asyncio.timeout(0.01):
                async for _ in body():
                    pass
        finally:
            assert current.get() is None

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert isinstance(scope.only.error, asyncio.CancelledError)
    assert scope.balanced()


def test_wait_for_a_step(scope):
    _, talk = amade(scope)

    async def main():
        async with contextlib.aclosing(talk()) as generator:
            return await asyncio.wait_for(anext(generator), 5), await asyncio.wait_for(
                generator.__anext__(), 5
            )

    assert asyncio.run(main()) == (0, 1)
    assert isinstance(scope.only.error, GeneratorExit)
    assert scope.balanced()


def test_aclosing_after_break_cleans_up_inside_the_run(scope):
    seen = []

    @instrument_with(scope)
    async def body():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            seen.append(inside())

    async def main():
        async with contextlib.aclosing(body()) as items:
            async for _ in items:
                break
        return scope.only.state

    assert asyncio.run(main()) == "closed"
    assert seen == ["scope"]
    assert isinstance(scope.only.error, GeneratorExit)


def test_one_left_behind_is_closed_by_its_loop_inside_the_run(scope):
    seen = []

    @instrument_with(scope)
    async def body():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            seen.append(inside())

    async def main():
        async for _ in body():
            break
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)
        return scope.only.state

    assert asyncio.run(main()) == "closed"
    assert seen == ["scope"]
    assert isinstance(scope.only.error, GeneratorExit)
    assert scope.balanced()


def test_a_break_is_a_break_even_where_the_loop_ends_at_once(scope):
    _, talk = amade(scope)

    async def main():
        async for _ in talk():
            break

    asyncio.run(main())
    gc.collect()
    assert isinstance(scope.only.error, GeneratorExit)
    assert scope.balanced()


def test_one_held_to_the_end_of_the_loop_is_closed_by_it(scope):
    seen = []

    @instrument_with(scope)
    async def body():
        try:
            yield 1
        finally:
            seen.append(inside())

    held = []

    async def main():
        held.append(body())
        await anext(held[0])

    asyncio.run(main())
    assert seen == ["scope"]
    assert scope.only.state == "closed"
    assert isinstance(scope.only.error, GeneratorExit)


def test_one_left_behind_after_its_loop_is_still_closed(scope):
    @instrument_with(scope)
    async def body():
        yield 1

    loop = asyncio.new_event_loop()
    held = [body()]

    async def main():
        return await anext(held[0])

    assert loop.run_until_complete(main()) == 1
    loop.close()
    held.clear()
    gc.collect()
    assert scope.only.state == "closed"
    assert scope.balanced()


def test_one_whose_loop_stops_before_it_cleans_up_is_still_closed(scope):
    @instrument_with(scope)
    async def body():
        yield 1

    loop = asyncio.new_event_loop()
    held = [body()]

    async def main():
        return await anext(held[0])

    assert loop.run_until_complete(main()) == 1
    held.clear()
    gc.collect()
    loop.close()
    del loop, main
    gc.collect()
    assert scope.only.state == "closed"
    assert scope.balanced()


def test_one_driven_without_a_loop_is_closed_when_it_is_left(scope):
    @instrument_with(scope)
    async def body():
        yield inside()

    generator = body()
    with pytest.raises(StopIteration) as caught:
        generator.__anext__().send(None)
    assert caught.value.value == "scope"
    del generator, caught
    gc.collect()
    assert isinstance(scope.only.error, GeneratorExit)
    assert scope.balanced()


def test_a_step_keeps_its_generator_alive(scope):
    _, talk = amade(scope)

    async def main():
        step = talk().__anext__()
        gc.collect()
        await asyncio.sleep(0)
        return await step

    assert asyncio.run(main()) == 0
    gc.collect()
    assert isinstance(scope.only.error, GeneratorExit)
    assert scope.balanced()


def test_the_hooks_of_the_thread_are_left_as_they_were(scope):
    _, talk = amade(scope)
    seen = []
    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=seen.append, finalizer=seen.append)
    try:
        generator = talk()
        hooks = sys.get_asyncgen_hooks()
        step = generator.__anext__()
        assert sys.get_asyncgen_hooks() == hooks
        step.close()
    finally:
        sys.set_asyncgen_hooks(*before)
    assert seen == [generator]


def test_an_async_generator_object_looks_like_one(scope):
    bare, talk = amade(scope)
    generator = talk()
    assert inspect.isasyncgen(generator)
    assert isinstance(generator, collections.abc.AsyncGenerator)
    assert aiter(generator) is generator
    assert (generator.__name__, generator.__qualname__) == (bare.__name__, bare.__qualname__)
    assert generator.ag_code is bare.__code__
    step = generator.asend(None)
    assert inspect.isawaitable(step)
    step.close()


def test_an_async_context_manager_over_it(scope):
    @contextlib.asynccontextmanager
    @instrument_with(scope)
    async def opened():
        try:
            yield inside()
        except KeyError:
            await asyncio.sleep(0)
            assert inside() == "scope"

    async def main():
        async with opened() as name:
            assert inside() is None
            raise KeyError
        return name

    assert asyncio.run(main()) == "scope"
    assert scope.only.error is None
    assert scope.balanced()


@pytest.mark.parametrize("method", ["send", "throw"])
def test_a_traceback_through_send_and_throw_grows_by_one_frame(scope, method):
    def body():
        yield
        raise Boom

    async def abody():
        yield
        raise Boom

    def to_the_end(generator):
        given = None if method == "send" else Boom()
        if hasattr(generator, "gi_code"):
            next(generator)
            getattr(generator, method)(given)
        drive_step(generator.__anext__())
        drive_step(getattr(generator, f"a{method}")(given))

    def frames(generator):
        with pytest.raises(Boom) as caught:
            to_the_end(generator)
        return len(traceback.extract_tb(caught.value.__traceback__))

    def drive_step(step):
        with contextlib.suppress(StopIteration):
            step.send(None)

    for function in (body, abody):
        assert frames(instrument(function, scope)()) == frames(function()) + 1


def test_anext_with_a_default(scope):
    _, talk = amade(scope)

    async def main():
        generator = talk(0)
        return await anext(generator, "none"), await anext(generator, "none")

    assert asyncio.run(main()) == ([], "none")
    assert scope.balanced()


def test_a_step_dropped_half_way_leaves_the_generator_usable_as_python_does(scope):
    bare, talk = amade(scope)

    def half(generator):
        step = generator.__anext__()
        step.send(None)
        step.close()
        with contextlib.suppress(StopIteration, StopAsyncIteration, RuntimeError):
            generator.aclose().send(None)
        return generator.ag_frame is None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert half(talk()) == half(bare())
        gc.collect()
    assert scope.balanced()


def test_async_generators_are_used_by_eight_tasks(scope):
    @instrument_with(scope)
    async def body(n):
        for _ in range(5):
            await asyncio.sleep(0)
            assert current.get().args == (n,)
            yield n

    async def main():
        async def consume(n):
            return [item async for item in body(n)]

        return await asyncio.gather(*(consume(n) for n in range(8)))

    assert asyncio.run(main()) == [[n] * 5 for n in range(8)]
    assert len(scope.runs) == 8
    assert scope.balanced()
