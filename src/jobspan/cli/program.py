"""The program `jobspan`: its commands, each loaded when it is called, and its exit codes.

0 fine (an empty list too), 1 not found or not delivered, 2 usage or settings, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click

from jobspan.cli.opening import Chosen, NotFound, ledger_option
from jobspan.exceptions import LedgerError, SettingsError

COMMANDS = (
    *("demo", "runs", "show", "usage", "export", "cancel", "reap"),
    *("status", "sync", "relay", "doctor", "airtable"),
)
"""In the order of the help; each is the attribute `command` of the module of its name."""

OK, USAGE, INTERRUPTED = 0, 2, 130


class Program(click.Group):
    """A group that imports a command only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"jobspan.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command; a reader that closes early (`jobspan runs | head`) has had enough, no more."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still in the buffer
            return OK
        return result


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # loads the libraries of e-mail and zip

    try:
        return version("jobspan")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "unknown"


def _print_version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo(f"jobspan {_version()}")
        context.exit()


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 fine (an empty list too), 1 not found or not delivered, 2 wrong usage or settings.",
)
@ledger_option(hidden=False)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
@click.pass_context
def program(context: click.Context) -> None:
    """Show what jobs and client runs did, from the ledger they are recorded in.

    Try `jobspan demo` first: it runs a small batch and shows its records.
    """
    context.ensure_object(Chosen)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code; nothing but the work's own faults leaves a traceback.

    Args:
        arguments: Default: those of this process.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a narrow terminal encoding is no reason to fail
    try:
        result = program.main(
            None if arguments is None else list(arguments), prog_name="jobspan", standalone_mode=False
        )
    except NotFound as missing:
        return _complain(str(missing), missing.exit_code)
    except click.ClickException as error:
        error.show()
        return USAGE if error.exit_code == 1 else error.exit_code
    except (SettingsError, LedgerError) as error:
        return _complain(str(error), USAGE)
    except (click.Abort, KeyboardInterrupt):
        return _complain("interrupted", INTERRUPTED)
    return result if isinstance(result, int) else OK


def _complain(text: str, code: int) -> int:
    click.echo(f"jobspan: {text}", err=True)
    return code


__all__ = ["COMMANDS", "main", "program"]
