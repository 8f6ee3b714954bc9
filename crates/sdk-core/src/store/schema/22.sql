-- Mail on its way out (store/mail.rs): contents for the devices of one person, which have no place in a thread.
CREATE TABLE mail (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    thread_id     BLOB    NOT NULL CHECK (length(thread_id) = 16),
    recipient     BLOB    NOT NULL CHECK (length(recipient) = 16),
    slot          INTEGER,                     -- while it is not sealed, newer mail in the same slot replaces it
    content_id    BLOB    NOT NULL CHECK (length(content_id) = 16),
    sent          INTEGER NOT NULL,
    body          BLOB    NOT NULL,            -- content without header
    due           INTEGER NOT NULL,            -- local time before which it is not tried
    attempts      INTEGER NOT NULL DEFAULT 0,  -- without an answer, or put off: how long to wait next
    refusals      INTEGER NOT NULL DEFAULT 0,  -- sealed, refused, and to be sealed anew
    client_msg_id BLOB    CHECK (length(client_msg_id) = 16),   -- with bytes and made: once it is sealed
    bytes         BLOB,
    made          INTEGER
) STRICT;

CREATE INDEX mail_due ON mail (due, id);
CREATE UNIQUE INDEX mail_slot ON mail (thread_id, recipient, slot) WHERE bytes IS NULL;

-- What a person tells others: 0 nothing, 1 everything; NULL the default. What is off for all is off everywhere.
CREATE TABLE privacy (
    scope     BLOB    PRIMARY KEY CHECK (length(scope) IN (0, 16)),   -- a thread, or empty: all threads
    delivered INTEGER,
    read      INTEGER,
    typing    INTEGER,
    presence  INTEGER                          -- for a thread, the default is 0
) STRICT, WITHOUT ROWID;

-- When others said that they were there, by server time.
CREATE TABLE last_seen (
    user_id BLOB    PRIMARY KEY CHECK (length(user_id) = 16),
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
