"""Every query of the ledger, named and described; ``{many}`` stands for a list of parameters."""

from __future__ import annotations

_IN_JOB = "uid > ?1 || '/' AND uid < ?1 || '0' AND job = ?1"
"""The client runs of a job: their names begin with its own, so they lie side by side."""

# --- what the fold reads
_PART = "SELECT uid, kind, run, job, parent, process, start_ns, deadline_ns, data, settled FROM parts"
_RUN = "SELECT uid, kind, job, label, run_id, status, start_ns, end_ns, data FROM runs"
PARTS = _PART + " WHERE uid IN ({many})"
RUNS = _RUN + " WHERE uid IN ({many})"
TOPS = _PART + " WHERE run IN ({many}) AND kind <> 'o' AND settled = 0"
"""The parts of runs, without operations and those that need not be weighed any more."""
SETTLED = _PART + " WHERE run = ? AND settled = 1"
KNOWN_PARTS = "SELECT uid FROM parts WHERE uid IN ({many})"
KNOWN_RUNS = "SELECT uid FROM runs WHERE uid IN ({many})"
OPEN_ABOVE = "SELECT DISTINCT parent FROM parts WHERE parent IN ({many}) AND closed <> 1"
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
PUT_NEW_RUN = "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
PUT_RUN = "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
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
JOB_BY_ALIAS = "SELECT job FROM aliases WHERE alias = ?"

# --- what readers ask
JOBS_NEWEST_FIRST = (
    _RUN + " WHERE kind = 'j' AND run_id IS NOT NULL ORDER BY start_ns DESC, run_id DESC LIMIT ?"
)
COUNT_JOBS = "SELECT count(*) FROM runs WHERE kind = 'j' AND run_id IS NOT NULL"
RUN_IDS = "SELECT run_id FROM runs WHERE kind = 'j' AND run_id IS NOT NULL ORDER BY start_ns DESC LIMIT ?"
RUN = _RUN + " WHERE uid = ?"
_OF_TYPE = " WHERE kind = 'j' AND label = ? AND coalesce(json_extract(data, '$.scope'), '') = ?"
_OPENED = " AND run_id IS NOT NULL AND start_ns IS NOT NULL"
NEWEST_OF_TYPE = _RUN + _OF_TYPE + _OPENED + " ORDER BY start_ns DESC, uid DESC LIMIT 1"
"""The newest job of a type and ``key=``."""
RUNNING_OF_TYPE = (
    "SELECT uid FROM runs" + _OF_TYPE + _OPENED + " AND status = 'Running' ORDER BY start_ns DESC LIMIT 1"
)
CLIENTS_OF_JOB = "SELECT label FROM runs WHERE " + _IN_JOB + " AND kind = 'c'"
_DONE = """
SELECT c.uid, c.kind, c.job, c.label, c.run_id, c.status, c.start_ns, c.end_ns, c.data, j.run_id
FROM runs own JOIN runs j ON j.kind = 'j' AND j.label = own.label AND j.uid <> own.uid
AND coalesce(json_extract(j.data, '$.scope'), '') = coalesce(json_extract(own.data, '$.scope'), '')
JOIN runs c ON {which}
WHERE own.uid = :own AND (j.end_ns IS NULL OR j.end_ns >= :since)
AND c.status = 'Completed' AND c.end_ns >= :since
"""
DONE_CLIENTS = _DONE.format(which="c.job = j.uid AND c.kind = 'c'")
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
PARTS_OF_RUN = _PART + " WHERE run = ?"
_RUN_OF_JOB = "(run = ?1 OR run IN (SELECT uid FROM runs WHERE " + _IN_JOB + "))"
TOPS_OF_JOB = _PART + " WHERE kind <> 'o' AND " + _RUN_OF_JOB
PARTS_OF_JOB = _PART + " WHERE " + _RUN_OF_JOB
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
    "SELECT p.uid, p.run, p.job FROM runs j CROSS JOIN entries e ON e.job = j.uid AND e.kind = 'link'"
    " AND e.source = '' AND e.key = ? JOIN parts p ON p.uid = e.top"
    " WHERE j.kind = 'j' ORDER BY j.start_ns DESC, e.at_ns DESC LIMIT 1"
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
HAS_PART = "SELECT 1 FROM parts WHERE uid = ? AND run IS NOT NULL"
ENDED = "SELECT uid FROM runs WHERE status <> 'Running'"
ENDED_SINCE = _RUN + " WHERE version > ? AND status <> 'Running'"
"""Runs that have ended and were changed since a version of the ledger."""
FACT = "SELECT value FROM facts WHERE name = ?"
FORGET_CANCEL = "DELETE FROM cancels WHERE run = :job OR (run >= :job || '/' AND run < :job || '0')"
"""Of a job and its client runs: ``0`` is the character after ``/``."""
PUT_FACT = "INSERT OR REPLACE INTO facts VALUES (?, ?)"

