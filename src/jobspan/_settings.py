"""Settings: what `configure()` was given, else the environment, else pyproject.toml, else the default.

The same lower-case names everywhere: ``configure(timezone=…)``, ``JOBSPAN_TIMEZONE``, and
``timezone = …`` under ``[tool.jobspan]`` in the nearest pyproject.toml upwards of the working directory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, cast

from jobspan.exceptions import SettingsError, UsageError
from jobspan.model.columns import did_you_mean
from jobspan.model.secret import Secret

MODES = ("online", "offline", "disabled")
DURABILITIES = ("process", "power")
JOURNALS = ("mapped", "write")
RELAYS = ("thread", "off")
_PREFIX = "JOBSPAN_"
_AIRTABLE_VARIABLES = {
    "api_key": "AIRTABLE_API_KEY",
    "base_id": "AIRTABLE_BASE_ID",
    "endpoint_url": "AIRTABLE_ENDPOINT_URL",
}
_SECRETS = ("token_key", "airtable")
_SHORTEST_KEY = 8
_NOT_SAID = Path()


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set.

    Attributes:
        ledger: The SQLite file; its journals lie in ``<file>.d`` beside it.
        mode: online: records, spans and destinations; offline: no destination; disabled: nothing at all.
        strict: Raise jobspan's own errors instead of counting them (for tests).
        timezone: The zone of run ids and notes.
        durability: process: survives any death of the process; power: a power cut, too (job open and close).
        journal: mapped: events are copied into memory that is the file, where the file system allows;
            write: each is a system call.
        exit_flush: At most so many seconds are spent at exit on folding, exporting and delivering.
        relay: thread: this process delivers what waits, on a thread of its own; off: another one does.
        airtable: What is set about Airtable, read by `jobspan.airtable.settings`; the token as a `Secret`.
        handle_signals: On SIGTERM, close what is open as Canceled, flush, and do what was set up before.
        token_key: The secret that signs tokens; None: a random one kept beside the ledger.
    """

    ledger: Path
    mode: str = "online"
    strict: bool = False
    timezone: tzinfo = UTC
    durability: str = "process"
    journal: str = "mapped"
    exit_flush: float = 2.0
    relay: str = "thread"
    airtable: Mapping[str, Any] = field(default_factory=dict[str, Any])
    handle_signals: bool = False
    token_key: str | None = field(default=None, repr=False)


def default_ledger() -> Path:
    """Return where the ledger of this user lies when nothing else is said."""
    import platformdirs

    return Path(platformdirs.user_data_dir("jobspan", appauthor=False)) / "ledger.db"


def _ledger(value: object) -> Path:
    text = str(cast("os.PathLike[str]", value)) if isinstance(value, str | os.PathLike) else ""
    if not text.strip():
        raise ValueError("a path of an SQLite file")
    if text.startswith("sqlite:///"):
        text = (
            text.removeprefix("sqlite://")
            if text.startswith("sqlite:////")
            else text.removeprefix("sqlite:///")
        )
    if "://" in text:
        raise ValueError("a path of an SQLite file; other databases are not supported")
    path = Path(text).expanduser().absolute()
    if path.is_dir():
        raise ValueError("a file, not a directory: add a file name, say ledger.db")
    return path


def _zone(value: object) -> tzinfo:
    if isinstance(value, tzinfo):
        return value
    if value in ("UTC", "utc", "Z"):
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError('a zone of the IANA database, say "UTC" or "Europe/Berlin"') from None


def _truth(value: object) -> bool:
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    truth = value if isinstance(value, bool) else words.get(str(value).strip().lower())
    if truth is None:
        raise ValueError("true or false")
    return truth


def _seconds(value: object) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = -1.0
    if isinstance(value, bool) or not 0 <= seconds < 1e9:
        raise ValueError("a number of seconds, 0 or more")
    return seconds


def _secret(value: object) -> str:
    if not isinstance(value, str) or len(value) < _SHORTEST_KEY:
        raise ValueError(f"a secret text of at least {_SHORTEST_KEY} characters")
    return value


def _word(words: tuple[str, ...]) -> Callable[[object], str]:
    def read(value: object) -> str:
        text = str(value).strip().lower()
        if text not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return text

    return read


