-- Contents are numbered, and what arrived where is told by marks. Nothing was written into the tables for marks before.

ALTER TABLE thread ADD COLUMN run BLOB CHECK (length(run) = 8);            -- of our posts; NULL until the first is sealed
ALTER TABLE thread ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;          -- how many posts of this run there are
ALTER TABLE thread ADD COLUMN newest INTEGER NOT NULL DEFAULT 0;           -- position of the newest post, if the relay has stated one

UPDATE thread SET newest = coalesce((SELECT max(position) FROM message
    WHERE message.thread_id = thread.thread_id AND position < 1 << 62), 0);

DROP INDEX message_count;
CREATE INDEX message_count ON message (run, count) WHERE count IS NOT NULL AND state < 10;

DROP INDEX outgoing_unproven;
CREATE INDEX outgoing_unproven ON outgoing (run, count) WHERE state = 3;

DROP TABLE mark_exception;
DROP TABLE mark;

-- Which of our posts have come to a device of another user.
CREATE TABLE mark (
    thread_id BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    run       BLOB    NOT NULL CHECK (length(run) = 8),
    user_id   BLOB    NOT NULL CHECK (length(user_id) = 16),
    device_id INTEGER NOT NULL,
    kind      INTEGER NOT NULL,                -- 1 delivered, 2 read, 3 seen: not told to people
    up_to     INTEGER NOT NULL,                -- count, itself included
    excepted  BLOB    NOT NULL,                -- ranges before it that have not come, as in content.proto
    told      INTEGER NOT NULL,                -- when the relay stored the newest content that told so
    PRIMARY KEY (thread_id, run, user_id, device_id, kind)
) STRICT, WITHOUT ROWID;

-- Which posts of a device of another user have come here.
CREATE TABLE heard (
    thread_id      BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    user_id        BLOB    NOT NULL CHECK (length(user_id) = 16),
    device_id      INTEGER NOT NULL,
    run            BLOB    NOT NULL CHECK (length(run) = 8),
    up_to          INTEGER NOT NULL,           -- count, itself included
    excepted       BLOB    NOT NULL,
    position       INTEGER NOT NULL,           -- of the newest
    PRIMARY KEY (thread_id, user_id, device_id, run)
) STRICT, WITHOUT ROWID;
