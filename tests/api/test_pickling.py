"""Decorated callables pickle, and arrive still decorated."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from jobspan._api.instrumented import InstrumentedFunction, instrument
from tests.api import decorated
from tests.api.decorated import Batch, Special
from tests.api.recording import RecordingScope, inside

_ROOT = Path(__file__).parents[2]
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)

BY_NAME = {
    "function": (decorated.score, ("A",)),
    "method": (Batch().score, ("A",)),
    "method of its class": (Batch.score, (Batch(), "A")),
    "overriding method": (Special().score, ("A",)),
    "method of a nested class": (Batch.Inner().score, ("A",)),
    "outer class method": (Batch.outer_class, ("A",)),
    "outer class method of an instance": (Batch().outer_class, ("A",)),
    "inner class method": (Batch.inner_class, ("A",)),
    "inherited class method": (Special.outer_class, ("A",)),
    "outer static method": (Batch.outer_static, ("A",)),
    "outer static method of an instance": (Batch().outer_static, ("A",)),
    "inner static method": (Batch.inner_static, ("A",)),
    "partial method": (Batch().partial_method, ("A",)),
    "callable object": (decorated.scorer, ("A",)),
    "partial": (decorated.partial, ()),
    "function under another name": (decorated.renamed, ("A",)),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", BY_NAME)
def test_it_survives_pickle(name, protocol):
    function, args = BY_NAME[name]
    assert pickle.loads(pickle.dumps(function, protocol))(*args) == "module"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("function", [decorated.score, decorated.fetch, decorated.pages, decorated.apages])
def test_a_function_with_a_name_is_found_again(function, protocol):
    assert pickle.loads(pickle.dumps(function, protocol)) is function


def test_the_raw_attribute_of_a_class_is_found_again():
    raw = vars(Batch)["score"]
    assert pickle.loads(pickle.dumps(raw)) is raw
    batch = Batch()
    assert pickle.loads(pickle.dumps((batch, batch.score)))[1].__self__ == batch


def test_the_python_pickler_agrees():
    assert pickle._loads(pickle._dumps(decorated.score)) is decorated.score
    assert pickle._loads(pickle._dumps(Batch().score))("A") == "module"


def test_a_local_function_gives_the_usual_error():
    def local():
        pass

    for function in (instrument(local, RecordingScope()), instrument(lambda: None, RecordingScope())):
        with pytest.raises((pickle.PicklingError, AttributeError), match="<locals>") as ours:
            pickle.dumps(function)
        with pytest.raises((pickle.PicklingError, AttributeError)) as usual:
            pickle.dumps(function.__wrapped__)
        assert ours.type is usual.type


@pytest.mark.parametrize("iteration", [decorated.pages("A"), decorated.apages("A")])
def test_a_generator_gives_the_usual_error(iteration):
    with pytest.raises(TypeError, match=r"cannot pickle '(async_)?generator' object"):
        pickle.dumps(iteration)


def test_a_builtin_goes_by_value():
    function = pickle.loads(pickle.dumps(instrument(len, RecordingScope("len"))))
    assert isinstance(function, InstrumentedFunction)
    assert function([1]) == 1


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pools_of_processes_run_it_decorated(method, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(_ROOT / "src"), str(_ROOT)]))
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        calls = [pool.submit(function, *args) for function, args in BY_NAME.values()]
        assert [call.result(timeout=60) for call in calls] == ["module"] * len(calls)
    with context.Pool(1) as workers:
        assert workers.map(decorated.score, ["A", "B"]) == ["module", "module"]
        workers.close()
        workers.join()


SCRIPT = """
import functools, pickle, sys
from jobspan._api.instrumented import instrument
from tests.api.recording import RecordingScope, inside
{imports}

def decorate(name):
    return functools.partial(instrument, scope=RecordingScope(name))

@decorate("main")
def score(client_id): return inside()

@decorate("outer")
@decorate("inner")
def twice(client_id): return inside()

@decorate("async")
async def fetch(client_id): return inside()

@decorate("pages")
def pages(client_id): yield inside()

@decorate("apages")
async def apages(client_id): yield inside()

@decorate("recursive")
def recursive(n): return inside() if n == 0 else recursive(n - 1)

class Batch:
    @decorate("method")
    def score(self, client_id): return inside()

    @decorate("class")
    @classmethod
    def outer_class(cls, client_id): return inside()

    @classmethod
    @decorate("inner class")
    def inner_class(cls, client_id): return inside()

    @decorate("static")
    @staticmethod
    def outer_static(client_id): return inside()

    @staticmethod
    @decorate("inner static")
    def inner_static(client_id): return inside()

class Special(Batch):
    @decorate("special")
    def score(self, client_id): return (inside(), super().score(client_id))

def closure(value):
    @decorate("closure")
    def local(client_id): return inside(), value
    return local

def recursive_closure():
    @decorate("recursive closure")
    def local(n): return inside() if n == 0 else local(n - 1)
    return local

class Scorer:
    def __call__(self, client_id): return inside()

def plain(client_id): return inside()

score.note = "kept"

