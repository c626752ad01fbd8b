"""Every query about deliveries, named and described: what each destination shows, and what waits for it.

Rows that wait (`wanted` > `sent`) stand in slots of an index, in each by how long they have waited: ten times
the lane, which says what kind of row it is, plus the turn, which says what it waits for. So each question
costs what it returns, however many rows wait. Queries name their index: the planner knows no statistics here,
and would go through all rows of a destination.
"""

from __future__ import annotations

JOB, SHOWN, RUNNING, COMPLETED, OTHERWISE = 0, 10, 20, 30, 40
"""The lanes: jobs; client runs that have a row there already; those that have none, by their status."""
URGENT, NEWS, LINGERING, FOR_JOB, FOR_JOB_UNHURRIED, REFUSED, REFUSED_UNHURRIED = 0, 1, 3, 4, 5, 6, 7
"""The turns: to be sent now; a status that is not shown yet; anything else that may wait for company; client
runs whose job's row is not known to be ours yet; rows that were refused. Odd ones are not urgent."""
_SLOT = """CASE WHEN kind = 'j' THEN 0 WHEN sent > 0 THEN 10
WHEN status = 'Running' THEN 20 WHEN status = 'Completed' THEN 30 ELSE 40 END
+ CASE WHEN state <> 'due' THEN 6 + (urgent = 0) WHEN kind = 'c' AND stage < 2 THEN 4 + (urgent = 0)
WHEN urgent <> 0 THEN 0 WHEN status IS NOT shown THEN 1 ELSE 3 END"""
"""As in the ledger's indexes, letter for letter."""
_IN_QUEUE = (
    f"deliveries INDEXED BY deliveries_queue WHERE destination = :destination AND ({_SLOT}) {{which}}"
    " AND wanted > sent AND stage <> 3"
)
_IN_SLOT = _IN_QUEUE.format(which="= :slot")
_IN_SLOTS = _IN_QUEUE.format(which="IN ({slots})")

_EVERY_UNHURRIED = ", ".join(
    str(lane + turn)
    for lane in (JOB, SHOWN, RUNNING, COMPLETED, OTHERWISE)
    for turn in (NEWS, LINGERING, REFUSED_UNHURRIED)
)

_STAGE = """coalesce(
    (SELECT 2 FROM deliveries WHERE destination = :destination AND run = :job AND stage >= 2), 0)"""
