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
        parts += _members(command, name, group)
    return "\n\n".join(parts) + "\n"


def _members(command: click.Command, name: str, parent: click.Context) -> list[str]:
    """Return the sections of a group's own commands."""
    if not isinstance(command, click.Group):
        return []
    context, parts = click.Context(command, info_name=name, parent=parent), list[str]()
    for member in command.list_commands(context):
        found = command.get_command(context, member)
        assert found is not None
        parts += [f"### jobspan {name} {member}", _help(found, member, context)]
    return parts


def _help(command: click.Command, name: str, parent: click.Context | None = None) -> str:
    settings = {"help_option_names": ["-h", "--help"]}
    context = click.Context(command, info_name=name, parent=parent, terminal_width=_WIDTH, **settings)  # type: ignore[arg-type]
    return f"```text\n{command.get_help(context)}\n```"


if __name__ == "__main__":
    click.echo(page(), nl=False)
