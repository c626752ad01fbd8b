"""Each call is a run of its own, and its errors pass as they are."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import subprocess
import sys
import threading
import traceback
import types
import warnings
import weakref
from pathlib import Path

import pytest

from jobspan._api.instrumented import instrument
from tests.api.recording import RecordingScope, current, inside


class Boom(Exception):
    pass


def fails(error):
    raise error


async def afails(error):
    raise error


def gfails(error):
    raise error
    yield


async def agfails(error):
    raise error
    yield


def drive(function, *args):
    """Call `function` and run what it gives to its end, without a frame between."""
    result = function(*args)
    if hasattr(result, "__anext__"):
        result = result.__anext__()
    if hasattr(result, "__await__"):
        result = result.__await__()
    if hasattr(result, "__next__"):
        for _ in result:
            pass
    return result


def frames(error):
    return len(traceback.extract_tb(error.__traceback__))


FAILING = [fails, afails, gfails, agfails]


@pytest.mark.parametrize("function", FAILING)
@pytest.mark.parametrize(
    "error",
    [Boom("x"), KeyboardInterrupt(), SystemExit(0), SystemExit(3), asyncio.CancelledError(), GeneratorExit()],
)
def test_an_error_passes_as_it_is_and_reaches_the_run(function, error):
    scope = RecordingScope()
    with pytest.raises(type(error)) as caught:
        drive(instrument(function, scope), error)
    assert caught.value is error
    assert scope.only.error is error
    assert scope.balanced()
    assert current.get() is None


@pytest.mark.parametrize("function", FAILING)
def test_a_traceback_grows_by_one_frame_at_most(function):
    with pytest.raises(Boom) as bare:
        drive(function, Boom())
    with pytest.raises(Boom) as ours:
        drive(instrument(function, RecordingScope()), Boom())
    assert frames(ours.value) <= frames(bare.value) + 1


def test_a_traceback_of_a_method_grows_by_one_frame_at_most():
    class Job:
        @classmethod
        def of_class(cls):
            raise Boom

        def method(self):
            raise Boom

        decorated = instrument(method, RecordingScope())
        decorated_class = instrument(of_class, RecordingScope())

    for call in (Job().decorated, lambda: Job.decorated(Job()), Job.decorated_class):
        with pytest.raises(Boom) as caught:
            call()
        own = 2 + (call.__name__ == "<lambda>")
        assert frames(caught.value) == own + 1


@pytest.mark.parametrize("function", FAILING)
def test_context_cause_and_notes_are_left_alone(function):
    cause, around = ValueError("cause"), KeyError("around")
    error = Boom()
    error.__cause__ = cause
    error.add_note("note")
    try:
        raise around
    except KeyError:
        with pytest.raises(Boom):
            drive(instrument(function, RecordingScope()), error)
    assert error.__cause__ is cause
    assert error.__notes__ == ["note"]
    assert error.__context__ is around
    fresh = Boom()
    with pytest.raises(Boom):
        drive(instrument(function, RecordingScope()), fresh)
    assert fresh.__context__ is None
    assert fresh.__cause__ is None


class Held:
    """Something to see alive or gone."""


@pytest.mark.parametrize("function", FAILING)
def test_no_cycle_keeps_frames_alive(function):
    gc.collect()
    gc.disable()
    try:
        held = Held()
        reference = weakref.ref(held)
        scope = RecordingScope(keep_errors=False)
        decorated = instrument(function, scope)

        def call(held):
            try:
                drive(decorated, Boom)  # the class: the body itself must keep no cycle
            except Boom as error:
                return frames(error)

        assert call(held) > 1
        scope.runs.clear()
        scope.events.clear()
        del held
        assert reference() is None
    finally:
        gc.enable()


def returns(value):
    return None


async def areturns(value):
    return None


def greturns(value):
    yield


async def agreturns(value):
    yield


@pytest.mark.parametrize("function", [returns, areturns, greturns])
def test_arguments_are_let_go_after_the_call(function):
    gc.collect()
    gc.disable()
    try:
        held = Held()
        reference = weakref.ref(held)
        scope = RecordingScope()
        result = drive(instrument(function, scope), held)
        scope.runs.clear()
        scope.events.clear()
        del held, result
        assert reference() is None
    except StopIteration:
        pytest.fail("it stopped early")
    finally:
        gc.enable()


def test_every_call_has_a_run_of_its_own():
    scope = RecordingScope()

    def work(n):
        assert current.get().args == (n,)
        return 0 if n == 0 else 1 + function(n - 1)

    function = instrument(work, scope)
    assert function(5) == 5
    assert [run.args[0] for run in scope.runs] == [5, 4, 3, 2, 1, 0]
    assert [run.parent for run in scope.runs] == [None, *scope.runs[:-1]]
    assert scope.balanced()


def test_an_argument_that_cannot_be_shown_does_no_harm():
    class Hostile:
        def __str__(self):
            raise Boom

        __repr__ = __eq__ = __bool__ = __hash__ = __len__ = __str__

    scope = RecordingScope()
    hostile = Hostile()
    function = instrument(lambda value, key=None: value, scope)
    assert function(hostile, key=hostile) is hostile
    assert scope.only.args[0] is hostile

    class Job:
        __repr__ = __eq__ = __bool__ = __hash__ = __len__ = Hostile.__str__
        method = function

    job = Job()
    assert job.method() is job
    assert scope.balanced()


def test_threads_share_one_function():
    scope = RecordingScope()
    ready = threading.Barrier(8)

    def work(n):
        ready.wait(10)
        for _ in range(50):
            assert current.get().args == (n,)
        return n

    function = instrument(work, scope)
    results = []
    threads = [threading.Thread(target=lambda n=n: results.append(function(n))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(results) == list(range(8))
    assert sorted(run.args[0] for run in scope.runs) == list(range(8))
    assert len({run.number for run in scope.runs}) == 8
    assert {run.parent for run in scope.runs} == {None}
    assert scope.balanced()


def test_tasks_share_one_function():
    scope = RecordingScope()

    async def work(n):
        for _ in range(5):
            await asyncio.sleep(0)
            assert current.get().args == (n,)
        return n

    function = instrument(work, scope)

    async def main():
        results = await asyncio.gather(*(function(n) for n in range(8)))
        assert current.get() is None
        return results

    assert asyncio.run(main()) == list(range(8))
    assert sorted(run.args[0] for run in scope.runs) == list(range(8))
    assert {run.parent for run in scope.runs} == {None}
    assert scope.balanced()


def test_a_coroutine_runs_in_the_context_of_its_task():
    scope = RecordingScope()

    async def work():
        await asyncio.sleep(0)
        return inside()

    async def main():
        outer = asyncio.create_task(instrument(work, scope)())
        coroutine = instrument(work, scope)()
        assert current.get() is None
        return await outer, await coroutine, current.get()

    assert asyncio.run(main()) == ("scope", "scope", None)


def test_a_cancelled_coroutine_passes_the_very_error_to_its_run():
    scope = RecordingScope()

    async def work():
        await asyncio.sleep(60)

    async def main():
        task = asyncio.create_task(instrument(work, scope)())
        await asyncio.sleep(0)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        return caught.value

    error = asyncio.run(main())
    assert scope.only.error is error
    assert error.args == ("enough",)
    assert scope.balanced()


def test_a_coroutine_stopped_by_a_timeout_is_cancelled():
    scope = RecordingScope()

    async def work():
        await asyncio.sleep(60)

    async def main():
        async with asyncio.timeout(0.01):
            await instrument(work, scope)()

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert isinstance(scope.only.error, asyncio.CancelledError)


def test_a_coroutine_never_awaited_has_no_run_and_warns_as_usual():
    scope = RecordingScope()

    async def work(n):
        pass

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        instrument(work, scope)(1)
        gc.collect()
    assert [str(warning.message) for warning in caught] == [
        f"coroutine {work.__qualname__!r} was never awaited"
    ]
    assert scope.runs == []


def test_a_coroutine_closed_before_it_was_awaited_has_no_run_and_no_warning():
    scope = RecordingScope()

    async def work():
        pass

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        coroutine = instrument(work, scope)()
        coroutine.close()
        del coroutine
        gc.collect()
    assert scope.runs == []


def test_a_coroutine_left_suspended_ends_with_generator_exit():
    scope = RecordingScope()

    @types.coroutine
    def wait():
        yield

    async def work():
        await wait()

    coroutine = instrument(work, scope)()
    contextvars.copy_context().run(coroutine.send, None)
    assert scope.only.state == "open"
    del coroutine  # closes it in another context
    gc.collect()
    assert isinstance(scope.only.error, GeneratorExit)
    assert scope.only.state == "closed"


def test_a_decorated_coroutine_is_a_coroutine_of_the_same_name():
    async def work():
        pass

    coroutine = instrument(work, RecordingScope())()
    assert asyncio.iscoroutine(coroutine)
    assert (coroutine.__name__, coroutine.__qualname__) == (work.__name__, work.__qualname__)
    coroutine.close()


@pytest.mark.parametrize("function", [returns, areturns, greturns, agreturns])
def test_wrong_arguments_are_refused_where_the_call_is(function):
    scope = RecordingScope()
    with pytest.raises(TypeError, match=f"{function.__name__}\\(\\) missing 1 required positional argument"):
        instrument(function, scope)()
    assert scope.balanced()


def test_a_coroutine_function_marked_as_such_is_awaited():
    scope = RecordingScope()

    def work():
        future = asyncio.get_running_loop().create_future()
        future.set_result("done")
        return future

    work._is_coroutine = asyncio.coroutines._is_coroutine

    async def main():
        return await instrument(work, scope)()

    assert asyncio.run(main()) == "done"
    assert scope.balanced()
    assert len(scope.runs) == 1


def test_an_old_style_coroutine_is_awaited():
    scope = RecordingScope()

    @types.coroutine
    def work():
        yield
        return inside()

    async def main():
        return await instrument(work, scope)()

    assert asyncio.run(main()) == "scope"
    assert scope.balanced()


def test_it_works_without_the_c_part_of_wrapt():
    script = (
        "import wrapt, sys; sys.argv = ['x']\n"
        "import pytest; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', 'tests/api/test_contract.py']))"
    )
    root = Path(__file__).parents[2]
    env = {**os.environ, "WRAPT_DISABLE_EXTENSIONS": "1", "PYTHONPATH": str(root / "src")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=root,
        env=env,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
