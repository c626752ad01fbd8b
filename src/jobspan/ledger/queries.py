"""Every query of the ledger, named and described; ``{many}`` stands for a list of parameters."""

from __future__ import annotations

# --- what the fold reads
_PART = "SELECT uid, kind, run, job, parent, process, start_ns, deadline_ns, data FROM parts"
_RUN = "SELECT uid, kind, job, label, run_id, status, start_ns, end_ns, data FROM runs"
PARTS = _PART + " WHERE uid IN ({many})"
RUNS = _RUN + " WHERE uid IN ({many})"
TOPS = _PART + " WHERE run IN ({many}) AND kind <> 'o'"
"""The parts of runs, without operations."""
OPEN_CHILDREN = _PART + " WHERE parent IN ({many}) AND closed <> 1"
UNCLOSED_OF_PROCESS = _PART + " WHERE process = ? AND closed <> 1"
OVERDUE = _PART + " WHERE closed = 0 AND deadline_ns IS NOT NULL AND deadline_ns <= ? LIMIT 1000"
OPEN_PROCESSES = (
    "SELECT uid, about, last_ns, gone_ns FROM processes WHERE (gone_ns IS NULL OR gone_ns < last_ns)"
    " AND uid IN (SELECT DISTINCT process FROM parts WHERE closed <> 1 AND process IS NOT NULL)"
)
"""Processes not known to be dead that left something open."""
PROCESS = "SELECT uid, about, last_ns, gone_ns FROM processes WHERE uid = ?"
WRITER = "SELECT seen FROM writers WHERE writer = ?"
_ENTRY = "SELECT kind, part, top, run, job, at_ns, writer, seq, data, source, key FROM entries"
KEYED = _ENTRY + " WHERE job = ? AND kind = ? AND source = ? AND key = ?"
STASH = "SELECT data FROM entries WHERE job = '' AND run = ? AND kind = 'stash' ORDER BY id"
"""Events that came before the open event of their part."""
ENDS = "SELECT uid, end_ns FROM runs WHERE job = ? AND kind = 'c' AND end_ns IS NOT NULL ORDER BY end_ns DESC"
ITEMS = _ENTRY + " WHERE job = (SELECT job FROM runs WHERE uid = :run) AND run = :run AND kind = 'item'"

# --- what the fold writes
PUT_PART = "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
PUT_RUN = "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
PUT_ENTRY = (
    "INSERT INTO entries (kind, part, top, run, job, at_ns, writer, seq, data, source, key)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
FORGET_PLACE = "DELETE FROM entries WHERE job = ? AND kind = ? AND source = ? AND key = ? AND top = ?"
"""A keyed entry takes the place of the one before."""
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
JOB_BY_ALIAS = "SELECT job FROM aliases WHERE alias = ?"

# --- what readers ask
JOBS_NEWEST_FIRST = (
    _RUN + " WHERE kind = 'j' AND run_id IS NOT NULL ORDER BY start_ns DESC, run_id DESC LIMIT ?"
)
COUNT_JOBS = "SELECT count(*) FROM runs WHERE kind = 'j' AND run_id IS NOT NULL"
RUN_IDS = "SELECT run_id FROM runs WHERE kind = 'j' AND run_id IS NOT NULL ORDER BY start_ns DESC LIMIT ?"
RUN = _RUN + " WHERE uid = ?"
CLIENT_RUNS_OF_JOB = _RUN + " WHERE job = ? AND kind = 'c' AND start_ns IS NOT NULL ORDER BY start_ns, uid"
CLIENT_RUN_BY_RUN_ID = (
    "SELECT c.uid FROM runs j JOIN runs c ON c.uid = j.uid || '/' || substr(:text, length(j.run_id) + 2)"
    " WHERE j.run_id IN (substr(:text, 1, 13), substr(:text, 1, 20)) AND j.run_id || '-' || c.label = :text"
)
"""The client run people call ``:text``: looked up by both halves, never taken apart on a hyphen."""
PARTS_OF_RUN = _PART + " WHERE run = ?"
PARTS_OF_JOB = _PART + " WHERE run IN (SELECT uid FROM runs WHERE job = ?)"
TOLD_OF_RUN = _ENTRY + " WHERE job = ? AND run = ? AND kind IN ('note', 'skip', 'error') LIMIT 20000"
TOLD_OF_JOB = _ENTRY + " WHERE job = ? AND kind IN ('note', 'skip', 'error') LIMIT 200000"
_SPEND = (
    "SELECT e.kind, e.job, e.run, e.source, e.key, e.data, r.kind, r.label, j.run_id"
    " FROM entries e JOIN runs r ON r.uid = e.run JOIN runs j ON j.uid = e.job"
    " WHERE e.kind IN ('usage', 'cost')"
)
_OLDEST_FIRST = " ORDER BY e.at_ns, e.writer, e.seq"
USAGE = _SPEND + _OLDEST_FIRST
"""All usage and cost, oldest first: of equal keys the last one holds."""
USAGE_OF_JOB = _SPEND + " AND e.job = ?" + _OLDEST_FIRST
SET_BY_HAND = """
SELECT r.uid, r.kind, r.job, r.label, r.run_id, r.status, r.start_ns, r.end_ns, r.data, j.run_id
FROM runs r JOIN runs j ON j.uid = r.job
WHERE r.job = coalesce(:job, r.job)
AND (instr(r.data, '_tokens":') OR instr(r.data, '"cost_usd":') OR instr(r.data, '"apify_api_costs":'))
"""
"""Runs that may have tokens or costs set as columns (not booked call by call), and their jobs' run ids."""
LINKED = (
    "SELECT p.uid, p.run, p.job FROM runs j CROSS JOIN entries e ON e.job = j.uid AND e.kind = 'link'"
    " AND e.source = '' AND e.key = ? JOIN parts p ON p.uid = e.top"
    " WHERE j.kind = 'j' ORDER BY j.start_ns DESC, e.at_ns DESC LIMIT 1"
)
"""The part that was given an id from elsewhere, the newest job's first."""
HAS_PART = "SELECT 1 FROM parts WHERE uid = ? AND run IS NOT NULL"
ENDED = "SELECT uid FROM runs WHERE status <> 'Running'"
ENDED_SINCE = _RUN + " WHERE version > ? AND status <> 'Running'"
"""Runs that have ended and were changed since a version of the ledger."""
FACT = "SELECT value FROM facts WHERE name = ?"
CANCELS = "SELECT substr(name, 8), value FROM facts WHERE name >= 'cancel:' AND name < 'cancel;'"
"""Which runs are to be canceled, and why."""
PUT_FACT = "INSERT OR REPLACE INTO facts VALUES (?, ?)"
