-- Old messages of all threads are deleted together, and a clean-up that was interrupted is continued.

ALTER TABLE account ADD COLUMN clean_before INTEGER;
ALTER TABLE account ADD COLUMN clean_after BLOB CHECK (length(clean_after) = 16);