# --- deliveries: what each destination shows
MARK_DIRTY = """
INSERT INTO deliveries (destination, run, job, kind, wanted, status, urgent, dirty_ns)
VALUES (:destination, :run, :job, :kind, 1, :status, :urgent, :now)
ON CONFLICT (destination, run) DO UPDATE SET
    dirty_ns = CASE WHEN wanted > sent THEN dirty_ns ELSE excluded.dirty_ns END,
    wanted = wanted + 1, status = excluded.status, urgent = max(urgent, excluded.urgent),
    state = 'due', hold_ns = CASE state WHEN 'parked' THEN 0 ELSE hold_ns END,
    stage = CASE stage WHEN 3 THEN 0 ELSE stage END
"""
"""Note in the transaction of the fold that a run has changed; what was parked gets another chance."""
HURRY_JOB = "UPDATE deliveries SET urgent = 1 WHERE job = ? AND wanted > sent"
DIRTY_AGAIN = "UPDATE deliveries SET wanted = wanted + 1, state = 'due' WHERE job = ?"
"""Have all rows of a job looked at again: its run id has changed."""
_DELIVERY = (
    "SELECT run, job, kind, wanted, sent, status, shown, urgent, state, stage, remote_id, claim, attempts,"
    " last_error, dirty_ns, hold_ns, sent_ns, cells FROM deliveries d"
)
PROJECTED = {
    "all": "1",
    "terminal": "(d.kind = 'j' OR d.status <> 'Running')",
    "exceptions": "(d.kind = 'j' OR d.status NOT IN ('Running', 'Completed'))",
    "jobs": "d.kind = 'j'",
}
"""Which rows a projection shows; a row that is shown already stays up to date."""
_DIRTY = "d.destination = :destination AND d.wanted > d.sent AND ({projected} OR d.sent > 0) AND d.stage <> 3"
_OWN = (
    "(d.kind = 'j' OR EXISTS (SELECT 1 FROM deliveries j"
    " WHERE j.destination = d.destination AND j.run = d.job AND j.stage >= 2))"
)
"""A client run is delivered once its job's row is known to be ours."""
_READY = _DIRTY + " AND d.state = 'due' AND d.hold_ns <= :now"
DUE = (
    _DELIVERY + " WHERE " + _READY + " AND d.kind = :kind AND (d.urgent OR d.dirty_ns <= :now - max(:linger,"
    " min(:widest, (:now - coalesce((SELECT start_ns FROM runs WHERE uid = d.job), :now)) / 10))"
    " OR (:news AND d.status IS NOT d.shown)) AND " + _OWN + " ORDER BY d.dirty_ns LIMIT :limit"
)
"""Rows to deliver now: urgent ones, those whose linger is over, and, with :news, those with a new status."""
FILL = (
    _DELIVERY + " WHERE " + _READY + " AND d.kind = :kind AND " + _OWN + " ORDER BY d.dirty_ns LIMIT :limit"
)
"""Rows that may as well go along with a request."""
COUNT_NEWS = (
    "SELECT count(*) FROM (SELECT 1 FROM deliveries d WHERE "
    + _READY
    + " AND d.kind = 'c' AND d.status IS NOT d.shown AND "
    + _OWN
    + " LIMIT :limit)"
)
"""How many client runs have a status the destination does not show, up to :limit."""
DELIVERY = _DELIVERY + " WHERE d.destination = ? AND d.run = ?"
UNVERIFIED = (
    _DELIVERY + " WHERE d.destination = ? AND d.kind = 'j' AND d.stage = 1 AND d.remote_id IS NOT NULL"
    " AND (? OR json_extract(d.cells, '$.run_id') = (SELECT run_id FROM runs WHERE uid = d.run)) LIMIT 50"
)
"""Jobs whose row was written under their run id (or, second parameter, any), and not yet looked at again."""
HAS_ALIAS = "SELECT 1 FROM aliases WHERE job = ?"
RUNNING_THERE = (
    _DELIVERY
    + " WHERE d.destination = ? AND d.kind = 'j' AND d.shown = 'Running' AND d.remote_id IS NOT NULL"
    " ORDER BY d.dirty_ns DESC LIMIT 50"
)
JOBS_OF_RUNNING = (
    "SELECT DISTINCT d.job, r.run_id FROM deliveries d JOIN runs r ON r.uid = d.job WHERE d.destination = ?"
    " AND d.kind = 'c' AND d.shown = 'Running' AND d.remote_id IS NOT NULL AND r.run_id IS NOT NULL LIMIT 50"
)
"""Jobs with client runs the destination shows as Running."""
SHOWN_AS = (
    _DELIVERY + " WHERE d.destination = :destination AND d.remote_id IS NOT NULL"
    " AND d.job IN (SELECT value FROM json_each(:jobs))"
    " AND d.remote_id IN (SELECT value FROM json_each(:remote_ids))"
)
"""Runs of jobs whose rows have these ids there."""
WAITING = (
    "SELECT count(*), min(d.dirty_ns), total(d.state = 'parked') FROM deliveries d WHERE "
    + _DIRTY
    + " AND d.dirty_ns <= :until AND (:jobs IS NULL OR d.job IN (SELECT value FROM json_each(:jobs)))"
)
IS_WAITING = "SELECT 1 FROM deliveries d WHERE " + _DIRTY + " LIMIT 1"
LAST_TROUBLE = (
    "SELECT last_error FROM deliveries d WHERE "
    + _DIRTY
    + " AND last_error IS NOT NULL ORDER BY dirty_ns DESC LIMIT 1"
)
HURRY = (
    "UPDATE deliveries SET urgent = 1 WHERE destination = :destination AND wanted > sent AND urgent = 0"
    " AND (:jobs IS NULL OR job IN (SELECT value FROM json_each(:jobs)))"
)
PUT_DELIVERED = """
UPDATE deliveries SET
    sent = :wanted, shown = :shown, cells = :cells, remote_id = :remote_id, sent_ns = :now, stage = :stage,
    attempts = 0, last_error = NULL, hold_ns = 0, claim = NULL,
    urgent = CASE WHEN wanted > :wanted THEN urgent ELSE 0 END,
    dirty_ns = CASE WHEN wanted > :wanted THEN :dirty ELSE dirty_ns END
WHERE destination = :destination AND run = :run
"""
PUT_UNCHANGED = """
UPDATE deliveries SET
    sent = :wanted, shown = :shown, last_error = NULL, hold_ns = 0,
    urgent = CASE WHEN wanted > :wanted THEN urgent ELSE 0 END,
    dirty_ns = CASE WHEN wanted > :wanted THEN :now ELSE dirty_ns END
WHERE destination = :destination AND run = :run
"""
PUT_HELD = """
UPDATE deliveries SET
    state = :state, hold_ns = :hold, last_error = :error, attempts = attempts + 1, cells = :cells,
    remote_id = :remote_id, wanted = wanted + :again
WHERE destination = :destination AND run = :run
"""
PUT_CLAIM = "UPDATE deliveries SET claim = :claim WHERE destination = :destination AND run = :run"
LEAVE = (
    "UPDATE deliveries SET stage = 3, sent = wanted, shown = status, urgent = 0"
    " WHERE destination = ? AND run = ?"
)
"""The row is another ledger's: it is not written until the run changes."""
SHARE = (
    "UPDATE deliveries SET cells = json_set(coalesce(cells, '{}'), '$.\"~shares\"', json('{}')),"
    " wanted = wanted + 1, state = 'due' WHERE destination = ? AND run = ?"
    " AND json_extract(coalesce(cells, '{}'), '$.\"~shares\"') IS NULL"
)
"""Another ledger knows the run, too: from now on its row is read before it is written."""
REOPEN = (
    "UPDATE deliveries SET wanted = wanted + 1, state = 'due'"
    " WHERE destination = ? AND run = ? AND wanted = sent"
)
"""A row that says the run has ended is written anew, unless it is due anyway."""
NOT_OWN_JOBS = (
    "SELECT run FROM deliveries WHERE destination = :destination AND kind = 'j' AND stage >= 3"
    " AND run IN (SELECT value FROM json_each(:jobs))"
)
KNOWN_ROWS = (
    "SELECT remote_id FROM deliveries WHERE destination = :destination"
    " AND remote_id IN (SELECT value FROM json_each(:remote_ids))"
)
PUT_STAGE = (
    "UPDATE deliveries SET stage = :stage, remote_id = coalesce(:remote_id, remote_id)"
    " WHERE destination = :destination AND run = :run"
)
UNPARK = "UPDATE deliveries SET state = 'due', hold_ns = 0 WHERE destination = ? AND state = 'parked'"
REPLAY = (
    "UPDATE deliveries SET wanted = wanted + 1, dirty_ns = :now WHERE destination = :destination"
    " AND kind = :kind AND sent > 0 AND wanted <= sent"
)
"""Have all rows of a table compared again: a column has become good."""
SET_DESTINATIONS = "UPDATE runs SET data = json_set(data, '$.to', json(?)) WHERE uid = ?"
JOBS_WITHOUT_DESTINATION = (
    "SELECT uid FROM runs WHERE kind = 'j' AND start_ns IS NOT NULL AND json_extract(data, '$.to') IS NULL"
)
RUNS_OF_JOB = _RUN + " WHERE (uid = ?1 OR (" + _IN_JOB + ")) AND start_ns IS NOT NULL"
START_OVER = (
    "UPDATE deliveries SET wanted = wanted + 1, cells = NULL, remote_id = NULL, claim = NULL, stage = 0,"
    " state = 'due', hold_ns = 0, shown = NULL, sent = 0, dirty_ns = :now WHERE destination = :destination"
)
SET_RUN_ID = "UPDATE runs SET run_id = ? WHERE uid = ?"


