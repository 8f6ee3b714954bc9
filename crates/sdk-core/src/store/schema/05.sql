-- Whether the relay knows that we accept a thread. For existing threads it is asked once more, because earlier relays did not count
-- all of them as accepted.

ALTER TABLE thread ADD COLUMN accepted INTEGER NOT NULL DEFAULT 0;
CREATE INDEX thread_to_accept ON thread (thread_id) WHERE accepted = 0;
