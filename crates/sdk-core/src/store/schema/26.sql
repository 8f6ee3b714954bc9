-- The parcel of a content is in the row of the content. A message names its entry in the outbox. Both spare indexes, and therefore
-- pages that each message writes.

ALTER TABLE message ADD COLUMN outgoing INTEGER;   -- ours: its entry in the outbox, which may be gone; 0 or NULL: it is
UPDATE message SET outgoing = (SELECT id FROM outgoing WHERE message_id = message.id)
    WHERE id IN (SELECT message_id FROM outgoing);
UPDATE message SET outgoing = 0 WHERE outgoing IS NULL AND count IS NOT NULL AND state < 10;

-- The state of a message changes more often than anything else here, and is therefore not part of the condition.
DROP INDEX message_count;
CREATE INDEX message_count ON message (run, count) WHERE outgoing IS NOT NULL AND count IS NOT NULL;

DROP INDEX outgoing_lane;
DROP INDEX outgoing_sealed;
DROP INDEX outgoing_unproven;
ALTER TABLE outgoing RENAME TO outgoing_25;

CREATE TABLE outgoing (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    lane       BLOB    NOT NULL CHECK (length(lane) = 16),   -- what it leaves in order with: a thread
    message_id INTEGER,                        -- NULL: nobody sees it; otherwise message.outgoing is the id of this row
    content_id BLOB    NOT NULL CHECK (length(content_id) = 16),
    sent       INTEGER NOT NULL,
    class      INTEGER NOT NULL,               -- 1 ordinary, 3 receipt
    body       BLOB    NOT NULL,               -- content without header
    state      INTEGER NOT NULL,               -- 1 to be sealed, 2 sealed, 3 accepted by the relay
    attempts   INTEGER NOT NULL DEFAULT 0,     -- without an answer, or put off: how long to wait next
    refusals   INTEGER NOT NULL DEFAULT 0,     -- sealed, refused, and to be sealed anew
    run        BLOB    CHECK (length(run) = 8),    -- with count: its number among our posts; NULL until it was sealed
    count      INTEGER,
    timer      INTEGER NOT NULL DEFAULT 0,
    client_msg_id BLOB CHECK (length(client_msg_id) = 16),   -- with bytes and made: its parcel, the same until it is answered
    bytes      BLOB,
    made       INTEGER
) STRICT;

INSERT INTO outgoing
    SELECT o.id, o.lane, o.message_id, o.content_id, o.sent, o.class, o.body, o.state, o.attempts, o.refusals, o.run, o.count,
        o.timer, p.client_msg_id, p.bytes, p.made
    FROM outgoing_25 AS o LEFT JOIN parcel AS p ON p.id = (SELECT max(id) FROM parcel WHERE outgoing_id = o.id);

-- Ids that were used are not given out again.
DELETE FROM sqlite_sequence WHERE name = 'outgoing';
INSERT INTO sqlite_sequence SELECT 'outgoing', seq FROM sqlite_sequence WHERE name = 'outgoing_25';

DROP TABLE parcel;
DROP TABLE outgoing_25;
CREATE INDEX outgoing_lane     ON outgoing (lane, state, id) WHERE state < 3;
CREATE INDEX outgoing_unproven ON outgoing (run, count) WHERE state = 3;