# --- what commands ask of deliveries
DESTINATION_NAMES = (
    "SELECT DISTINCT destination FROM deliveries UNION SELECT name FROM destinations"
    " WHERE instr(name, '#') = 0 ORDER BY 1"
)
COUNT_WITHOUT_DESTINATION = f"SELECT count(*) FROM ({JOBS_WITHOUT_DESTINATION})"
SHOWN_ROWS = (
    "SELECT d.run, d.job, d.kind, d.remote_id FROM deliveries d JOIN runs j ON j.uid = d.job"
    " WHERE d.destination = ? AND d.remote_id IS NOT NULL ORDER BY j.start_ns, d.job"
)
"""All rows that are there, those of the oldest job first."""
UNSETTLED_JOBS = (
    "SELECT d.job FROM deliveries d JOIN runs r ON r.uid = d.run"
    " WHERE d.destination = ? AND ((d.wanted > d.sent AND d.sent > 0) OR r.status = 'Running')"
)
"""Jobs of which something runs, or a row is not as the ledger says."""
FORGET_ROW = (
    "UPDATE deliveries SET remote_id = NULL, cells = NULL, claim = NULL, shown = NULL"
    " WHERE destination = ? AND run = ?"
)
"""The row was deleted there: if its run ever changes, all of it is sent again."""

