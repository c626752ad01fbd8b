"""`jobspan airtable`: making the tables, showing everything anew, keeping under a cap of records."""

from __future__ import annotations

from importlib import import_module

import click

_COMMANDS = {
    "init": "jobspan.cli.airtable_init",
    "rebuild": "jobspan.cli.airtable_rebuild",
    "prune": "jobspan.cli.airtable_prune",
}


class AirtableGroup(click.Group):
    """A group that imports a command only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        found: click.Command = import_module(_COMMANDS[cmd_name]).command
        return found


@click.group("airtable", cls=AirtableGroup)
def command() -> None:
    """Make and look after the two tables in Airtable."""
