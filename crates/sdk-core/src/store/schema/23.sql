-- What people, and we ourselves, say about themselves.

CREATE TABLE profile (
    user_id  BLOB    PRIMARY KEY CHECK (length(user_id) = 16),
    name     TEXT    NOT NULL,
    about    TEXT    NOT NULL,
    avatar   BLOB    NOT NULL,                 -- where to find it; empty: there is none
    revision INTEGER NOT NULL                  -- grows with each change
) STRICT, WITHOUT ROWID;

ALTER TABLE thread ADD COLUMN profile_due INTEGER NOT NULL DEFAULT 1;     -- 1: our profile is to be sent to the others
CREATE INDEX thread_profile_due ON thread (thread_id) WHERE profile_due = 1;
