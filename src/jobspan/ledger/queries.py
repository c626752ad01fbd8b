"""Every query of the ledger, named and described; ``{many}`` stands for a list of parameters."""

from __future__ import annotations

_IN_JOB = "uid > ?1 || '/' AND uid < ?1 || '0' AND job = ?1"
"""The client runs of a job: their names begin with its own, so they lie side by side."""

# --- what the fold reads
_PART = "SELECT uid, kind, run, job, parent, process, start_ns, deadline_ns, data, settled FROM parts"
_RUN = "SELECT uid, kind, job, label, run_id, status, start_ns, end_ns, data FROM runs"
_PART_IN_RUN = "SELECT part, 'c', uid, job, parent, process, start_ns, NULL, told, 1 FROM runs"
"""The part of a client run entered once and told whole stands in the run's own row."""
PARTS = _PART + " WHERE uid IN ({many})"
PARTS_IN_RUNS = _PART_IN_RUN + " WHERE part IN ({many})"
PART = _PART + " WHERE uid = ?1 UNION ALL " + _PART_IN_RUN + " WHERE part = ?1"
RUNS = _RUN + " WHERE uid IN ({many})"
TOPS = _PART + " WHERE run IN ({many}) AND kind <> 'o' AND settled = 0"
"""The parts of runs, without operations and those that need not be weighed any more."""
_ALONE = " UNION ALL " + _PART_IN_RUN + " WHERE uid = ?1 AND part IS NOT NULL"
SETTLED = _PART + " WHERE run = ?1 AND settled = 1" + _ALONE
_OF_THESE = " FROM json_each(?) CROSS JOIN "
KNOWN_PARTS = "SELECT uid" + _OF_THESE + "parts WHERE uid = value"
KNOWN_IN_RUNS = "SELECT part" + _OF_THESE + "runs WHERE part = value"
KNOWN_RUNS = "SELECT uid" + _OF_THESE + "runs WHERE uid = value"
OPEN_ABOVE = "SELECT DISTINCT p.parent" + _OF_THESE + "parts p WHERE p.parent = value AND p.closed <> 1"
OPEN_CHILDREN = _PART + " WHERE parent IN ({many}) AND closed <> 1"
UNCLOSED_OF_PROCESS = _PART + " WHERE process = ? AND closed <> 1"
OVERDUE = _PART + " WHERE closed = 0 AND deadline_ns IS NOT NULL AND deadline_ns <= ? LIMIT 1000"
OPEN_PROCESSES = (
    "SELECT uid, about, last_ns, gone_ns FROM processes INDEXED BY processes_alive"
    " WHERE (gone_ns IS NULL OR gone_ns < last_ns) AND EXISTS"
    " (SELECT 1 FROM parts WHERE process = processes.uid AND closed <> 1)"
)
"""Processes not known to be dead that left something open."""
PROCESS = "SELECT uid, about, last_ns, gone_ns FROM processes WHERE uid = ?"
WRITER = "SELECT seen FROM writers WHERE writer = ?"
_ENTRY = "SELECT kind, part, top, run, job, at_ns, writer, seq, data, source, key FROM entries"
KEYED = _ENTRY + " WHERE job = ? AND kind = ? AND source = ? AND key = ?"
_FACTS = _ENTRY + " WHERE job = ? AND kind IN ('usage', 'span', 'path')"
FACTS_OF_RUN = _FACTS + " AND run = ?"
FACTS_OF_JOB = _FACTS
UNRESOLVED = "SELECT uid FROM runs WHERE instr(data, '\"facts_new\":') > 0"
_CALL = "SELECT run, job, part, id, at_ns, speaker, model, provider, sums FROM calls"
CALLS_OF_RUN = _CALL + " WHERE run = ?"
CALLS_OF_IDS = _CALL + " WHERE id IN ({many})"
STASH = "SELECT data FROM entries WHERE job = '' AND run = ? AND kind = 'stash' ORDER BY id"
"""Events that came before the open event of their part."""
ENDS = (
    "SELECT uid, end_ns FROM runs WHERE "
    + _IN_JOB
    + " AND kind = 'c' AND end_ns IS NOT NULL ORDER BY end_ns DESC"
)
ITEMS = _ENTRY + " WHERE job = (SELECT job FROM runs WHERE uid = :run) AND run = :run AND kind = 'item'"

