-- Sessions from before a restore, which are never used for sending again.

-- 1: when it becomes readable, or is loaded, it is made to receive only
ALTER TABLE session ADD COLUMN ended INTEGER NOT NULL DEFAULT 0;

-- Earlier versions have archived the sessions of a restored database in a way that a late message undid, and have not kept that it was
-- restored. So none of the archived sessions is used for sending again: there is a newer one, or the next message begins one.
UPDATE session SET ended = 1 WHERE active = 0;
