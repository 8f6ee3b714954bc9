-- Outgoing contents become separate from what people see, and opened envelopes are recognised by their bytes. Bodies are contents
-- without their header; varint encodes the length of a field as protobuf does.

DROP INDEX message_page;
DROP INDEX message_outbox;
DROP INDEX message_unread;
DROP INDEX message_unproven;
ALTER TABLE message RENAME TO message_5;

CREATE TABLE message (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    thread_id  BLOB    NOT NULL REFERENCES thread (thread_id),
    content_id BLOB    CHECK (length(content_id) = 16),   -- its author's; NULL of what could not be opened
    author     BLOB    NOT NULL CHECK (length(author) = 16),
    device     INTEGER NOT NULL,               -- of the author; 0 when it was not kept
    kind       INTEGER NOT NULL,               -- 1 text, 2 undecryptable
    body       BLOB    NOT NULL,               -- 1: content without header, 2: empty
    cause      INTEGER,                        -- why it failed, or could not be opened
    sent       INTEGER NOT NULL,
    server_seq INTEGER,                        -- NULL until the relay has answered
    position   INTEGER NOT NULL,               -- order in the thread: epoch and server_seq, else after all
    state      INTEGER NOT NULL,               -- 0 queued, 1 sent, 2 delivered, 3 read, 4 failed; 10 unread, 11 read
    UNIQUE (author, content_id)
) STRICT;

-- A content on its way out, whether or not a person sees it.
CREATE TABLE outgoing (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    lane       BLOB    NOT NULL CHECK (length(lane) = 16),   -- what it leaves in order with: a thread
    message_id INTEGER UNIQUE REFERENCES message (id),       -- NULL: nobody sees it
    content_id BLOB    NOT NULL CHECK (length(content_id) = 16),
    sent       INTEGER NOT NULL,
    class      INTEGER NOT NULL,               -- 1 ordinary, 3 receipt
    body       BLOB    NOT NULL,               -- content without header
    state      INTEGER NOT NULL,               -- 1 to be sealed, 2 sealed, 3 accepted by the relay
    attempts   INTEGER NOT NULL DEFAULT 0,     -- without an answer, or put off: how long to wait next
    refusals   INTEGER NOT NULL DEFAULT 0      -- sealed, refused, and to be sealed anew
) STRICT;

CREATE INDEX outgoing_lane     ON outgoing (lane, id) WHERE state < 3;
CREATE INDEX outgoing_unproven ON outgoing (id) WHERE state = 3;

-- A submission to the relay: the same bytes until it is answered.
CREATE TABLE parcel (
    id            INTEGER PRIMARY KEY,
    outgoing_id   INTEGER NOT NULL REFERENCES outgoing (id) ON DELETE CASCADE,
    client_msg_id BLOB    NOT NULL CHECK (length(client_msg_id) = 16),
    bytes         BLOB    NOT NULL,
    made          INTEGER NOT NULL
) STRICT;

CREATE INDEX parcel_outgoing ON parcel (outgoing_id);

-- A lane with something to do.
CREATE TABLE lane (
    lane BLOB    PRIMARY KEY CHECK (length(lane) = 16),
    due  INTEGER NOT NULL                      -- local time before which its oldest entry is not tried
) STRICT, WITHOUT ROWID;

CREATE INDEX lane_due ON lane (due);

-- Ciphertexts that were opened: the first 16 bytes of their SHA-256.
CREATE TABLE opened (
    ciphertext BLOB    PRIMARY KEY CHECK (length(ciphertext) = 16),
    at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX opened_at ON opened (at);

-- Envelopes that could not be opened, by the name that the relay told, and the message that stands for each.
CREATE TABLE parked (
    message_id INTEGER PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
    thread_id  BLOB    NOT NULL,
    sender     BLOB    NOT NULL,
    told_id    BLOB    NOT NULL,
    ciphertext BLOB    NOT NULL,
    at         INTEGER NOT NULL,
    UNIQUE (thread_id, sender, told_id)
) STRICT;

CREATE TEMP VIEW written AS
    WITH row AS (SELECT *, iif(kind = 1, length(body), length(body) - 1) AS n FROM message_5),
    field AS (SELECT *, CASE WHEN n < 128 THEN printf('%02x', n)
        WHEN n < 16384 THEN printf('%02x%02x', 128 | (n & 127), n >> 7)
        ELSE printf('%02x%02x%02x', 128 | (n & 127), 128 | ((n >> 7) & 127), n >> 14) END AS varint FROM row),
    receipt AS (SELECT *, 3 + length(varint) / 2 + n AS m FROM field)
    SELECT *, CASE kind
        WHEN 1 THEN CAST(unhex('52' || varint) || body AS BLOB)
        WHEN 3 THEN CAST(unhex(
            '5a' || (CASE WHEN m < 128 THEN printf('%02x', m) ELSE printf('%02x%02x', 128 | (m & 127), m >> 7) END)
            || '08' || hex(substr(body, 1, 1)) || '12' || varint) || substr(body, 2) AS BLOB)
        ELSE x'' END AS content FROM receipt;

INSERT INTO message
    SELECT id, thread_id, iif(kind = 1, client_msg_id, NULL), sender, 0, kind, content, cause, sent, server_seq, position, state
    FROM written WHERE kind IN (1, 2);
INSERT INTO outgoing
    SELECT id, thread_id, iif(kind = 1, id, NULL), client_msg_id, sent, kind, content, iif(outbox = 0, 3, outbox), attempts,
        refusals
    FROM written WHERE outbox <> 0 OR sealed IS NOT NULL;
INSERT INTO parcel SELECT id, id, client_msg_id, sealed, sent FROM message_5 WHERE sealed IS NOT NULL;
INSERT INTO lane SELECT DISTINCT lane, 0 FROM outgoing WHERE state < 3;
INSERT INTO parked SELECT id, thread_id, sender, client_msg_id, zeroblob(16), sent FROM message_5 WHERE kind = 2;

-- Ids that were used are not given out again.
DELETE FROM sqlite_sequence WHERE name = 'message';
INSERT INTO sqlite_sequence SELECT 'message', seq FROM sqlite_sequence WHERE name = 'message_5';

DROP VIEW written;
DROP TABLE message_5;
DROP TABLE handled;

CREATE INDEX message_page   ON message (thread_id, position, id);
CREATE INDEX message_unread ON message (thread_id, id) WHERE state = 10;
