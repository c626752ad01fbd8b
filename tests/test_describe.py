from __future__ import annotations

import contextvars
import pickle
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobspan import _describe
from jobspan._describe import Description, describe, fingerprint
from jobspan.model.redact import REDACTED, Redactor


class Silent(Exception):
    def __str__(self) -> str:
        return ""


class Raising(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Exiting(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class NoText(Exception):
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]


class Speaking(Exception):
    def __str__(self) -> str:
        return "said in a thread"


class TextOfItsOwn(str):
    def strip(self, *_: Any) -> str:
        raise RuntimeError

    def __len__(self) -> int:
        raise RuntimeError


class Odd(Exception):
    def __str__(self) -> str:
        return TextOfItsOwn("odd")


class Hidden(Exception):
    @property
    def args(self) -> tuple[Any, ...]:  # type: ignore[override]
        raise RuntimeError

    @property
    def __cause__(self) -> BaseException | None:  # type: ignore[override]
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "type_", "message"),
    [
        (ValueError("bad profile"), "ValueError", "bad profile"),
        (KeyError("x"), "KeyError", "'x'"),
        (ValueError("a", 1), "ValueError", "('a', 1)"),
        (
            FileNotFoundError(2, "No such file", "a.txt"),
            "FileNotFoundError",
            "[Errno 2] No such file: 'a.txt'",
        ),
        (ValueError(), "ValueError", "ValueError"),
        (ValueError(""), "ValueError", "ValueError(str)"),
        (ValueError("  \n"), "ValueError", "ValueError(str)"),
        (ValueError(None), "ValueError", "ValueError(NoneType)"),
        (ValueError("undefined"), "ValueError", "ValueError(str)"),
        (ValueError("null"), "ValueError", "ValueError(str)"),
        (ValueError(10**5000), "ValueError", "ValueError(int)"),
        (ValueError(ValueError("inner")), "ValueError", "inner"),
        (Silent(1, "a"), "Silent", "Silent(int, str)"),
        (Raising("a"), "Raising", "Raising(str)"),
        (Exiting(), "Exiting", "Exiting"),
        (NoText(), "NoText", "NoText"),
        (Speaking(), "Speaking", "said in a thread"),
        (ValueError(Speaking()), "ValueError", "said in a thread"),
        (Odd(), "Odd", "odd"),
        (Hidden(), "Hidden", "Hidden"),
        (ValueError("a\nb\x00\u202e\ud800"), "ValueError", r"a\nb\x00\u202e\ud800"),
        (KeyboardInterrupt(), "KeyboardInterrupt", "KeyboardInterrupt"),
        (SystemExit(3), "SystemExit", "3"),
    ],
)
def test_an_error_is_its_class_and_its_text(error: BaseException, type_: str, message: str) -> None:
    described = describe(error)
    assert (described.type, described.message) == (type_, message)


def test_a_class_is_named_without_the_function_that_made_it() -> None:
    class Local(Exception):
        class Inner(Exception):
            pass

    assert describe(Local("x")).type == "Local"
    assert describe(Local.Inner("x")).type == "Local.Inner"
    assert describe(Local("x")).module == __name__
    assert describe(ValueError("x")).module == "builtins"


def test_a_description_reads_as_people_say_it() -> None:
    assert str(describe(ValueError("bad"))) == "ValueError: bad"
    assert str(describe(ValueError())) == "ValueError"
    assert str(describe(ValueError(None))) == "ValueError(NoneType)"
    described = describe(ValueError("bad"))
    assert pickle.loads(pickle.dumps(described)) == described