cases = [
    ("main", score, ("A",)),
    ("inner", twice, ("A",)),
    ("async", fetch, ("A",)),
    ("pages", pages, ("A",)),
    ("apages", apages, ("A",)),
    ("recursive", recursive, (3,)),
    ("method", Batch().score, ("A",)),
    ("method", Batch.score, (Batch(), "A")),
    (("special", "method"), Special().score, ("A",)),
    ("class", Batch.outer_class, ("A",)),
    ("inner class", Batch.inner_class, ("A",)),
    ("static", Batch.outer_static, ("A",)),
    ("inner static", Batch.inner_static, ("A",)),
    (("closure", 7), closure(7), ("A",)),
    ("recursive closure", recursive_closure(), (3,)),
    ("lambda", decorate("lambda")(lambda client_id: inside()), ("A",)),
    ("object", decorate("object")(Scorer()), ("A",)),
    ("partial", decorate("partial")(functools.partial(plain, "A")), ()),
    ("renamed", decorate("renamed")(plain), ("A",)),
    ("main", score, ("A",)),
]
sys.stdout.buffer.write({dumps}(cases))
"""

LOADER = """
import pickle, sys
from tests.api.test_contract import run_through
for expected, function, args in pickle.loads(sys.stdin.buffer.read()):
    got = run_through(function(*args))
    assert got == expected, (expected, got)
    print(expected)
assert function.note == "kept" and function.__name__ == "score"
"""


def run_script(text, tmp_path, name, data=b""):
    script = tmp_path / name
    script.write_text(textwrap.dedent(text))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT / "src"), str(_ROOT), str(tmp_path)])}
    done = subprocess.run([sys.executable, str(script)], input=data, capture_output=True, timeout=60, env=env)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize(
    ("package", "imports", "dumps"),
    [
        ("cloudpickle", "import cloudpickle", "cloudpickle.dumps"),
        ("cloudpickle", "", "__import__('cloudpickle').dumps"),
        (
            "joblib.externals.cloudpickle",
            "import joblib.externals.cloudpickle",
            "joblib.externals.cloudpickle.dumps",
        ),
        ("ray.cloudpickle", "import ray.cloudpickle", "ray.cloudpickle.dumps"),
    ],
    ids=["cloudpickle", "cloudpickle imported late", "joblib", "ray"],
)
def test_cloudpickle_takes_functions_of_main_decorated_to_another_process(package, imports, dumps, tmp_path):
    pytest.importorskip(package)
    script = SCRIPT.replace("{imports}", imports).replace("{dumps}", dumps)
    pickled = run_script(script, tmp_path, "main_script.py")
    shown = run_script(LOADER, tmp_path, "loader.py", pickled).decode().splitlines()
    assert len(shown) == 20


def test_cloudpickle_sends_importable_functions_by_name():
    cloudpickle = pytest.importorskip("cloudpickle")
    assert pickle.loads(cloudpickle.dumps(decorated.score)) is decorated.score
    assert len(cloudpickle.dumps(decorated.score)) < 100
    assert pickle.loads(cloudpickle.dumps(Batch().score))("A") == "module"


def test_cloudpickle_sends_by_value_what_it_was_told_to():
    cloudpickle = pytest.importorskip("cloudpickle")
    cloudpickle.register_pickle_by_value(decorated)
    try:
        function = pickle.loads(cloudpickle.dumps(decorated.score))
    finally:
        cloudpickle.unregister_pickle_by_value(decorated)
    assert function is not decorated.score
    assert isinstance(function, InstrumentedFunction)
    assert function("A") == "module"


def test_a_script_run_as_main_uses_pools_of_processes(tmp_path):
    script = """
    import multiprocessing, sys
    from concurrent.futures import ProcessPoolExecutor
    from jobspan._api.instrumented import instrument
    from tests.api.recording import RecordingScope, inside
    import functools

    @functools.partial(instrument, scope=RecordingScope("main"))
    def score(client_id):
        return inside()

    if __name__ == "__main__":
        for method in ("fork", "spawn"):
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
                print(list(pool.map(score, ["A", "B"])))
        process = multiprocessing.get_context("spawn").Process(target=score, args=("A",))
        process.start(); process.join(30)
        print(process.exitcode)
    """
    assert run_script(script, tmp_path, "main_script.py").decode().splitlines() == [
        "['main', 'main']",
        "['main', 'main']",
        "0",
    ]


def test_importing_the_decorators_imports_no_cloudpickle(tmp_path):
    script = """
    import sys
    import jobspan._api.instrumented
    print([name for name in sys.modules if name.split(".")[0] in ("cloudpickle", "joblib", "ray")])
    """
    assert run_script(script, tmp_path, "imports.py").decode().strip() == "[]"


def test_a_cloudpickle_of_another_make_does_no_harm(tmp_path):
    (tmp_path / "cloudpickle.py").write_text("CloudPickler = None\n")
    script = """
    import jobspan._api.instrumented
    import cloudpickle
    from jobspan._guard import guard
    print(list(guard.counts()))
    """
    assert "api.pickling.teach" in run_script(script, tmp_path, "odd.py").decode()


def test_a_coroutine_function_found_again_still_runs():
    assert asyncio.run(pickle.loads(pickle.dumps(decorated.fetch))("A")) == "module"
    assert inside() is None
