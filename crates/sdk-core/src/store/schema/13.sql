-- Envelopes that could not be processed because of a fault on this side are kept and tried again.

CREATE TABLE deferred (
    id         INTEGER PRIMARY KEY,
    message_id INTEGER REFERENCES message (id) ON DELETE SET NULL,   -- what represents it, if anything does
    sender     BLOB    NOT NULL CHECK (length(sender) = 16),
    thread_id  BLOB    NOT NULL CHECK (length(thread_id) = 16),
    ciphertext BLOB    NOT NULL CHECK (length(ciphertext) = 16),
    envelope   BLOB    NOT NULL,                                     -- as the relay delivered it
    at         INTEGER NOT NULL,
    due        INTEGER NOT NULL DEFAULT 0,                           -- 1: to be tried
    tries      INTEGER NOT NULL DEFAULT 0,                           -- attempts by this version of the library
    tried      INTEGER NOT NULL DEFAULT 0,
    version    TEXT    NOT NULL DEFAULT '',
    UNIQUE (ciphertext, sender, thread_id)
) STRICT;

CREATE INDEX deferred_sender  ON deferred (sender, id);
CREATE INDEX deferred_message ON deferred (message_id);
CREATE INDEX deferred_due     ON deferred (id) WHERE due = 1;
