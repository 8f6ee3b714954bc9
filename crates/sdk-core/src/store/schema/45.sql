-- Sender keys. Of our messages in groups: the version of the roster that they were sealed for.
ALTER TABLE message ADD COLUMN roster INTEGER;
CREATE TABLE chain_out (
    thread_id       BLOB    PRIMARY KEY REFERENCES thread (thread_id) ON DELETE CASCADE,
    record          BLOB    NOT NULL,
    removal_version INTEGER NOT NULL,
    began           INTEGER NOT NULL,
    sent            INTEGER NOT NULL DEFAULT 0,
    is_checked      INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE chain_holder (
    thread_id BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    user_id   BLOB    NOT NULL CHECK (length(user_id) = 16),
    device_id INTEGER NOT NULL,
    identity  BLOB    NOT NULL CHECK (length(identity) = 33),
    PRIMARY KEY (thread_id, user_id, device_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX chain_holder_device ON chain_holder (user_id, device_id);
CREATE TABLE chain_in (
    thread_id       BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    user_id         BLOB    NOT NULL CHECK (length(user_id) = 16),
    device_id       INTEGER NOT NULL,
    distribution    BLOB    NOT NULL CHECK (length(distribution) = 16),
    identity        BLOB    NOT NULL CHECK (length(identity) = 33),
    removal_version INTEGER NOT NULL,
    record          BLOB    NOT NULL,
    since           INTEGER NOT NULL,
    PRIMARY KEY (thread_id, user_id, device_id, distribution)
) STRICT, WITHOUT ROWID;
CREATE INDEX chain_in_device ON chain_in (user_id, device_id);
CREATE TABLE chain_skipped (
    thread_id    BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    user_id      BLOB    NOT NULL CHECK (length(user_id) = 16),
    device_id    INTEGER NOT NULL,
    distribution BLOB    NOT NULL CHECK (length(distribution) = 16),
    chain        INTEGER NOT NULL,
    number       INTEGER NOT NULL,
    seed         BLOB    NOT NULL CHECK (length(seed) = 32),
    kept_since   INTEGER NOT NULL,
    PRIMARY KEY (thread_id, user_id, device_id, distribution, chain, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX chain_skipped_device ON chain_skipped (user_id, device_id);
CREATE INDEX chain_skipped_since  ON chain_skipped (kept_since);