# --- what the fold writes
PUT_PART = "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
PUT_NEW_PART = "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
PUT_NEW_RUN = (
    "INSERT INTO runs (kind, status, uid, job, label, start_ns, end_ns, data, version,"
    " part, parent, process, told) VALUES ('c', 'Completed', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
"""A client run entered once, with its part."""
PART_FROM_RUN = (
    "INSERT INTO parts SELECT part, 'c', uid, job, parent, process, 1, start_ns, NULL, told, 1"
    " FROM runs WHERE uid = ? AND part IS NOT NULL"
)
"""Give the part that stands in a run's row a row of its own, before the run's is written anew without it."""
PUT_RUN = (
    "INSERT OR REPLACE INTO runs"
    " (uid, kind, job, label, run_id, status, start_ns, end_ns, data, version, scope)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
PUT_ENTRY = (
    "INSERT INTO entries (kind, part, top, run, job, at_ns, writer, seq, data, source, key)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
FORGET_PLACE = "DELETE FROM entries WHERE job = ? AND kind = ? AND source = ? AND key = ? AND top = ?"
"""A keyed entry takes the place of the one before."""
FORGET_CALLS = "DELETE FROM calls WHERE run = ?"
PUT_CALL = "INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
FORGET_STASH = "DELETE FROM entries WHERE job = '' AND run = ? AND kind = 'stash'"
PUT_PROCESS = "INSERT OR REPLACE INTO processes VALUES (?, ?, ?, ?)"
PUT_WRITER = "INSERT OR REPLACE INTO writers VALUES (?, ?)"
PUT_ALIAS = "INSERT OR IGNORE INTO aliases VALUES (?, ?)"

# --- journals
JOURNALS = "SELECT name, process, offset, skipped, done FROM journals WHERE name IN ({many})"
PUT_JOURNAL = "INSERT OR REPLACE INTO journals VALUES (?, ?, ?, ?, ?)"
FORGET_JOURNALS = "DELETE FROM journals WHERE done = 1 AND name IN ({many})"

# --- run ids
PROVISIONAL = "SELECT uid FROM runs WHERE instr(run_id, '~') > 0 LIMIT 1000"
SAME_RUN_ID = "SELECT uid FROM runs WHERE run_id = ? AND uid <> ?"
JOB_BY_RUN_ID = "SELECT uid FROM runs WHERE run_id = ? ORDER BY start_ns LIMIT 1"
HAS_ALIAS = "SELECT 1 FROM aliases WHERE job = ?"
JOB_BY_ALIAS = "SELECT job FROM aliases WHERE alias = ?"

# --- what readers ask
JOBS_NEWEST_FIRST = (
    _RUN + " WHERE kind = 'j' AND run_id IS NOT NULL ORDER BY start_ns DESC, run_id DESC LIMIT ?"
)
COUNT_JOBS = "SELECT count(*) FROM runs WHERE run_id IS NOT NULL"
"""Only jobs have run ids of their own."""
RUN_IDS = "SELECT run_id FROM runs WHERE kind = 'j' AND run_id IS NOT NULL ORDER BY start_ns DESC LIMIT ?"
RUN = _RUN + " WHERE uid = ?"
_OF_TYPE = " WHERE kind = 'j' AND label = ? AND scope = ?"
_OPENED = " AND run_id IS NOT NULL AND start_ns IS NOT NULL"
NEWEST_OF_TYPE = _RUN + _OF_TYPE + _OPENED + " ORDER BY start_ns DESC, uid DESC LIMIT 1"
"""The newest job of a type and ``key=``."""
RUNNING_OF_TYPE = (
    "SELECT uid FROM runs INDEXED BY jobs_running"
    + _OF_TYPE
    + _OPENED
    + " AND status = 'Running' ORDER BY start_ns DESC LIMIT 1"
)
CLIENTS_OF_JOB = "SELECT label FROM runs WHERE " + _IN_JOB + " AND kind = 'c'"
_DONE = """
SELECT c.uid, c.kind, c.job, c.label, c.run_id, c.status, c.start_ns, c.end_ns, c.data, j.run_id
FROM runs own JOIN runs j ON j.kind = 'j' AND j.label = own.label AND j.uid <> own.uid
AND j.scope = own.scope
CROSS JOIN runs c ON {which}
WHERE own.uid = :own AND (j.end_ns IS NULL OR j.end_ns >= :since)
AND c.status = 'Completed' AND c.end_ns >= :since
"""
DONE_CLIENTS = _DONE.format(
    which="c.uid > j.uid || '/' AND c.uid < j.uid || '0' AND c.job = j.uid AND c.kind = 'c'"
)
"""The client runs that other jobs of the type and ``key=`` of a job have Completed since an instant."""
DONE_CLIENT = _DONE.format(which="c.uid = j.uid || '/' || :client")
"""Those of one client."""
CLIENT_RUNS_OF_JOB = (
    _RUN + " WHERE " + _IN_JOB + " AND kind = 'c' AND start_ns IS NOT NULL ORDER BY start_ns, uid"
)
CLIENT_RUN_BY_RUN_ID = (
    "SELECT c.uid FROM runs j JOIN runs c ON c.uid = j.uid || '/' || substr(:text, length(j.run_id) + 2)"
    " WHERE j.run_id IN (substr(:text, 1, 13), substr(:text, 1, 20)) AND j.run_id || '-' || c.label = :text"
)
"""The client run people call ``:text``: looked up by both halves, never taken apart on a hyphen."""
PARTS_OF_RUN = _PART + " WHERE run = ?1" + _ALONE
_RUN_OF_JOB = "(run = ?1 OR run IN (SELECT uid FROM runs WHERE " + _IN_JOB + "))"
_EACH_ALONE = " UNION ALL " + _PART_IN_RUN + " WHERE " + _IN_JOB + " AND part IS NOT NULL"
TOPS_OF_JOB = _PART + " WHERE kind <> 'o' AND " + _RUN_OF_JOB + _EACH_ALONE
PARTS_OF_JOB = _PART + " WHERE " + _RUN_OF_JOB + _EACH_ALONE
TOLD_OF_RUN = _ENTRY + " WHERE job = ? AND run = ? AND kind IN ('note', 'skip', 'error') LIMIT 20000"
TOLD_OF_JOB = _ENTRY + " WHERE job = ? AND kind IN ('note', 'skip', 'error') LIMIT 200000"
_OWNERS = " JOIN runs r ON r.uid = s.run JOIN runs j ON j.uid = s.job"
_OF_JOB = " AND s.job = coalesce(:job, s.job)"
SPENT_ON_CALLS = (
    "SELECT s.id, s.job, s.run, s.at_ns, s.model, s.sums, r.kind, r.label, j.run_id FROM calls s"
    + _OWNERS
    + " WHERE 1"
    + _OF_JOB
    + " ORDER BY s.at_ns, s.speaker, s.run"
)
"""All calls of models, oldest first: of equal ids the last one holds."""
SPENT_OTHERWISE = (
    "SELECT s.source, s.key, s.job, s.run, s.at_ns, s.data, r.kind, r.label, j.run_id FROM entries s"
    + _OWNERS
    + " WHERE s.kind = 'cost'"
    + _OF_JOB
    + " ORDER BY s.at_ns, s.writer, s.seq"
)
"""All other costs, oldest first: of equal keys the last one holds."""
SET_BY_HAND = """
SELECT r.uid, r.kind, r.job, r.label, r.run_id, r.status, r.start_ns, r.end_ns, r.data, j.run_id
FROM runs r JOIN runs j ON j.uid = r.job
WHERE r.job = coalesce(:job, r.job)
AND (instr(r.data, '_tokens":') OR instr(r.data, '"cost_usd":') OR instr(r.data, '"apify_api_costs":'))
"""
"""Runs that may have tokens or costs set as columns (not booked call by call), and their jobs' run ids."""
LINKED = (
    "SELECT p.uid, p.run, p.job FROM entries e INDEXED BY entries_links"
    " JOIN runs j ON j.uid = e.job AND j.kind = 'j' JOIN parts p ON p.uid = e.top"
    " WHERE e.kind = 'link' AND e.source = '' AND e.key = ?"
    " ORDER BY j.start_ns DESC, e.at_ns DESC LIMIT 1"
)
"""The part that was given an id from elsewhere, the newest job's first."""
LEFT_OPEN = (
    "SELECT e.key, e.part, e.at_ns FROM runs j CROSS JOIN entries e ON e.job = j.uid AND e.kind = 'link'"
    " AND e.source = '' AND e.key >= :open AND e.key < :open || char(1114111)"
    " WHERE j.kind = 'j' AND j.start_ns >= :since AND NOT EXISTS (SELECT 1 FROM entries d"
    " WHERE d.job = e.job AND d.kind = 'link' AND d.source = ''"
    " AND d.key = :done || substr(e.key, length(:open) + 1)) ORDER BY e.at_ns DESC LIMIT :most"
)
"""Ids from elsewhere that begin so, in jobs since then, without one that says it is done; newest first."""
HAS_PART = (
    "SELECT 1 FROM parts WHERE uid = ?1 AND run IS NOT NULL UNION ALL SELECT 1 FROM runs WHERE part = ?1"
)
ENDED = "SELECT uid FROM runs WHERE status <> 'Running'"
ENDED_SINCE = _RUN + " WHERE version > ? AND status <> 'Running'"
"""Runs that have ended and were changed since a version of the ledger."""
FACT = "SELECT value FROM facts WHERE name = ?"
FORGET_CANCEL = "DELETE FROM cancels WHERE run = :job OR (run >= :job || '/' AND run < :job || '0')"
"""Of a job and its client runs: ``0`` is the character after ``/``."""
PUT_FACT = "INSERT OR REPLACE INTO facts VALUES (?, ?)"

# --- where runs are shown
SET_DESTINATIONS = "UPDATE runs SET data = json_set(data, '$.to', json(?)) WHERE uid = ?"
JOBS_WITHOUT_DESTINATION = (
    "SELECT uid FROM runs WHERE kind = 'j' AND start_ns IS NOT NULL AND json_extract(data, '$.to') IS NULL"
)
RUNS_OF_JOB = _RUN + " WHERE (uid = ?1 OR (" + _IN_JOB + ")) AND start_ns IS NOT NULL"
SET_RUN_ID = "UPDATE runs SET run_id = ? WHERE uid = ?"
COUNT_WITHOUT_DESTINATION = f"SELECT count(*) FROM ({JOBS_WITHOUT_DESTINATION})"

# --- requests to cancel
PUT_CANCEL = "INSERT OR REPLACE INTO cancels VALUES (?, ?, ?)"
CANCELS = "SELECT run, at_ns, reason FROM cancels"
"""Which runs are to be canceled, since when, and why."""
FORGET_CANCELS = (
    "DELETE FROM cancels WHERE at_ns < ?"
    " AND NOT EXISTS (SELECT 1 FROM runs WHERE uid = cancels.run AND status = 'Running')"
)
