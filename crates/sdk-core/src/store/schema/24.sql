-- The threads whose histories are being deleted.

CREATE INDEX thread_clear ON thread (thread_id) WHERE clear_up_to IS NOT NULL;
