-- Times are milliseconds since the Unix epoch by server time, unless a comment says otherwise.

CREATE TABLE account (
    only             INTEGER PRIMARY KEY CHECK (only = 1),
    identity         BLOB    NOT NULL,             -- our identity key pair
    registration_id  INTEGER NOT NULL,
    next_key_id      INTEGER NOT NULL DEFAULT 1,   -- of pre-keys: ids are never used again
    user_id          BLOB    CHECK (length(user_id) = 16),   -- NULL until registered
    device_id        INTEGER,
    access_token     TEXT,
    access_expires   INTEGER,
    refresh_token    TEXT,
    epoch            INTEGER NOT NULL DEFAULT 0,   -- of the relay's store, as last seen
    clock_offset     INTEGER NOT NULL DEFAULT 0,   -- server time less local time, in ms
    indexed_up_to    INTEGER NOT NULL DEFAULT 0    -- message.id up to which the search index is fed
) STRICT;

CREATE TABLE signed_pre_key (
    id       INTEGER PRIMARY KEY,
    record   BLOB    NOT NULL,
    created  INTEGER NOT NULL,
    uploaded INTEGER NOT NULL,
    replaced INTEGER                               -- when a newer one took over; kept for late first messages
) STRICT;

CREATE TABLE one_time_pre_key (
    id       INTEGER PRIMARY KEY,
    record   BLOB    NOT NULL,
    uploaded INTEGER NOT NULL
) STRICT;

CREATE TABLE kem_pre_key (
    id          INTEGER PRIMARY KEY,
    record      BLOB    NOT NULL,
    last_resort INTEGER NOT NULL,
    created     INTEGER NOT NULL,
    uploaded    INTEGER NOT NULL,
    replaced    INTEGER
) STRICT;

-- First messages that used a last-resort key: the same one is not accepted twice.
CREATE TABLE last_resort_use (
    kem_id    INTEGER NOT NULL REFERENCES kem_pre_key (id) ON DELETE CASCADE,
    signed_id INTEGER NOT NULL,
    base_key  BLOB    NOT NULL,
    PRIMARY KEY (kem_id, signed_id, base_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE contact (
    user_id BLOB    PRIMARY KEY CHECK (length(user_id) = 16),
    trust   INTEGER NOT NULL                       -- 0 on first use, 1 verified, 2 changed since verified
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    user_id         BLOB    NOT NULL REFERENCES contact (user_id),
    device_id       INTEGER NOT NULL,
    registration_id INTEGER NOT NULL,
    identity        BLOB    NOT NULL CHECK (length(identity) = 33),
    live            INTEGER NOT NULL,              -- 0: gone, its key is remembered
    PRIMARY KEY (user_id, device_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    user_id    BLOB    NOT NULL CHECK (length(user_id) = 16),
    device_id  INTEGER NOT NULL,
    session_id BLOB    NOT NULL,
    rank       INTEGER NOT NULL,                   -- highest: promoted last
    active     INTEGER NOT NULL,
    state      BLOB    NOT NULL,
    PRIMARY KEY (user_id, device_id, session_id)
) STRICT;

CREATE TABLE skipped_key (
    user_id     BLOB    NOT NULL CHECK (length(user_id) = 16),
    device_id   INTEGER NOT NULL,
    ratchet_key BLOB    NOT NULL CHECK (length(ratchet_key) = 33),
    number      INTEGER NOT NULL,
    session_id  BLOB    NOT NULL,
    seed        BLOB    NOT NULL CHECK (length(seed) = 32),
    PRIMARY KEY (user_id, device_id, ratchet_key, number, session_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE thread (
    thread_id      BLOB    PRIMARY KEY CHECK (length(thread_id) = 16),
    peer           BLOB    NOT NULL REFERENCES contact (user_id),
    roster_version INTEGER NOT NULL,
    epoch          INTEGER NOT NULL DEFAULT 0,     -- of seen_up_to
    created        INTEGER NOT NULL,
    seen_up_to     INTEGER NOT NULL DEFAULT 0      -- every server_seq up to here is accounted for
) STRICT, WITHOUT ROWID;

CREATE INDEX thread_peer ON thread (peer);

-- Places of the thread's epoch above seen_up_to that are accounted for: what is missing between is a gap.
CREATE TABLE seen_ahead (
    thread_id  BLOB    NOT NULL REFERENCES thread (thread_id),
    server_seq INTEGER NOT NULL,
    PRIMARY KEY (thread_id, server_seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE message (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    thread_id     BLOB    NOT NULL REFERENCES thread (thread_id),
    client_msg_id BLOB    NOT NULL CHECK (length(client_msg_id) = 16),
    sender        BLOB    NOT NULL CHECK (length(sender) = 16),
    kind          INTEGER NOT NULL,                -- 1 text, 2 undecryptable, 3 receipt on its way out
    body          BLOB    NOT NULL,                -- 1: UTF-8, 2: empty, 3: content as it will be sealed
    cause         INTEGER,                         -- why it failed, or could not be opened
    sent          INTEGER NOT NULL,
    server_seq    INTEGER,                         -- NULL until the relay has answered
    position      INTEGER NOT NULL,                -- order in the thread: epoch and server_seq, else after all
    state         INTEGER NOT NULL,                -- 0 queued, 1 sent, 2 delivered, 3 read, 4 failed; 10 unread, 11 read
    outbox        INTEGER NOT NULL DEFAULT 0,      -- 0 nothing to do, 1 to be sealed, 2 to be submitted
    sealed        BLOB,                            -- the bytes that leave, the same at every attempt
    due           INTEGER NOT NULL DEFAULT 0,      -- local time before which it is not tried again
    attempts      INTEGER NOT NULL DEFAULT 0,      -- without an answer, or put off: how long to wait next
    refusals      INTEGER NOT NULL DEFAULT 0,      -- sealed, refused, and to be sealed anew
    UNIQUE (thread_id, sender, client_msg_id)
) STRICT;

CREATE INDEX message_page   ON message (thread_id, position, id) WHERE kind <> 3;
CREATE INDEX message_outbox ON message (thread_id, id) WHERE outbox <> 0;
CREATE INDEX message_unread ON message (thread_id, id) WHERE state = 10;
CREATE INDEX message_unproven ON message (sent) WHERE sealed IS NOT NULL;

-- Envelopes that left no message row (receipts): the proof that they were handled.
CREATE TABLE handled (
    thread_id     BLOB    NOT NULL,
    sender        BLOB    NOT NULL,
    client_msg_id BLOB    NOT NULL,
    at            INTEGER NOT NULL,
    PRIMARY KEY (thread_id, sender, client_msg_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX handled_at ON handled (at);

CREATE VIRTUAL TABLE search USING fts5 (
    text, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
);
