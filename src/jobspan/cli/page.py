"""The manual page of the program, written from the commands' own help: docs/cli.md.

``python -m jobspan.cli.page > docs/cli.md``; a test holds that the file is current.
"""

from __future__ import annotations

import click

from jobspan.cli.program import COMMANDS, program

_WIDTH = 100


def page() -> str:
    """Return docs/cli.md."""
    parts = ["# The command line", _help(program, "jobspan")]
    group = click.Context(program, info_name="jobspan")
    for name in COMMANDS:
        command = program.get_command(group, name)
        assert command is not None
        parts += [f"## jobspan {name}", _help(command, name, group)]
    return "\n\n".join(parts) + "\n"


def _help(command: click.Command, name: str, parent: click.Context | None = None) -> str:
    settings = {"help_option_names": ["-h", "--help"]}
    context = click.Context(command, info_name=name, parent=parent, terminal_width=_WIDTH, **settings)  # type: ignore[arg-type]
    return f"```text\n{command.get_help(context)}\n```"


if __name__ == "__main__":
    click.echo(page(), nl=False)
