-- What a content of ours says that the relay has not accepted yet is kept apart from what it replaces, which returns if it is refused.

ALTER TABLE reaction ADD COLUMN pending TEXT CHECK (length(CAST(pending AS BLOB)) <= 32);
ALTER TABLE reaction ADD COLUMN pending_sent INTEGER;
ALTER TABLE reaction ADD COLUMN pending_by BLOB CHECK (length(pending_by) = 16);
ALTER TABLE vote ADD COLUMN pending BLOB CHECK (length(pending) <= 32);
ALTER TABLE vote ADD COLUMN pending_sent INTEGER;
ALTER TABLE vote ADD COLUMN pending_by BLOB CHECK (length(pending_by) = 16);

DROP INDEX reaction_emoji;
CREATE INDEX reaction_emoji ON reaction (message_id, coalesce(pending, emoji));

-- The places of ours were not recorded. Any later content counts.
UPDATE reaction SET position = 0 WHERE position = 1 << 62;
UPDATE vote SET position = 0 WHERE position = 1 << 62;
