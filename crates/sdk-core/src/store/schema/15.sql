-- After this database was restored from a copy, sessions are renewed in the background. A time that has passed according to both
-- clocks limits what the relay may state.

ALTER TABLE account ADD COLUMN renewed_up_to BLOB CHECK (length(renewed_up_to) = 16);  -- thread id; NULL: nothing to renew
ALTER TABLE account ADD COLUMN passed INTEGER NOT NULL DEFAULT 0;