_MARK = "INSERT INTO deliveries (destination, run, job, kind, wanted, status, urgent, dirty_ns, stage)"
_OR_AGAIN = """
ON CONFLICT (destination, run) DO UPDATE SET
    dirty_ns = CASE WHEN wanted > sent THEN dirty_ns ELSE excluded.dirty_ns END,
    wanted = wanted + 1, status = excluded.status, urgent = max(urgent, excluded.urgent),
    state = 'due', hold_ns = CASE state WHEN 'parked' THEN 0 ELSE hold_ns END,
    stage = CASE stage WHEN 3 THEN 0 ELSE stage END
"""
MARK_DIRTY = (
    _MARK + " VALUES (:destination, :run, :job, :kind, 1, :status, :urgent, :now,"
    f" CASE :kind WHEN 'j' THEN 0 ELSE {_STAGE} END)" + _OR_AGAIN
)
"""Note in the transaction of the fold that a run has changed; what was parked gets another chance."""
MARK_NEW = (
    f"{_MARK} SELECT :destination, value, :job, 'c', 1, 'Completed', :urgent, :now, {_STAGE}"
    " FROM json_each(:runs) WHERE 1" + _OR_AGAIN
)
"""The same of many new client runs of one job."""
HURRY_JOB = (
    "UPDATE deliveries SET urgent = 1 WHERE (destination, run) IN"
    " (SELECT destination, run FROM deliveries INDEXED BY deliveries_queue_of_job"
    f" WHERE job = ? AND ({_SLOT}) IN ({_EVERY_UNHURRIED}) AND wanted > sent AND stage <> 3 LIMIT 50000)"
)
"""A job is over: its rows linger no more. Behind so many (20 minutes of sending) none lingers anyway; those
that wait for the job's row are hurried when they are told of it (`PASS_ON`)."""
DIRTY_AGAIN = (
    "UPDATE deliveries SET wanted = wanted + 1, state = 'due' WHERE job = ?1"
    " AND destination IN (SELECT value FROM runs, json_each(data, '$.to') WHERE uid = ?1)"
    " AND run >= ?1 AND run < ?1 || '0'"
)
"""Have all rows of a job looked at again: its run id has changed."""
_COLUMNS = (
    "SELECT d.run, d.job, d.kind, d.wanted, d.sent, d.status, d.shown, d.urgent, d.state, d.stage,"
    " d.remote_id, d.claim, d.attempts, d.last_error, d.dirty_ns, d.hold_ns, d.sent_ns, d.cells"
)
_DELIVERY = _COLUMNS + " FROM deliveries d"
FIRST = "SELECT dirty_ns, run FROM " + _IN_SLOT + " AND hold_ns <= :now ORDER BY dirty_ns LIMIT :limit"
"""Rows of a slot that may be sent now, those first that have waited longest."""
FIRST_LINGERED = (
    "SELECT waits.dirty_ns, waits.run FROM (SELECT dirty_ns, run, job FROM "
    + _IN_SLOT
    + " AND dirty_ns <= :now - :linger AND hold_ns <= :now ORDER BY dirty_ns LIMIT :looked_at) waits"
    " LEFT JOIN runs r ON r.uid = waits.job WHERE waits.dirty_ns <= :now - min(:widest,"
    " (:now - coalesce(r.start_ns, :now)) / 10) LIMIT :limit"
)
"""Those of which the linger is over, among the first ones: in an old job it is a tenth of the job's age."""
COUNT_SLOTS = f"SELECT {_SLOT}, count(*), min(dirty_ns) FROM " + _IN_SLOTS + f" GROUP BY {_SLOT}"
"""How much waits in slots, and since when: each row is counted, in the index."""
COUNT_SOME = "SELECT count(*) FROM (SELECT 1 FROM " + _IN_SLOTS + " LIMIT :limit)"
IS_WAITING = "SELECT 1 FROM " + _IN_SLOTS + " AND dirty_ns <= :until LIMIT 1"
IS_WAITING_OF_JOBS = (
    "SELECT 1 FROM json_each(:jobs) CROSS JOIN deliveries INDEXED BY deliveries_queue_of_job"
    f" WHERE job = value AND ({_SLOT}) IN ({{slots}}) AND dirty_ns <= :until"
    " AND wanted > sent AND stage <> 3 AND destination = :destination LIMIT 1"
)
LAST_TROUBLE = (
    "SELECT last_error FROM deliveries INDEXED BY deliveries_troubled WHERE destination = :destination"
    f" AND last_error IS NOT NULL AND wanted > sent AND stage <> 3 AND ({_SLOT}) IN ({{slots}})"
    " ORDER BY dirty_ns DESC LIMIT 1"
)
HURRY = (
    "UPDATE deliveries SET urgent = 1 WHERE (destination, run) IN (SELECT destination, run FROM "
    + _IN_SLOTS
    + " LIMIT :limit)"
)
HURRY_JOBS = (
    "UPDATE deliveries SET urgent = 1 WHERE (destination, run) IN (SELECT d.destination, d.run"
    " FROM json_each(:jobs) CROSS JOIN deliveries d INDEXED BY deliveries_queue_of_job"
    f" WHERE job = value AND ({_SLOT}) IN ({{slots}}) AND wanted > sent AND stage <> 3"
    " AND d.destination = :destination LIMIT :limit)"
)
DELIVERY = _DELIVERY + " WHERE d.destination = ? AND d.run = ?"
UNVERIFIED = (
    _DELIVERY + " INDEXED BY deliveries_unverified"
    " WHERE d.destination = ? AND d.kind = 'j' AND d.stage = 1 AND d.remote_id IS NOT NULL"
    " AND (? OR json_extract(d.cells, '$.run_id') = (SELECT run_id FROM runs WHERE uid = d.run)) LIMIT 50"
)
"""Jobs whose row was written under their run id (or, second parameter, any), and not yet looked at again."""
RUNNING_THERE = (
    _DELIVERY
    + " INDEXED BY deliveries_running WHERE d.destination = ? AND d.kind = 'j' AND d.shown = 'Running'"
    " AND d.remote_id IS NOT NULL ORDER BY d.dirty_ns DESC LIMIT 50"
)
_NEXT_OF_RUNNING = (
    "SELECT min(job) FROM deliveries INDEXED BY deliveries_running_clients"
    " WHERE destination = :destination AND kind = 'c' AND shown = 'Running' AND job > "
)
JOBS_OF_RUNNING = (
    f"WITH RECURSIVE found (job) AS ({_NEXT_OF_RUNNING} '' UNION ALL"
    f" SELECT ({_NEXT_OF_RUNNING} found.job) FROM found WHERE found.job IS NOT NULL LIMIT 51)"
    " SELECT f.job, r.run_id FROM found f JOIN runs r ON r.uid = f.job WHERE r.run_id IS NOT NULL LIMIT 50"
)
"""Jobs with client runs the destination shows as Running, found by jumps from job to job."""
_SHOWN_THERE = (
    " FROM json_each(:remote_ids) CROSS JOIN deliveries d INDEXED BY deliveries_by_remote_id"
    " WHERE d.destination = :destination AND d.remote_id IS NOT NULL AND d.remote_id = value"
)
SHOWN_AS = _COLUMNS + _SHOWN_THERE + " AND d.job IN (SELECT value FROM json_each(:jobs))"
"""Runs of jobs whose rows have these ids there."""
PUT_DELIVERED = """
UPDATE deliveries SET
    sent = :wanted, shown = :shown, cells = :cells, remote_id = :remote_id, sent_ns = :now,
    stage = CASE kind WHEN 'j' THEN :stage ELSE stage END,
    attempts = 0, last_error = NULL, hold_ns = :hold, claim = NULL,
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
KNOWN_IDS = "SELECT place, name, remote_id FROM known_ids WHERE destination = ?"
PUT_KNOWN_ID = "INSERT OR REPLACE INTO known_ids VALUES (?, ?, ?, ?)"
NOT_OWN_JOBS = (
    "SELECT run FROM deliveries WHERE destination = :destination AND kind = 'j' AND stage >= 3"
    " AND run IN (SELECT value FROM json_each(:names))"
)
RUN_IDS = (
    "SELECT uid, run_id FROM runs WHERE run_id IS NOT NULL AND uid IN (SELECT value FROM json_each(:names))"
)
HANDED_OUT_JOBS = (
    "SELECT DISTINCT r.job FROM runs r WHERE r.uid IN (SELECT value FROM json_each(:names))"
    " AND (r.job GLOB 't*' OR EXISTS (SELECT 1 FROM parts p WHERE p.run IN (r.uid, r.job)"
    " AND coalesce(json_extract(p.data, '$.detached'), json_extract(p.data, '$.of')) IS NOT NULL))"
)
"""Jobs of runs that were made by calls, that are detached, or that go on with a part of another."""
KNOWN_ROWS = "SELECT d.remote_id" + _SHOWN_THERE
PUT_STAGE = (
    "UPDATE deliveries SET stage = :stage, remote_id = coalesce(:remote_id, remote_id)"
    " WHERE destination = :destination AND run = :run"
)
PUT_REMOTE_ID = (
    "UPDATE deliveries SET remote_id = coalesce(:remote_id, remote_id)"
    " WHERE destination = :destination AND run = :run"
)
STAGE = "SELECT stage FROM deliveries WHERE destination = :destination AND run = :run"
PASS_ON = (
    "UPDATE deliveries SET stage = :stage, urgent = CASE WHEN wanted <= sent THEN urgent ELSE max(urgent,"
    " (SELECT status <> 'Running' FROM deliveries WHERE destination = :destination AND run = :run)) END"
    " WHERE destination = :destination AND kind = 'c'"
    " AND run >= :run || '/' AND run < :run || '0' AND stage <> :stage"
)
"""Tell the client runs of a job whether its row is known to be ours (2) or not (0), and hurry them if it is
over."""
UNPARK = (
    "UPDATE deliveries SET state = 'due', hold_ns = 0 WHERE (destination, run) IN"
    " (SELECT destination, run FROM " + _IN_SLOTS + ")"
)
REPLAY = (
    "UPDATE deliveries SET wanted = wanted + 1, dirty_ns = :now WHERE destination = :destination"
    " AND kind = :kind AND sent > 0 AND wanted <= sent"
)
"""Have all rows of a table compared again: a column has become good."""
START_OVER = (
    "UPDATE deliveries SET wanted = wanted + 1, cells = NULL, remote_id = NULL, claim = NULL, stage = 0,"
    " state = 'due', hold_ns = 0, shown = NULL, sent = 0, dirty_ns = :now WHERE destination = :destination"
)


# --- what commands ask of deliveries
DESTINATION_NAMES = (
    "SELECT DISTINCT destination FROM deliveries UNION SELECT name FROM destinations"
    " WHERE instr(name, '#') = 0 ORDER BY 1"
)
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
END_LEASE = "UPDATE leases SET expires_ns = ? WHERE name = ? AND holder = ?"
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
