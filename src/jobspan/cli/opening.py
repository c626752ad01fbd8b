"""Where a command reads from: settings, the ledger they name, and a reader of it.

Reading needs no running jobspan: no journal of this process, no spans, no background thread.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from jobspan._guard import guard
from jobspan._settings import Settings, load
from jobspan.exceptions import LedgerError
from jobspan.journal.claim import RunIdClaims
from jobspan.journal.place import Place
from jobspan.ledger.ledger import Ledger
from jobspan.model.run_id import format_run_id

if TYPE_CHECKING:
    from jobspan.ledger.reading import LedgerReader

F = TypeVar("F", bound=Callable[..., Any])

_FOLD_SECONDS = 600.0
_MAGIC = b"SQLite format 3\x00"
_NS = 1_000_000_000


class NotFound(Exception):
    """What was asked for is not in the ledger."""

    exit_code = 1


@dataclass(slots=True)
class Chosen:
    """What the command line chose for all commands."""

    ledger: str | None = None


def ledger_option(*, hidden: bool) -> Callable[[F], F]:
    """Add ``--ledger PATH``, accepted before and after the name of a command."""

    def take(context: click.Context, _: click.Parameter, value: str | None) -> None:
        chosen = context.ensure_object(Chosen)
        chosen.ledger = value or chosen.ledger

    return click.option(
        "--ledger",
        metavar="PATH",
        expose_value=False,
        callback=take,
        hidden=hidden,
        help="The ledger file to use; default: the setting JOBSPAN_LEDGER, else one per user.",
    )


def overrides() -> dict[str, object]:
    """Return the settings the command line gives."""
    chosen = click.get_current_context().ensure_object(Chosen)
    return {} if chosen.ledger is None else {"ledger": chosen.ledger}


def settings_of_command() -> Settings:
    """Return the settings of this command.

    Raises:
        SettingsError: One cannot be used; the text says what to write.
    """
    settings = load(overrides())
    guard.strict = settings.strict
    return settings


def open_ledger(settings: Settings) -> Ledger:
    """Return the ledger that `settings` name; it is opened when it is used.

    Raises:
        LedgerError: The file is plainly no ledger. (A damaged ledger has its journals beside it, and is
            set aside and rebuilt; somebody's text file named by mistake must never be moved.)
    """
    place, zone = Place(settings.ledger), settings.timezone
    if not place.root.exists() and _is_something_else(settings.ledger):
        raise LedgerError(
            f"{settings.ledger} is no ledger; name another file with --ledger or JOBSPAN_LEDGER"
        )
    claims = RunIdClaims(place)

    def claim(start_ns: int) -> str | None:
        return claims.claim(start_ns // _NS, lambda second: format_run_id(second * _NS, zone))

    return Ledger(settings.ledger, claim, zone)


def _is_something_else(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise LedgerError(f"{path} cannot be read ({error.strerror})") from error
    return bool(start) and start != _MAGIC


@contextmanager
def reading(settings: Settings) -> Generator[LedgerReader]:
    """Give a reader that sees everything written so far; afterwards tell on stderr of any trouble.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    ledger = open_ledger(settings)
    try:
        with ledger.reading(seconds=_FOLD_SECONDS) as reader:
            if not settings.ledger.exists():
                raise LedgerError(
                    f"{settings.ledger} is not there and cannot be made; name another with --ledger"
                )
            yield reader
    finally:
        ledger.close()
        if guard.last_error is not None:
            click.echo(f"jobspan: note: {guard.last_error}", err=True)
