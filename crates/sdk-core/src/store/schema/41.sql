-- Messages of ours that the relay stored long after they were written, or that were sent once more: whether they have expired is not judged
-- in the order in which they were written.
CREATE TABLE sent_late (
    message_id INTEGER PRIMARY KEY,
    stored     INTEGER NOT NULL
) STRICT;

CREATE INDEX sent_late_stored ON sent_late (stored);

INSERT INTO sent_late SELECT id, stored FROM message
WHERE state = 1 AND kind = 1 AND count IS NOT NULL AND stored > sent + 43200000;
