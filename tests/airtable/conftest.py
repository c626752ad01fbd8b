"""The trials of the destination use the fixtures of the relay's."""

from tests.relay.conftest import deliver, fresh

__all__ = ["deliver", "fresh"]
