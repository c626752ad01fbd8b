"""The command `jobspan`: what was recorded, as tables for people and JSON for scripts."""

from jobspan.cli.program import main

__all__ = ["main"]