# --- quarantine
QUARANTINE = (
    "SELECT place, field, reason, since_ns FROM quarantine WHERE destination = ? ORDER BY place, field"
)
PUT_QUARANTINE = "INSERT OR IGNORE INTO quarantine VALUES (?, ?, ?, ?, ?)"
END_QUARANTINE = "DELETE FROM quarantine WHERE destination = ? AND place = ? AND field = ?"

# --- leases, limits, calls
LEASE = "SELECT holder, fence, expires_ns FROM leases WHERE name = ?"
PUT_LEASE = "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)"
END_LEASE = "UPDATE leases SET expires_ns = 0 WHERE name = ? AND holder = ?"
DESTINATION = "SELECT blocked_ns, reason, delivered_ns FROM destinations WHERE name = ?"
BLOCK = (
    "INSERT INTO destinations (name, blocked_ns, reason) VALUES (:name, :until, :reason)"
    " ON CONFLICT (name) DO UPDATE SET blocked_ns = :until, reason = :reason"
)
PUT_DELIVERED_AT = (
    "INSERT INTO destinations (name, delivered_ns) VALUES (:name, :now)"
    " ON CONFLICT (name) DO UPDATE SET delivered_ns = :now, reason = NULL"
)
COUNT_API_CALL = (
    "INSERT INTO api_calls VALUES (?, ?, ?)"
    " ON CONFLICT (destination, month) DO UPDATE SET calls = calls + excluded.calls"
)
API_CALLS = "SELECT calls FROM api_calls WHERE destination = ? AND month = ?"
PUT_CANCEL = "INSERT OR REPLACE INTO cancels VALUES (?, ?, ?)"
CANCELS = "SELECT run, at_ns, reason FROM cancels"
"""Which runs are to be canceled, since when, and why."""
FORGET_CANCELS = (
    "DELETE FROM cancels WHERE at_ns < ?"
    " AND NOT EXISTS (SELECT 1 FROM runs WHERE uid = cancels.run AND status = 'Running')"
)
