-- What contents say about messages that are already there, and contents that wait for their message or for a later version. Votes
-- and pins are not written yet.

ALTER TABLE message ADD COLUMN version TEXT;                           -- kind 3: of the library that did not understand it
ALTER TABLE message ADD COLUMN reactions INTEGER NOT NULL DEFAULT 0;   -- how many people have reacted to it
ALTER TABLE message ADD COLUMN edits INTEGER NOT NULL DEFAULT 0;       -- how many earlier versions of it there are
ALTER TABLE message ADD COLUMN edited INTEGER;                         -- when its author wrote the present version; NULL: at first
ALTER TABLE message ADD COLUMN hidden INTEGER;                         -- when it was deleted on this device; it can be restored
CREATE INDEX message_version ON message (version, id) WHERE kind = 3;
CREATE INDEX message_hidden  ON message (hidden) WHERE hidden IS NOT NULL;

-- The reaction of a person to a message. An empty one was removed, and is kept so that an older one does not return.
CREATE TABLE reaction (
    message_id INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    author     BLOB    NOT NULL CHECK (length(author) = 16),
    emoji      TEXT    NOT NULL CHECK (length(CAST(emoji AS BLOB)) <= 32),
    sent       INTEGER NOT NULL,
    position   INTEGER NOT NULL,               -- of its content in the thread: the last one counts
    PRIMARY KEY (message_id, author)
) STRICT, WITHOUT ROWID;

CREATE INDEX reaction_emoji ON reaction (message_id, emoji);

-- The versions of an edited message: the original, and each edit.
CREATE TABLE edit (
    message_id INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    position   INTEGER NOT NULL,               -- of its content in the thread: the last one counts; 0: the original
    content_id BLOB    NOT NULL CHECK (length(content_id) = 16),
    body       BLOB    NOT NULL,
    sent       INTEGER NOT NULL,
    PRIMARY KEY (message_id, position, content_id)
) STRICT, WITHOUT ROWID;

-- What a person has chosen in a poll.
CREATE TABLE vote (
    message_id INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    author     BLOB    NOT NULL CHECK (length(author) = 16),
    choices    BLOB    NOT NULL CHECK (length(choices) <= 32),
    sent       INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    PRIMARY KEY (message_id, author)
) STRICT, WITHOUT ROWID;

-- The pinned messages of a thread. One that is no longer pinned is kept so that an older pin does not return.
CREATE TABLE pin (
    thread_id  BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    message_id INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    pinned     INTEGER NOT NULL,               -- when; 0: no longer
    position   INTEGER NOT NULL,
    PRIMARY KEY (thread_id, message_id)
) STRICT, WITHOUT ROWID;

-- Contents that show nothing and cannot be applied yet.
CREATE TABLE waiting_content (
    id            INTEGER PRIMARY KEY,
    thread_id     BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    author        BLOB    NOT NULL CHECK (length(author) = 16),
    content_id    BLOB    NOT NULL CHECK (length(content_id) = 16),
    target_author BLOB    CHECK (length(target_author) = 16),   -- with target_id: the message that it waits for
    target_id     BLOB    CHECK (length(target_id) = 16),
    version       TEXT,                        -- of the library that did not understand it; NULL if it waits for a message
    body          BLOB    NOT NULL,
    sent          INTEGER NOT NULL,
    position      INTEGER NOT NULL,
    at            INTEGER NOT NULL
) STRICT;

CREATE INDEX waiting_target  ON waiting_content (target_author, target_id) WHERE target_id IS NOT NULL;
CREATE INDEX waiting_version ON waiting_content (version, id) WHERE version IS NOT NULL;
CREATE INDEX waiting_author  ON waiting_content (author, id);
CREATE INDEX waiting_at      ON waiting_content (at);

-- Contents that have no row of their own, or no longer: a second copy has no effect.
CREATE TABLE applied_content (
    author     BLOB    NOT NULL CHECK (length(author) = 16),
    content_id BLOB    NOT NULL CHECK (length(content_id) = 16),
    at         INTEGER NOT NULL,
    PRIMARY KEY (author, content_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX applied_at ON applied_content (at);
