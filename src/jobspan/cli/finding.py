"""Finds the run a person names, and what they may have meant when there is none."""

from __future__ import annotations

import difflib

from jobspan.cli.opening import NotFound
from jobspan.exceptions import UsageError
from jobspan.ledger.reading import LedgerReader
from jobspan.model.client_id import clean_client_id
from jobspan.model.record import ClientRunRecord, JobRecord
from jobspan.model.text import clip, one_line

_COMPARED = 1_000
_SHOWN = 3


def find(reader: LedgerReader, run_id: str) -> JobRecord | ClientRunRecord:
    """Return the job or client run called `run_id`; a client's id may be given as it came or as it is stored.

    Raises:
        NotFound: There is none; the text names the closest ones.
    """
    found = reader.job(run_id) or reader.client_run(run_id) or _client_run(reader, run_id)
    if found is not None:
        return found
    text = f"no run {one_line(clip(run_id, 100))!r} in this ledger"
    if close := _close(reader, run_id):
        text += f"; did you mean {' or '.join(close)}?"
    raise NotFound(text)


def _client_run(reader: LedgerReader, run_id: str) -> ClientRunRecord | None:
    """Try each hyphen as the end of the job's id: only a run that is there decides which it is."""
    for place in (at for at, character in enumerate(run_id) if character == "-"):
        job, client = run_id[:place], run_id[place + 1 :]
        if not client or reader.job_uid(job) is None:
            continue
        found = reader.client_run(job, client) or reader.client_run(job, _stored(client))
        if found is not None:
            return found
    return None


def _stored(client: str) -> str:
    try:
        return clean_client_id(client).text
    except UsageError:  # nothing but blanks: no client id
        return client


def _close(reader: LedgerReader, run_id: str) -> list[str]:
    known = reader.run_ids(_COMPARED)
    around = next((job for job in known if run_id.startswith(f"{job}-")), None)
    record = None if around is None else reader.job(around)
    if record is not None:
        known = [each.run_id for each in record.client_runs[:_COMPARED]]
    return difflib.get_close_matches(run_id[:300], known, n=_SHOWN, cutoff=0.7)
