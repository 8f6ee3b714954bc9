-- The list of chats: in which list a thread is, what is shown of it, message requests and blocked people. The search for links, the
-- details of a message, and what was shown as a notification.

ALTER TABLE thread RENAME COLUMN archived TO folder;                      -- 0 chats, 1 archive, 2 requests, 3 in no list
ALTER TABLE thread ADD COLUMN mentions      INTEGER NOT NULL DEFAULT 0;   -- unread messages that mention us
ALTER TABLE thread ADD COLUMN marked_unread INTEGER NOT NULL DEFAULT 0;   -- 1: by the person
ALTER TABLE thread ADD COLUMN muted_until   INTEGER NOT NULL DEFAULT 0;   -- 0 not muted
ALTER TABLE thread ADD COLUMN draft         TEXT;
ALTER TABLE thread ADD COLUMN request       INTEGER NOT NULL DEFAULT 0;   -- 1: a stranger began it, and it was not accepted
ALTER TABLE thread ADD COLUMN clear_up_to   INTEGER;                      -- a message.id: what is not newer is to be deleted

CREATE INDEX thread_unread ON thread (thread_id) WHERE unread > 0 OR marked_unread = 1;

ALTER TABLE contact ADD COLUMN blocked   INTEGER;                         -- when the person blocked this user; NULL: not blocked
ALTER TABLE contact ADD COLUMN block_due INTEGER NOT NULL DEFAULT 0;      -- 1: the relay is to be told
CREATE INDEX contact_block_due ON contact (user_id) WHERE block_due = 1;
CREATE INDEX contact_blocked   ON contact (user_id) WHERE blocked IS NOT NULL;

ALTER TABLE message ADD COLUMN mentions  INTEGER NOT NULL DEFAULT 0;      -- 1: it mentions us
ALTER TABLE message ADD COLUMN links     INTEGER NOT NULL DEFAULT 0;      -- 1: it contains a link
ALTER TABLE message ADD COLUMN stored    INTEGER;                         -- when the relay stored it; NULL when not known
ALTER TABLE message ADD COLUMN delivered INTEGER;                         -- ours: when the first delivery receipt arrived
ALTER TABLE message ADD COLUMN read      INTEGER;                         -- ours: when the first read receipt arrived
CREATE INDEX message_mentions ON message (thread_id, position, id) WHERE mentions = 1;
CREATE INDEX message_links    ON message (thread_id, position, id) WHERE links = 1;
UPDATE message SET links = 1 WHERE kind = 1
    AND (instr(body, CAST('http://' AS BLOB)) > 0 OR instr(body, CAST('https://' AS BLOB)) > 0);

ALTER TABLE account ADD COLUMN notified_up_to INTEGER NOT NULL DEFAULT 0; -- a message.id: newer ones are to be shown as notifications
UPDATE account SET notified_up_to = (SELECT coalesce(max(id), 0) FROM message);

-- What the app shows as notifications, in the form in which it was told.
CREATE TABLE notified (
    message_id INTEGER PRIMARY KEY,
    thread_id  BLOB    NOT NULL CHECK (length(thread_id) = 16),
    kind       INTEGER NOT NULL,
    edits      INTEGER NOT NULL
) STRICT;
