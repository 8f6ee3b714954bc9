-- Pins, and the timer of a thread. What several people can change has two values: the one that the last content in the thread has
-- set, and the one that our own contents will set which the relay has not accepted yet.

ALTER TABLE pin ADD COLUMN pending INTEGER;                                -- what ours set: as pinned; NULL: none is queued
ALTER TABLE pin ADD COLUMN pending_by BLOB CHECK (length(pending_by) = 16);   -- the content of ours that has set it
CREATE INDEX pin_shown   ON pin (thread_id, position) WHERE coalesce(pending, pinned) > 0;
CREATE INDEX pin_message ON pin (message_id);

ALTER TABLE thread ADD COLUMN timer INTEGER NOT NULL DEFAULT 0;            -- seconds after which messages disappear; 0 never
ALTER TABLE thread ADD COLUMN timer_position INTEGER NOT NULL DEFAULT 0;   -- of the content that has set it
ALTER TABLE thread ADD COLUMN timer_pending INTEGER;                       -- what ours set: as timer; NULL: none is queued
ALTER TABLE thread ADD COLUMN timer_pending_by BLOB CHECK (length(timer_pending_by) = 16);
