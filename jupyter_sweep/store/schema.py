"""The tables and their migrations, in order. `pragma user_version` is the number of migrations a file has seen.

A migration is one list of statements that runs in one transaction together with the new `user_version`; a released one
is never edited. `clock` holds one number that every writing transaction raises and stamps on the rows it touches, so
that a viewer asks for "rows changed since" whatever their number.
"""

from __future__ import annotations

#: Written to `pragma application_id`: "jswp"; another number means that the file is somebody else's.
APPLICATION_ID = 0x6A737770

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "create table clock (value integer not null)",
        "insert into clock values (0)",
        """create table drivers (
            driver_id integer primary key,
            key text not null,
            host text not null,
            pid integer not null,
            process_started real not null,
            started_at real not null,
            heartbeat_at real not null,
            ended_at real,
            slots integer not null default 0,
            dashboard text not null default '',
            where_text text not null default ''
        )""",
        """create table sweeps (
            sweep_id integer primary key,
            name text not null,
            version integer not null,
            fingerprint text not null,
            definition text not null,
            state text not null,
            message text not null default '',
            created_at real not null,
            started_at real,
            finished_at real,
            owner integer references drivers (driver_id),
            change integer not null default 0,
            unique (name, version)
        )""",
        "create index sweeps_by_identity on sweeps (name, fingerprint)",
        """create table trials (
            trial_id integer primary key,
            sweep_id integer not null references sweeps (sweep_id) on delete cascade,
            name text not null,
            number integer not null,
            params text not null,
            state text not null,
            reason text not null default '',
            metrics text not null default '{}',
            error text not null default '',
            traceback text not null default '',
            attempt integer not null default 1,
            repetition integer not null default 0,
            seed integer not null default 0,
            fingerprint text not null,
            proposal integer not null default -1,
            parent integer,
            worker text not null default '',
            folder text not null default '',
            pid integer,
            queued_at real,
            started_at real,
            finished_at real,
            duration_s real,
            peak_memory_gb real,
            change integer not null default 0,
            unique (name, number)
        )""",
        "create index trials_by_sweep on trials (sweep_id, change)",
        "create unique index trials_run_once on trials (sweep_id, fingerprint) where state != 'cancelled'",
        """create table attempts (
            trial_id integer not null references trials (trial_id) on delete cascade,
            attempt integer not null,
            reason text not null,
            error text not null default '',
            worker text not null default '',
            started_at real,
            ended_at real not null
        )""",
        "create index attempts_by_trial on attempts (trial_id)",
        """create table reports (
            report_id integer primary key,
            trial_id integer not null references trials (trial_id) on delete cascade,
            attempt integer not null,
            step integer not null,
            metrics text not null,
            reported_at real not null
        )""",
        "create index reports_by_trial on reports (trial_id)",
        """create table requests (
            request_id integer primary key,
            sweep_id integer not null references sweeps (sweep_id) on delete cascade,
            key text not null,
            verb text not null,
            args text not null default '{}',
            created_at real not null,
            handled_at real
        )""",
        "create index requests_open on requests (key) where handled_at is null",
    ),
    (  # what a driver tells those who look: its slots, and since when it waits for work
        "alter table drivers add column workers text not null default '[]'",
        "alter table drivers add column idle_since real",
        "alter table drivers add column idle_limit_s real",
        "alter table requests add column answer text not null default ''",
    ),
    (  # the GPUs of a trial, as in "0,1", and what its processes used of their memory at most
        "alter table trials add column device text not null default ''",
        "alter table trials add column peak_gpu_memory_gb real",
    ),
    (  # what a tracker has of a trial already (its name over there, the newest report), and what went wrong beside a sweep
        """create table passed_on (
            tracker text not null,
            trial_id integer not null references trials (trial_id) on delete cascade,
            run text not null,
            report_id integer not null,
            ended integer not null,
            primary key (tracker, trial_id)
        ) without rowid""",
        "create index passed_on_by_trial on passed_on (trial_id)",
        """create table said (
            sweep_id integer not null references sweeps (sweep_id) on delete cascade,
            source text not null,
            text text not null,
            primary key (sweep_id, source)
        ) without rowid""",
    ),
)
