"""Run the server until interrupted: ``python -m jobspan.testing.airtable``."""

from __future__ import annotations

import argparse
import json
import signal
import threading
from types import FrameType

from jobspan.testing.airtable.listener import HOST
from jobspan.testing.airtable.server import AirtableServer


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m jobspan.testing.airtable", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--control-port", type=int, default=0, help="port of the control endpoint")
    parser.add_argument("--rate-limit", type=float, default=5, help="requests/s per base; 0 is no limit")
    parser.add_argument("--lockout-seconds", type=float, default=30)
    parser.add_argument("--monthly-quota", type=int)
    parser.add_argument("--record-cap", type=int)
    parser.add_argument("--no-seed", action="store_true", help="an empty base")
    parser.add_argument("--missing", action="append", default=[], metavar="COLUMN")
    parser.add_argument("--computed", action="append", default=[], metavar="COLUMN")
    return parser.parse_args()


def main() -> None:
    """Serve until SIGINT or SIGTERM; the first line of output says where."""
    given = _arguments()
    server = AirtableServer(
        seed=not given.no_seed,
        missing=given.missing,
        computed=given.computed,
        rate_limit=given.rate_limit or None,
        user_rate_limit=50 if given.rate_limit else None,
        lockout_seconds=given.lockout_seconds,
        monthly_quota=given.monthly_quota,
        record_cap=given.record_cap,
        port=given.port,
        control_port=given.control_port,
    )
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    try:
        server.start()
    except OSError as error:
        raise SystemExit(f"cannot listen on {HOST}: {error}") from None
    try:
        told = {
            "url": server.url,
            "base_id": server.base_id,
            "token": server.token,
            "control_url": server.control_url,
        }
        print(json.dumps(told), flush=True)
        ended.wait()
    finally:
        server.stop()


if __name__ == "__main__":
    main()
