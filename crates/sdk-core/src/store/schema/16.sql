-- Late messages have marks too: any number of them is marked as read by one row. They are numbered in each thread in the order of
-- their arrival. Those that are unread now count as the first.

ALTER TABLE thread ADD COLUMN late_count INTEGER NOT NULL DEFAULT 0;       -- the number of the newest late message
ALTER TABLE thread ADD COLUMN late_unread INTEGER NOT NULL DEFAULT 0;      -- how many of the unread messages are late
ALTER TABLE message ADD COLUMN late INTEGER;                               -- in state 12: its number among the late messages

UPDATE thread SET late_count = 1, late_unread = late.unread
    FROM (SELECT thread_id, count(*) AS unread FROM message WHERE state = 12 GROUP BY thread_id) AS late
    WHERE thread.thread_id = late.thread_id;

DROP INDEX message_late;
UPDATE message SET late = 1 WHERE state = 12;
CREATE INDEX message_late ON message (thread_id, position, id, late) WHERE state = 12;

-- Late messages that have been read: those with a number up to this one, at a position up to this one. They change to state 11 when
-- their read receipts are queued, in the order of their positions, and then the mark is deleted.
CREATE TABLE late_mark (
    thread_id      BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    late           INTEGER NOT NULL,
    position       INTEGER NOT NULL,
    id             INTEGER NOT NULL,
    after_position INTEGER NOT NULL DEFAULT 0, -- with after_id: up to here, the receipts have been queued
    after_id       INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (thread_id, late, position, id)
) STRICT, WITHOUT ROWID;
