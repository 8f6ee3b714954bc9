-- A thread has a mark up to which it has been read. The mark of an existing thread is before all of its messages, whose own rows
-- say which of them have been read. The columns for what contents say about others are not written yet.

ALTER TABLE thread ADD COLUMN read_position INTEGER NOT NULL DEFAULT 0;    -- with read_id: up to here, messages have been read
ALTER TABLE thread ADD COLUMN read_id INTEGER NOT NULL DEFAULT 0;

-- The read receipts of a thread that are still to be queued: for the messages after this position, up to the thread's mark.
CREATE TABLE read_receipt_due (
    thread_id BLOB    PRIMARY KEY REFERENCES thread (thread_id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    id        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

DROP INDEX message_unread;
CREATE INDEX message_incoming ON message (thread_id, position) WHERE state = 10;
CREATE INDEX message_late     ON message (thread_id, position) WHERE state = 12;

ALTER TABLE message ADD COLUMN after_position INTEGER;     -- of the newest message that its author had then; NULL when not told

-- What a mark has not reached, though it lies before it.
CREATE TABLE mark_exception (
    thread_id BLOB    NOT NULL,
    user_id   BLOB    NOT NULL,
    device_id INTEGER NOT NULL,
    kind      INTEGER NOT NULL,
    run       BLOB    NOT NULL,
    first     INTEGER NOT NULL,                -- counts, both included
    last      INTEGER NOT NULL,
    PRIMARY KEY (thread_id, user_id, device_id, kind, run, first),
    FOREIGN KEY (thread_id, user_id, device_id, kind, run)
        REFERENCES mark (thread_id, user_id, device_id, kind, run) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
