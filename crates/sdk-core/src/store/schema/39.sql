-- Accounts whose newest device list is to be fetched from the relay.
CREATE TABLE device_list_due (
    user_id     BLOB    PRIMARY KEY CHECK (length(user_id) = 16),
    version     INTEGER NOT NULL,                  -- the highest that somebody has named; 0: none, but a device that is not on the known list
    digest      BLOB    CHECK (length(digest) = 16),   -- of the named list; NULL: none was named
    contradicts INTEGER NOT NULL DEFAULT 0,        -- 1: another list with the version of the known one was named
    tries       INTEGER NOT NULL DEFAULT 0,        -- answers of the relay that did not settle it
    due         INTEGER NOT NULL DEFAULT 0         -- local time before which the relay is not asked
) STRICT, WITHOUT ROWID;

CREATE INDEX device_list_due_at ON device_list_due (due);