def _airtable(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("a dictionary of settings, say dict(base_id=..., api_key=...)")
    given = {str(name): one for name, one in cast("Mapping[object, Any]", value).items()}
    key = given.get("api_key")
    return {**given, "api_key": Secret(key)} if isinstance(key, str) else given


_READERS: Mapping[str, Callable[[object], Any]] = {
    "ledger": _ledger,
    "mode": _word(MODES),
    "strict": _truth,
    "timezone": _zone,
    "durability": _word(DURABILITIES),
    "journal": _word(JOURNALS),
    "exit_flush": _seconds,
    "relay": _word(RELAYS),
    "airtable": _airtable,
    "handle_signals": _truth,
    "token_key": _secret,
}


def names() -> list[str]:
    """Return the names of all settings."""
    return [spec.name for spec in fields(Settings)]


def read_setting(name: str, value: object, source: str) -> Any:
    """Return the value of one setting.

    Raises:
        SettingsError: It cannot be used; the text says what can.
    """
    try:
        return _READERS[name](value)
    except ValueError as error:
        shown = "the value" if name in _SECRETS else repr(value)  # a secret is never shown
        raise SettingsError(f"{source}: {shown} cannot be used, write {error}") from None


def load(
    overrides: Mapping[str, object],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    on_bad: Callable[[SettingsError], None] | None = None,
) -> Settings:
    """Put the settings together.

    Args:
        overrides: What `configure` was given.
        environment: Default: the process's.
        folder: Where the search for pyproject.toml begins; default: the working directory.
        on_bad: Told of an unusable value from environment or file, which is then left out; without
            it such a value raises.

    Raises:
        UsageError: An unknown name in `overrides`.
        SettingsError: An unusable value.
    """
    for name in overrides:
        if name not in _READERS:
            raise UsageError(f"configure() knows no {name!r}; {did_you_mean(name, list(_READERS))}")
    settings = Settings(ledger=_NOT_SAID)
    environment = os.environ if environment is None else environment
    found: dict[str, tuple[object, str]] = {}
    for name, value in _file_settings(folder, on_bad).items():
        found[name] = (value, f"[tool.jobspan] {name}")
    for name in _READERS:
        if name != "airtable" and environment.get(_PREFIX + name.upper()):
            found[name] = (environment[_PREFIX + name.upper()], _PREFIX + name.upper())
    found = {name: pair for name, pair in found.items() if name not in overrides or name == "airtable"}
    for name, (value, source) in found.items():
        try:
            settings = replace(settings, **{name: read_setting(name, value, source)})
        except SettingsError as error:
            if on_bad is None:
                raise
            on_bad(error)
    given = {name: read_setting(name, value, f"configure({name}=…)") for name, value in overrides.items()}
    airtable = {**settings.airtable, **_airtable_of(environment), **given.pop("airtable", {})}
    settings = replace(settings, **given, airtable=airtable)
    return replace(settings, ledger=default_ledger()) if settings.ledger is _NOT_SAID else settings


def _airtable_of(environment: Mapping[str, str]) -> Mapping[str, Any]:
    named = {name: environment.get(variable) for name, variable in _AIRTABLE_VARIABLES.items()}
    return _airtable({name: value for name, value in named.items() if value})


def _file_settings(folder: Path | None, on_bad: Callable[[SettingsError], None] | None) -> dict[str, object]:
    try:
        start = (folder or Path.cwd()).absolute()
    except OSError:
        return {}
    for place in (start, *start.parents):
        path = place / "pyproject.toml"
        if path.is_file():
            return _table(path, on_bad)
    return {}


def _table(path: Path, on_bad: Callable[[SettingsError], None] | None) -> dict[str, object]:
    try:
        text = path.read_text("utf-8")
        if "jobspan" not in text:
            return {}  # the parser alone takes longer to load than all the other settings to read
        import tomllib

        table: dict[str, object] = tomllib.loads(text).get("tool", {}).get("jobspan", {})
    except (OSError, ValueError):
        return {}  # somebody else's broken file
    for name in list(table):
        if name not in _READERS and not isinstance(table[name], dict):
            error = SettingsError(
                f"{path}: [tool.jobspan] knows no {name!r}; {did_you_mean(name, list(_READERS))}"
            )
            if on_bad is None:
                raise error
            on_bad(error)
            del table[name]
    if isinstance(table.get("ledger"), str):
        table["ledger"] = str(path.parent / Path(str(table["ledger"])).expanduser())
    return {name: value for name, value in table.items() if name in _READERS}
