-- A person can leave an account by logging out or by deleting it.

-- 0 not left, 1 logged out or 2 deleted, and the relay is still to be told, 3 left; 10 more while the history is kept
ALTER TABLE account ADD COLUMN leaving INTEGER NOT NULL DEFAULT 0;