def test_a_text_of_five_megabytes_is_clipped_at_once() -> None:
    started = time.process_time()
    for error in (ValueError("x" * 5_000_000), KeyError("\n" * 5_000_000)):
        message = describe(error).message
        assert len(message) <= 2000
        assert "characters cut" in message
        assert len(describe(error, Redactor()).message) <= 2000
    assert time.process_time() - started < 2


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may start a thread late: only the tests of the waiting itself wait shortly."""
    monkeypatch.setattr(_describe, "_WAIT_SECONDS", 30)


@pytest.fixture
def short_wait(monkeypatch: pytest.MonkeyPatch, patience: None) -> None:
    monkeypatch.setattr(_describe, "_WAIT_SECONDS", 0.1)


@pytest.fixture
def never() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.usefixtures("short_wait")
def test_a_text_that_never_comes_is_waited_for_once_and_shortly(never: threading.Event) -> None:
    class Blocking(Exception):
        def __str__(self) -> str:
            never.wait(60)
            return "late"

    started = time.monotonic()
    assert describe(Blocking("a")).message == "Blocking(str)"
    first = time.monotonic() - started
    assert 0.09 <= first < 5
    for _ in range(200):
        assert describe(Blocking()).message == "Blocking"
    assert len([each for each in threading.enumerate() if each.name == "jobspan-describe"]) <= 8


@pytest.mark.usefixtures("short_wait")
def test_a_text_that_needs_a_lock_of_the_caller_does_not_hang() -> None:
    lock = threading.Lock()

    class Locking(Exception):
        def __str__(self) -> str:
            with lock:
                return "mine"

    with lock:
        assert describe(Locking()).message == "Locking"


@pytest.mark.usefixtures("short_wait")
def test_a_class_that_was_late_three_times_is_not_asked_again() -> None:
    asked: list[int] = []

    class Slow(Exception):
        def __str__(self) -> str:
            asked.append(1)
            time.sleep(0.3)
            return "slow"

    for _ in range(5):
        assert describe(Slow()).message == "Slow"
        for thread in threading.enumerate():
            if thread.name == "jobspan-describe":
                thread.join(10)
    assert len(asked) == 3


def test_a_strange_text_sees_the_context_of_the_caller() -> None:
    name = contextvars.ContextVar("name", default="nobody")

    class Contextual(Exception):
        def __str__(self) -> str:
            return name.get()

    name.set("somebody")
    assert describe(Contextual()).message == "somebody"


def test_ordinary_errors_start_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a thread was started")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for error in (ValueError("a"), KeyError("x"), OSError(2, "no", "f"), ConnectionError(OSError(5, "io"))):
        assert describe(error).message
    assert describe(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")).message.startswith("'utf-8' codec")
    assert describe(SyntaxError("bad", ("f.py", 1, 2, "x ="))).message == "bad (f.py, line 1)"


def test_without_a_thread_the_class_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert describe(Speaking(1)).message == "Speaking(int)"


def caused(error: BaseException, cause: BaseException) -> BaseException:
    try:
        raise error from cause
    except type(error) as raised:
        return raised


def test_an_empty_error_names_its_cause() -> None:
    assert describe(caused(ValueError(), KeyError("x"))).message == "ValueError, caused by KeyError: 'x'"
    assert describe(caused(ValueError("said"), KeyError("x"))).message == "said"
    assert describe(caused(ValueError(), Silent())).message == "ValueError, caused by Silent"


def test_a_hidden_cause_stays_hidden() -> None:
    hidden = ValueError()
    hidden.__context__ = KeyError("x")
    assert describe(hidden).message == "ValueError, caused by KeyError: 'x'"
    hidden.__suppress_context__ = True
    assert describe(hidden).message == "ValueError"


def test_a_group_names_its_first_members_and_their_count() -> None:
    group = ExceptionGroup(
        "all", [ValueError("a"), KeyError("b"), ExceptionGroup("in", [OSError(), OSError()])]
    )
    assert describe(group).type == "ExceptionGroup"
    said = "ValueError: a; KeyError: 'b'; ExceptionGroup of 2 errors"
    assert describe(group).message == f"all (3 errors: {said})"
    many = ExceptionGroup("many", [ValueError("x" * 5000)] * 500)
    assert describe(many).message.endswith("; 497 more)")
    assert len(describe(many).message) <= 2000
    one = BaseExceptionGroup("one", [KeyboardInterrupt()])
    assert describe(one).message == "one (1 error: KeyboardInterrupt)"


SECRET = "opensesame-opensesame"


def with_secret(offset: int) -> list[BaseException]:
    long = "x" * offset + SECRET + "y" * 5000
    return [
        ValueError(long),
        ExceptionGroup(long, [ValueError(long)]),
        caused(ValueError(), ValueError(long)),
    ]


def test_a_secret_is_gone_before_the_text_is_clipped() -> None:
    redact, torn = Redactor([SECRET]), 0
    for offset in [*range(0, 200, 5), *range(900, 1000, 5)]:
        for error in with_secret(offset):
            assert "open" not in describe(error, redact).message
            torn += "open" in describe(error).message
    assert torn > 20
    assert REDACTED in describe(ValueError(SECRET), redact).message


def test_where_redaction_fails_the_text_is_dropped() -> None:
    def failing(text: str) -> str:
        raise RuntimeError(text)

    assert describe(ValueError(SECRET), failing).message == "ValueError(str)"
    assert SECRET not in describe(ExceptionGroup(SECRET, [ValueError(SECRET)]), failing).message
    assert SECRET not in describe(caused(ValueError(), ValueError(SECRET)), failing).message


@given(
    st.lists(
        st.none() | st.text(st.characters(codec=None)) | st.integers() | st.binary(max_size=9), max_size=3
    )
)
def test_a_description_is_always_one_short_line_with_something_in_it(args: list[object]) -> None:
    described = describe(ValueError(*args))
    assert described.type == "ValueError"
    assert 1 <= len(described.message) <= 2000
    assert len(described.message.splitlines()) == 1
    assert described.message.strip().lower() not in {"", "none", "null", "undefined"}
    described.message.encode("utf-8")
    assert isinstance(described, Description)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("lead 17 is bad", "lead 18 is bad"),
        ("no row 550e8400-e29b-41d4-a716-446655440000", "no row 00000000-e29b-41d4-a716-446655441111"),
        ("at 0x7f3a11ee01 in x", "at 0x7f3a22ff02 in x"),
        ("commit deadbeef01", "commit 0badc0ffee"),
        ("took 1.5 s", "took 22.75  s"),
        ("", ""),
    ],
)
def test_errors_that_differ_in_numbers_only_are_one_group(one: str, other: str) -> None:
    assert fingerprint("ValueError", one) == fingerprint("ValueError", other)
    assert fingerprint("ValueError", one) != fingerprint("KeyError", one)


def test_different_texts_are_different_groups() -> None:
    assert fingerprint("ValueError", "bad profile") != fingerprint("ValueError", "bad lead")
    assert fingerprint("ValueError", "deadbeef cafe") != fingerprint("ValueError", "facade cafe")


@given(st.text(st.characters(codec=None)))
def test_any_text_has_a_fingerprint_of_16_hex_digits(text: str) -> None:
    assert len(fingerprint("ValueError", text)) == 16
    assert int(fingerprint("ValueError", text), 16) >= 0
