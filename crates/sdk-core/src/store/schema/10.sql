-- Threads of any kind have members. The columns for counts and expiry of contents are not written yet.

CREATE TABLE member (
    thread_id BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    user_id   BLOB    NOT NULL CHECK (length(user_id) = 16),
    role      INTEGER NOT NULL DEFAULT 1,      -- 1 member
    since     INTEGER NOT NULL DEFAULT 0,      -- version of the roster
    PRIMARY KEY (thread_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX member_user ON member (user_id, thread_id);

INSERT INTO member (thread_id, user_id) SELECT thread_id, peer FROM thread;
INSERT INTO member (thread_id, user_id) SELECT thread_id, user_id FROM thread, account
    WHERE user_id IS NOT NULL ON CONFLICT DO NOTHING;

DROP INDEX thread_peer;
ALTER TABLE thread DROP COLUMN peer;

ALTER TABLE message ADD COLUMN run BLOB CHECK (length(run) = 8);       -- with count: its number among its author's
ALTER TABLE message ADD COLUMN count INTEGER;
ALTER TABLE message ADD COLUMN timer INTEGER NOT NULL DEFAULT 0;       -- seconds after it was read; 0 never
ALTER TABLE message ADD COLUMN expires INTEGER;                        -- when it goes
CREATE INDEX message_count   ON message (author, device, run, count) WHERE count IS NOT NULL;
CREATE INDEX message_expires ON message (expires) WHERE expires IS NOT NULL;

ALTER TABLE outgoing ADD COLUMN run BLOB CHECK (length(run) = 8);
ALTER TABLE outgoing ADD COLUMN count INTEGER;
ALTER TABLE outgoing ADD COLUMN timer INTEGER NOT NULL DEFAULT 0;

-- How far the contents of a run of ours have come with a device.
CREATE TABLE mark (
    thread_id BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    user_id   BLOB    NOT NULL CHECK (length(user_id) = 16),
    device_id INTEGER NOT NULL,
    kind      INTEGER NOT NULL,                -- 1 delivered, 2 read
    run       BLOB    NOT NULL CHECK (length(run) = 8),
    up_to     INTEGER NOT NULL,                -- count, itself included
    PRIMARY KEY (thread_id, user_id, device_id, kind, run)
) STRICT, WITHOUT ROWID;
