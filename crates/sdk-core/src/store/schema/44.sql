-- Rosters of groups.
ALTER TABLE thread ADD COLUMN roster_head BLOB CHECK (length(roster_head) = 32);
ALTER TABLE thread ADD COLUMN removal_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE member ADD COLUMN account_key BLOB CHECK (length(account_key) = 33);
ALTER TABLE member ADD COLUMN list_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE member ADD COLUMN devices BLOB CHECK (length(devices) = 16);
CREATE TABLE roster (
    thread_id       BLOB    PRIMARY KEY REFERENCES thread (thread_id) ON DELETE CASCADE,
    permissions     BLOB    NOT NULL CHECK (length(permissions) = 3),
    link            BLOB    CHECK (length(link) = 65),
    timer           INTEGER NOT NULL,
    commitment      BLOB    NOT NULL CHECK (length(commitment) = 32),
    secret_version  INTEGER NOT NULL,
    floor           INTEGER NOT NULL,
    details_version INTEGER NOT NULL,
    dissolved       INTEGER NOT NULL,
    unknown_since   INTEGER NOT NULL,
    contradicted_by BLOB    CHECK (length(contradicted_by) = 16)
) STRICT, WITHOUT ROWID;
CREATE TABLE roster_entry (
    thread_id BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    version   INTEGER NOT NULL,
    hash      BLOB    NOT NULL CHECK (length(hash) = 32),
    outcome   INTEGER NOT NULL,
    entry     BLOB    NOT NULL,
    PRIMARY KEY (thread_id, version)
) STRICT;
CREATE TABLE roster_list (
    thread_id BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    user_id   BLOB    NOT NULL CHECK (length(user_id) = 16),
    list      BLOB    NOT NULL,
    PRIMARY KEY (thread_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE invited (
    thread_id   BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    user_id     BLOB    NOT NULL CHECK (length(user_id) = 16),
    account_key BLOB    NOT NULL CHECK (length(account_key) = 33),
    invited_by  BLOB    NOT NULL CHECK (length(invited_by) = 16),
    since       INTEGER NOT NULL,
    PRIMARY KEY (thread_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE group_secret (
    thread_id BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    version   INTEGER NOT NULL,
    secret    BLOB    NOT NULL CHECK (length(secret) = 32),
    PRIMARY KEY (thread_id, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE roster_due (
    thread_id BLOB    PRIMARY KEY CHECK (length(thread_id) = 16),
    tries     INTEGER NOT NULL DEFAULT 0,
    due       INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX roster_due_at ON roster_due (due);
CREATE TABLE roster_change (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    thread_id BLOB    NOT NULL CHECK (length(thread_id) = 16),
    change    BLOB    NOT NULL,
    entry     BLOB,
    secret    BLOB    CHECK (length(secret) = 32),
    times     INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX roster_change_of ON roster_change (thread_id, id);
