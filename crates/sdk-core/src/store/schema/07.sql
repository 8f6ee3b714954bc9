-- The list of threads becomes a page of an index, ordered by the relay's time of the newest message, as far as it is known.

ALTER TABLE thread ADD COLUMN kind INTEGER NOT NULL DEFAULT 1;      -- 1 direct
ALTER TABLE thread ADD COLUMN activity INTEGER NOT NULL DEFAULT 0;  -- when its newest message came to be, by the relay
ALTER TABLE thread ADD COLUMN unread INTEGER NOT NULL DEFAULT 0;
ALTER TABLE thread ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
ALTER TABLE thread ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;

-- Of messages from before, only their senders' clocks are known.
UPDATE thread SET
    activity = coalesce((SELECT min(sent, CAST(unixepoch('subsec') * 1000 AS INTEGER)) FROM message
        WHERE message.thread_id = thread.thread_id ORDER BY position DESC, id DESC LIMIT 1), created),
    unread = (SELECT count(*) FROM message WHERE message.thread_id = thread.thread_id AND state = 10);

CREATE INDEX thread_list ON thread (archived, pinned, activity, thread_id);
