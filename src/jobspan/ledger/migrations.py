"""The ledger's tables, as numbered migrations, each run in one transaction.

`user_version` holds the number of the last migration, `application_id` says that the file is ours.
A ledger with a higher number was written by a newer jobspan: it is refused, never touched.
"""

from __future__ import annotations

APPLICATION_ID = 0x4A6F6253  # "JobS"

_SLOT_8 = """(CASE WHEN kind = 'j' THEN 0 WHEN sent > 0 THEN 10
WHEN status = 'Running' THEN 20 WHEN status = 'Completed' THEN 30 ELSE 40 END
+ CASE WHEN state <> 'due' THEN 6 + (urgent = 0) WHEN kind = 'c' AND stage < 2 THEN 4 + (urgent = 0)
WHEN urgent <> 0 THEN 0 WHEN status IS NOT shown THEN 1 ELSE 3 END)"""
"""Where a row that waits stands (see `delivery_queries`), as of the eighth migration."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # Jobs and client runs, with everything derived from their parts.
        """
        CREATE TABLE runs (
            uid TEXT PRIMARY KEY,
            kind TEXT NOT NULL,              -- j: job, c: client run
            job TEXT NOT NULL,               -- uid of the job
            label TEXT NOT NULL,             -- job type, or client id
            run_id TEXT,                     -- of a job: YYMMDD-HHMMSS
            status TEXT NOT NULL,
            start_ns INTEGER,
            end_ns INTEGER,
            data TEXT NOT NULL,              -- JSON: counts, errors, spend, ...
            version INTEGER NOT NULL         -- grows with every change, over all runs
        ) WITHOUT ROWID
        """,
        "CREATE INDEX runs_by_job ON runs (job)",
        "CREATE INDEX runs_by_run_id ON runs (run_id) WHERE run_id IS NOT NULL",
        "CREATE INDEX jobs_by_start ON runs (start_ns) WHERE kind = 'j'",
        "CREATE INDEX jobs_provisional ON runs (uid) WHERE instr(run_id, '~') > 0",
        # One row for each entering of a job, client run or operation.
        """
        CREATE TABLE parts (
            uid TEXT PRIMARY KEY,
            kind TEXT NOT NULL,              -- j, c, o: operation
            run TEXT,
            job TEXT,
            parent TEXT,
            process TEXT,
            closed INTEGER NOT NULL,         -- 0 open, 1 it said itself how it ended, 2 inferred
            start_ns INTEGER,
            deadline_ns INTEGER,
            data TEXT NOT NULL
        ) WITHOUT ROWID
        """,
        "CREATE INDEX parts_by_run ON parts (run, kind)",
        "CREATE INDEX parts_open_by_parent ON parts (parent) WHERE closed <> 1",
        "CREATE INDEX parts_open_by_process ON parts (process) WHERE closed <> 1",
        """
        CREATE INDEX parts_open_by_deadline ON parts (deadline_ns)
        WHERE closed = 0 AND deadline_ns IS NOT NULL
        """,
        # Single facts: usage, cost, item, error, note, skip.
        """
        CREATE TABLE entries (
            id INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            job TEXT NOT NULL,
            run TEXT NOT NULL,
            top TEXT NOT NULL,
            part TEXT NOT NULL,
            source TEXT NOT NULL,
            key TEXT,
            at_ns INTEGER NOT NULL,
            writer TEXT NOT NULL,
            seq INTEGER NOT NULL,
            data TEXT NOT NULL
        )
        """,
        "CREATE INDEX entries_by_run ON entries (job, run, kind)",
        "CREATE INDEX entries_by_key ON entries (job, kind, source, key) WHERE key IS NOT NULL",
        # How far each journal is folded; moved in the same transaction as what it brought.
        """
        CREATE TABLE journals (
            name TEXT PRIMARY KEY,
            process TEXT,
            offset INTEGER NOT NULL,
            skipped INTEGER NOT NULL,
            done INTEGER NOT NULL
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE processes (
            uid TEXT PRIMARY KEY,
            about TEXT NOT NULL,
            last_ns INTEGER NOT NULL,
            gone_ns INTEGER
        ) WITHOUT ROWID
        """,
        # Which events were applied, of writers that are not the opener of a part.
        "CREATE TABLE writers (writer TEXT PRIMARY KEY, seen TEXT NOT NULL) WITHOUT ROWID",
        # Other texts a job was known by: provisional ids.
        "CREATE TABLE aliases (alias TEXT PRIMARY KEY, job TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    ),
    (
        # What each destination shows of each run. Dirty while `wanted` > `sent`.
        """
        CREATE TABLE deliveries (
            destination TEXT NOT NULL,       -- say airtable:appXXXXXXXXXXXXXX
            run TEXT NOT NULL,
            job TEXT NOT NULL,
            kind TEXT NOT NULL,              -- j: job, c: client run
            wanted INTEGER NOT NULL,         -- grows with every change of the run
            sent INTEGER NOT NULL DEFAULT 0, -- the `wanted` of what was delivered last
            status TEXT NOT NULL,            -- of the run now
            shown TEXT,                      -- status delivered last
            urgent INTEGER NOT NULL DEFAULT 0,
            state TEXT NOT NULL DEFAULT 'due', -- due; parked: refused, until it or the schema changes
            stage INTEGER NOT NULL DEFAULT 0,  -- of a job's row: 0 unseen, 1 free, 2 ours for sure
            remote_id TEXT,
            claim TEXT,                      -- notes of the first upsert, by which a lost one is found again
            attempts INTEGER NOT NULL DEFAULT 0,
            last_error TEXT,
            dirty_ns INTEGER NOT NULL,       -- since when it is dirty
            hold_ns INTEGER NOT NULL DEFAULT 0, -- not before
            sent_ns INTEGER NOT NULL DEFAULT 0,
            cells TEXT,                      -- JSON: what the row shows
            PRIMARY KEY (destination, run)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX deliveries_dirty ON deliveries (destination, kind, dirty_ns) WHERE wanted > sent",
        "CREATE INDEX deliveries_by_job ON deliveries (job)",
        "CREATE INDEX deliveries_running ON deliveries (destination) WHERE kind = 'j' AND shown = 'Running'",
        "CREATE INDEX deliveries_unverified ON deliveries (destination) WHERE kind = 'j' AND stage = 1",
        """
        CREATE TABLE quarantine (
            destination TEXT NOT NULL,
            place TEXT NOT NULL,             -- the table there
            field TEXT NOT NULL,
            reason TEXT NOT NULL,
            since_ns INTEGER NOT NULL,
            PRIMARY KEY (destination, place, field)
        ) WITHOUT ROWID
        """,
        # One sender per name. `fence` grows whenever the holder changes.
        """
        CREATE TABLE leases (
            name TEXT PRIMARY KEY,
            holder TEXT NOT NULL,
            fence INTEGER NOT NULL,
            expires_ns INTEGER NOT NULL
        ) WITHOUT ROWID
        """,
        # Calls made, and until when a destination wants to be left alone.
        """
        CREATE TABLE destinations (
            name TEXT PRIMARY KEY,
            blocked_ns INTEGER NOT NULL DEFAULT 0,
            reason TEXT,
            delivered_ns INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE api_calls (
            destination TEXT NOT NULL,
            month TEXT NOT NULL,             -- YYYY-MM, UTC
            calls INTEGER NOT NULL,
            PRIMARY KEY (destination, month)
        ) WITHOUT ROWID
        """,
        # Jobs a person wants ended: (by) a destination or a command.
        """
        CREATE TABLE cancels (
            job TEXT PRIMARY KEY,
            at_ns INTEGER NOT NULL,
            by TEXT NOT NULL
        ) WITHOUT ROWID
        """,
        "INSERT OR IGNORE INTO facts VALUES ('ledger', lower(hex(randomblob(6))))",
    ),
    (
        # The calls of models that each run made, resolved from its usage facts.
        """
        CREATE TABLE calls (
            run TEXT NOT NULL,
            job TEXT NOT NULL,
            part TEXT NOT NULL,
            id TEXT,                         -- the provider's or the caller's: counts once in a job
            at_ns INTEGER NOT NULL,
            speaker TEXT NOT NULL,           -- which fact's numbers hold
            model TEXT,
            provider TEXT,
            sums TEXT NOT NULL               -- JSON: tokens, cost in pico-USD, ...
        )
        """,
        "CREATE INDEX calls_by_run ON calls (run)",
        "CREATE INDEX calls_by_id ON calls (id) WHERE id IS NOT NULL",
        "CREATE INDEX calls_by_time ON calls (at_ns)",
        "CREATE INDEX runs_unresolved ON runs (uid) WHERE instr(data, '\"facts_new\":') > 0",
    ),
    (
        "CREATE INDEX deliveries_running_clients ON deliveries (destination, job)"
        " WHERE kind = 'c' AND shown = 'Running'",
    ),
    (
        # Jobs and client runs somebody wants ended: one fact each, whoever asked.
        "DROP TABLE cancels",
        """
        CREATE TABLE cancels (
            run TEXT PRIMARY KEY,
            at_ns INTEGER NOT NULL,
            reason TEXT NOT NULL
        ) WITHOUT ROWID
        """,
        "DELETE FROM facts WHERE name >= 'cancel:' AND name < 'cancel;'",
    ),
    (
        # A new job asks for the jobs of its type before it.
        "CREATE INDEX jobs_by_type ON runs (label, start_ns) WHERE kind = 'j'",
    ),
    (
        # Parts in the order they come: sorted by their names, which are random, writes go all over.
        "ALTER TABLE parts RENAME TO parts_by_name",
        """
        CREATE TABLE parts (
            uid TEXT PRIMARY KEY,
            kind TEXT NOT NULL,              -- j, c, o: operation
            run TEXT,
            job TEXT,
            parent TEXT,
            process TEXT,
            closed INTEGER NOT NULL,         -- 0 open, 1 it said itself how it ended, 2 inferred
            start_ns INTEGER,
            deadline_ns INTEGER,
            data TEXT NOT NULL,              -- JSON: an object, or an array where it was told whole at once
            settled INTEGER NOT NULL         -- 1: in the sums of its run, which need not read it again
        )
        """,
        """
        INSERT INTO parts
        SELECT uid, kind, run, job, parent, process, closed, start_ns, deadline_ns, data, 0 FROM parts_by_name
        """,
        "DROP TABLE parts_by_name",
        "CREATE INDEX parts_by_run ON parts (run)",
        "CREATE INDEX parts_unsettled_by_run ON parts (run) WHERE settled = 0 AND kind <> 'o'",
        "CREATE INDEX parts_open_by_parent ON parts (parent) WHERE closed <> 1",
        "CREATE INDEX parts_open_by_process ON parts (process) WHERE closed <> 1",
        """
        CREATE INDEX parts_open_by_deadline ON parts (deadline_ns)
        WHERE closed = 0 AND deadline_ns IS NOT NULL
        """,
    ),
    (
        # Rows that wait, by what they wait for: each question of a relay costs what it returns. A client
        # run's `stage` now says whether its job's row may be referred to (2), so that it need not be asked.
        "UPDATE deliveries SET stage = 0 WHERE kind = 'c' AND stage <> 0",
        """
        UPDATE deliveries SET stage = 2 WHERE kind = 'c' AND EXISTS (SELECT 1 FROM deliveries j
        WHERE j.destination = deliveries.destination AND j.run = deliveries.job AND j.stage >= 2)
        """,
        "DROP INDEX deliveries_dirty",
        "DROP INDEX deliveries_by_job",
        f"""
        CREATE INDEX deliveries_queue ON deliveries (destination, {_SLOT_8}, dirty_ns)
        WHERE wanted > sent AND stage <> 3
        """,
        f"""
        CREATE INDEX deliveries_queue_of_job ON deliveries (job, {_SLOT_8}, dirty_ns)
        WHERE wanted > sent AND stage <> 3
        """,
        "CREATE INDEX deliveries_troubled ON deliveries (destination, dirty_ns) WHERE last_error IS NOT NULL",
        """
        CREATE INDEX deliveries_by_remote_id ON deliveries (destination, remote_id)
        WHERE remote_id IS NOT NULL
        """,
        "DROP INDEX deliveries_running",
        """
        CREATE INDEX deliveries_running ON deliveries (destination, dirty_ns)
        WHERE kind = 'j' AND shown = 'Running'
        """,
        # What the fold asks each few seconds, and a job when it opens.
        "CREATE INDEX processes_alive ON processes (uid) WHERE gone_ns IS NULL OR gone_ns < last_ns",
        "CREATE INDEX entries_links ON entries (key) WHERE kind = 'link'",
        "CREATE INDEX aliases_by_job ON aliases (job)",
        # The ``key=`` of a job stands beside its type.
        "ALTER TABLE runs ADD COLUMN scope TEXT NOT NULL DEFAULT ''",
        """
        UPDATE runs SET scope = json_extract(data, '$.scope')
        WHERE kind = 'j' AND json_extract(data, '$.scope') IS NOT NULL
        """,
        "DROP INDEX jobs_by_type",
        "CREATE INDEX jobs_by_type ON runs (label, scope, start_ns) WHERE kind = 'j'",
        """
        CREATE INDEX jobs_running ON runs (label, scope, start_ns)
        WHERE kind = 'j' AND status = 'Running'
        """,
    ),
    (
        # Ids of tables and columns of a destination, by the names they are set under: people rename them.
        """
        CREATE TABLE known_ids (
            destination TEXT NOT NULL,
            place TEXT NOT NULL,             -- j, c: a column of that table; '': a table
            name TEXT NOT NULL,
            remote_id TEXT NOT NULL,
            PRIMARY KEY (destination, place, name)
        ) WITHOUT ROWID
        """,
    ),
    (
        # Runs in the order they come, as parts are. A client run entered once and told whole is one row: its
        # part stands in it.
        "ALTER TABLE runs RENAME TO runs_by_name",
        """
        CREATE TABLE runs (
            uid TEXT PRIMARY KEY,
            kind TEXT NOT NULL,              -- j: job, c: client run
            job TEXT NOT NULL,               -- uid of the job
            label TEXT NOT NULL,             -- job type, or client id
            run_id TEXT,                     -- of a job: YYMMDD-HHMMSS
            status TEXT NOT NULL,
            start_ns INTEGER,
            end_ns INTEGER,
            data TEXT NOT NULL,              -- JSON: counts, errors, spend, ...
            version INTEGER NOT NULL,        -- grows with every change, over all runs
            scope TEXT NOT NULL DEFAULT '',  -- of a job: its key=
            part TEXT,                       -- the only part, if that has no row in `parts`
            parent TEXT,                     -- this and the following: of that part
            process TEXT,
            told TEXT                        -- JSON: what `data` of parts is
        )
        """,
        """
        INSERT INTO runs (uid, kind, job, label, run_id, status, start_ns, end_ns, data, version, scope)
        SELECT uid, kind, job, label, run_id, status, start_ns, end_ns, data, version, scope FROM runs_by_name
        """,
        "DROP TABLE runs_by_name",
        "CREATE UNIQUE INDEX runs_by_part ON runs (part) WHERE part IS NOT NULL",
        "CREATE INDEX runs_by_run_id ON runs (run_id) WHERE run_id IS NOT NULL",
        "CREATE INDEX jobs_by_start ON runs (start_ns) WHERE kind = 'j'",
        "CREATE INDEX jobs_provisional ON runs (uid) WHERE instr(run_id, '~') > 0",
        "CREATE INDEX runs_unresolved ON runs (uid) WHERE instr(data, '\"facts_new\":') > 0",
        "CREATE INDEX jobs_by_type ON runs (label, scope, start_ns) WHERE kind = 'j'",
        """
        CREATE INDEX jobs_running ON runs (label, scope, start_ns)
        WHERE kind = 'j' AND status = 'Running'
        """,
    ),
)
