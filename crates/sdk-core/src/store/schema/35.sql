-- Whether a request was announced. Before schema 35, its first message said that, and a request whose first message was deleted before it
-- was announced never was. It may be announced once more if its first message was deleted since.

ALTER TABLE thread ADD COLUMN request_told INTEGER NOT NULL DEFAULT 0;

UPDATE thread SET request_told = 1
WHERE request = 1 AND (SELECT kind FROM message WHERE message.thread_id = thread.thread_id
    AND id <= (SELECT notified_up_to FROM account) ORDER BY id LIMIT 1) <> 4;

-- Whether receipts were on when messages were read that read receipts do not include yet. Of earlier rows, it was asked when they were
-- included.

ALTER TABLE read_receipt_due RENAME TO read_receipt_due_before;

CREATE TABLE read_receipt_due (
    thread_id BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    id        INTEGER NOT NULL,
    told      INTEGER NOT NULL,
    PRIMARY KEY (thread_id, position, id)
) STRICT, WITHOUT ROWID;

INSERT INTO read_receipt_due SELECT thread_id, position, id, 1 FROM read_receipt_due_before;

DROP TABLE read_receipt_due_before;

ALTER TABLE late_mark ADD COLUMN told INTEGER NOT NULL DEFAULT 1;
