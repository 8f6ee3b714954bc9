-- Messages that disappear a while after they were read.

ALTER TABLE thread ADD COLUMN timer_due INTEGER NOT NULL DEFAULT 0;        -- 1: timers of messages that have been read are to be started
CREATE INDEX thread_timer_due ON thread (thread_id) WHERE timer_due = 1;
CREATE INDEX message_timer    ON message (thread_id, position, id) WHERE timer > 0 AND expires IS NULL AND state >= 10;
CREATE INDEX message_timer_11 ON message (thread_id) WHERE timer > 0 AND expires IS NULL AND state = 11;
