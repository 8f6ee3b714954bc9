-- Contacts are sent our device list after a device was removed from it.
ALTER TABLE thread ADD COLUMN list_due INTEGER NOT NULL DEFAULT 0;   -- 1: our device list is to be sent to the others; 2: when something changes
CREATE INDEX thread_list_due ON thread (activity) WHERE list_due = 1;
