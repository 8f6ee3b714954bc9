-- The tables of a new database. The migrations bring files of earlier versions to the same schema, and a test compares the two.
--
-- Times are milliseconds since the Unix epoch by server time, unless a comment says otherwise. Columns that migrations added
-- are at the end, as in the migrated tables.

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
    indexed_up_to    INTEGER NOT NULL DEFAULT 0,   -- message.id up to which the search index is fed
    exchange         TEXT,                         -- what an exchange of tokens is called, until its answer is stored
    indexed_after    INTEGER NOT NULL DEFAULT 0,   -- message.id after which the search index is fed
    -- 0 not left, 1 logged out or 2 deleted and the relay is still to be told, 3 left; 10 more while the history is kept
    leaving          INTEGER NOT NULL DEFAULT 0,
    login_key        BLOB    CHECK (length(login_key) = 32),   -- its seed; made when it is first needed
    registration_tag BLOB,                         -- NULL until the relay knows the login key
    store_version    BLOB    NOT NULL DEFAULT x'', -- of the relay, the newest that was seen
    lost_pre_keys    INTEGER NOT NULL DEFAULT 0,   -- 1: the relay has one-time keys that are not here
    renewed_up_to    BLOB    CHECK (length(renewed_up_to) = 16),   -- a thread: sessions of later ones are to be renewed; NULL: of none
    passed           INTEGER NOT NULL DEFAULT 0,   -- a time that has passed according to both clocks
    notified_up_to   INTEGER NOT NULL DEFAULT 0,   -- a message.id: newer ones are to be shown as notifications
    clean_before     INTEGER,                      -- messages from before are to be deleted; NULL: none are
    clean_after      BLOB    CHECK (length(clean_after) = 16),   -- a thread: that is done up to it; NULL: in none
    judged_up_to     INTEGER NOT NULL DEFAULT 0,   -- a message.id: up to it, ours are known to have expired or not
    account_key      BLOB,                         -- key pair that signs our device list; NULL: it is the identity key
    list_told        INTEGER NOT NULL DEFAULT 0,   -- version of our device list that the relay has; 0: none
    highest_device   INTEGER NOT NULL DEFAULT 1,   -- number that any device of the account had
    is_primary       INTEGER NOT NULL DEFAULT 1,   -- 1: this device signs our device list
    moved_to         INTEGER                       -- a device: this one was the primary one and has moved the account there
) STRICT;

-- A move of the account to another device that is prepared.
CREATE TABLE account_move (
    only        INTEGER PRIMARY KEY CHECK (only = 1),
    move_id     BLOB    NOT NULL CHECK (length(move_id) = 16),
    device      INTEGER NOT NULL,                  -- to which it is to be moved
    version     INTEGER NOT NULL,                  -- of the list that the move follows
    proposal    BLOB,                              -- what that device has proposed; NULL: nothing yet
    account_key BLOB,                              -- key pair that this device has proposed
    key_version INTEGER                            -- version of the list that it was proposed for
) STRICT;

CREATE TABLE signed_pre_key (
    id       INTEGER PRIMARY KEY,
    record   BLOB    NOT NULL,
    created  INTEGER NOT NULL,
    uploaded INTEGER NOT NULL,
    replaced INTEGER                               -- when a newer one took over; kept for late first messages
) STRICT;

CREATE TABLE one_time_pre_key (
    id        INTEGER PRIMARY KEY,
    record    BLOB    NOT NULL,
    uploaded  INTEGER NOT NULL,
    given_out INTEGER                              -- when the relay was first seen without it
) STRICT;

CREATE TABLE kem_pre_key (
    id          INTEGER PRIMARY KEY,
    record      BLOB    NOT NULL,
    last_resort INTEGER NOT NULL,
    created     INTEGER NOT NULL,
    uploaded    INTEGER NOT NULL,
    replaced    INTEGER,
    given_out   INTEGER
) STRICT;

-- First messages that came with a last-resort key: each may come once.
CREATE TABLE last_resort_use (
    kem_id    INTEGER NOT NULL REFERENCES kem_pre_key (id) ON DELETE CASCADE,
    signed_id INTEGER NOT NULL,
    base_key  BLOB    NOT NULL,
    PRIMARY KEY (kem_id, signed_id, base_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE contact (
    user_id BLOB    PRIMARY KEY CHECK (length(user_id) = 16),
    trust   INTEGER NOT NULL,                      -- 0 on first use, 1 verified, 2 changed since verified
    blocked   INTEGER,                             -- when the person blocked this user; NULL: not blocked
    block_due INTEGER NOT NULL DEFAULT 0           -- 1: the relay is to be told
) STRICT, WITHOUT ROWID;

CREATE INDEX contact_block_due ON contact (user_id) WHERE block_due = 1;
CREATE INDEX contact_blocked   ON contact (user_id) WHERE blocked IS NOT NULL;

CREATE TABLE device (
    user_id         BLOB    NOT NULL REFERENCES contact (user_id),
    device_id       INTEGER NOT NULL,
    registration_id INTEGER NOT NULL,
    identity        BLOB    NOT NULL CHECK (length(identity) = 33),
    live            INTEGER NOT NULL,              -- 0: gone, its key is remembered
    PRIMARY KEY (user_id, device_id)
) STRICT, WITHOUT ROWID;

-- The identity keys that a device had before the one it has now: nothing is opened for them.
CREATE TABLE replaced_identity (
    user_id   BLOB    NOT NULL REFERENCES contact (user_id),
    device_id INTEGER NOT NULL,
    identity  BLOB    NOT NULL CHECK (length(identity) = 33),
    PRIMARY KEY (user_id, device_id, identity)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    user_id        BLOB    NOT NULL CHECK (length(user_id) = 16),
    device_id      INTEGER NOT NULL,
    session_id     BLOB    NOT NULL,
    rank           INTEGER NOT NULL,               -- highest: promoted last
    active         INTEGER NOT NULL,
    state          BLOB    NOT NULL,
    inactive_since INTEGER,                        -- in seconds; NULL while it is active, or when that is not known
    ended          INTEGER NOT NULL DEFAULT 0,     -- 1: from before a restore: it is made to receive only when it is loaded
    PRIMARY KEY (user_id, device_id, session_id)
) STRICT;

CREATE TABLE skipped_key (
    user_id     BLOB    NOT NULL CHECK (length(user_id) = 16),
    device_id   INTEGER NOT NULL,
    ratchet_key BLOB    NOT NULL CHECK (length(ratchet_key) = 33),
    number      INTEGER NOT NULL,
    session_id  BLOB    NOT NULL,
    seed        BLOB    NOT NULL CHECK (length(seed) = 32),
    kept_since  INTEGER,                           -- in seconds; NULL when that is not known
    PRIMARY KEY (user_id, device_id, ratchet_key, number, session_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE thread (
    thread_id      BLOB    PRIMARY KEY CHECK (length(thread_id) = 16),
    roster_version INTEGER NOT NULL,
    epoch          INTEGER NOT NULL DEFAULT 0,     -- of seen_up_to
    created        INTEGER NOT NULL,
    seen_up_to     INTEGER NOT NULL DEFAULT 0,     -- every server_seq up to here is accounted for
    accepted       INTEGER NOT NULL DEFAULT 0,     -- whether the relay knows that we accept it
    kind           INTEGER NOT NULL DEFAULT 1,     -- 1 direct, 2 note to self, 3 group
    activity       INTEGER NOT NULL DEFAULT 0,     -- when its newest message came to be, by the relay
    unread         INTEGER NOT NULL DEFAULT 0,
    folder         INTEGER NOT NULL DEFAULT 0,     -- 0 chats, 1 archive, 2 requests, 3 in no list
    pinned         INTEGER NOT NULL DEFAULT 0,     -- rank among the pinned threads, the highest first; 0 not pinned
    read_position  INTEGER NOT NULL DEFAULT 0,     -- with read_id: up to here, messages have been read
    read_id        INTEGER NOT NULL DEFAULT 0,
    late_count     INTEGER NOT NULL DEFAULT 0,     -- the number of the newest late message
    late_unread    INTEGER NOT NULL DEFAULT 0,     -- how many of the unread messages are late
    timer          INTEGER NOT NULL DEFAULT 0,     -- seconds after which messages disappear; 0 never
    timer_position INTEGER NOT NULL DEFAULT 0,     -- of the content that has set it
    timer_pending  INTEGER,                        -- what ours set that is not accepted yet: as timer; NULL: none is queued
    timer_pending_by BLOB CHECK (length(timer_pending_by) = 16),  -- the content of ours that has set it
    mentions       INTEGER NOT NULL DEFAULT 0,     -- unread messages that mention us
    marked_unread  INTEGER NOT NULL DEFAULT 0,     -- 1: by the person
    muted_until    INTEGER NOT NULL DEFAULT 0,     -- 0 not muted
    draft          TEXT,
    request        INTEGER NOT NULL DEFAULT 0,     -- 1: a stranger began it, and it was not accepted
    clear_up_to    INTEGER,                        -- a message.id: what is not newer is to be deleted
    timer_due      INTEGER NOT NULL DEFAULT 0,     -- 1: timers of messages that have been read are to be started
    profile_due    INTEGER NOT NULL DEFAULT 1,     -- 1: our profile is to be sent to the others; 2: when something changes
    run            BLOB    CHECK (length(run) = 8),    -- of our posts; NULL until the first is sealed
    counted        INTEGER NOT NULL DEFAULT 0,     -- how many posts of this run there are
    newest         INTEGER NOT NULL DEFAULT 0,     -- position of the newest post, if the relay has stated one
    request_told   INTEGER NOT NULL DEFAULT 0,     -- 1: the request was announced as a notification
    clear_position INTEGER,                        -- with clear_up_to: what is at or before this position is to be deleted, too
    list_due       INTEGER NOT NULL DEFAULT 0,     -- 1: our device list is to be sent to the others; 2: when something changes
    roster_head    BLOB    CHECK (length(roster_head) = 32),   -- of a group: the hash of the entry with roster_version
    removal_version INTEGER NOT NULL DEFAULT 0     -- of a group: the last entry that took a member or a device away; 0 none
) STRICT, WITHOUT ROWID;

CREATE INDEX thread_to_accept ON thread (thread_id) WHERE accepted = 0;
CREATE INDEX thread_clear     ON thread (thread_id) WHERE clear_up_to IS NOT NULL;
CREATE INDEX thread_unread    ON thread (thread_id) WHERE unread > 0 OR marked_unread = 1;
CREATE INDEX thread_list      ON thread (folder, pinned, activity, thread_id);
CREATE INDEX thread_timer_due ON thread (thread_id) WHERE timer_due = 1;
CREATE INDEX thread_profile_due ON thread (thread_id) WHERE profile_due = 1;
CREATE INDEX thread_list_due  ON thread (activity) WHERE list_due = 1;

-- The read receipts of a thread that are still to be queued: for the messages after this position, up to the next row of the thread, or to
-- its mark.
CREATE TABLE read_receipt_due (
    thread_id BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    id        INTEGER NOT NULL,
    told      INTEGER NOT NULL,                    -- 0: receipts were off when they were read
    PRIMARY KEY (thread_id, position, id)
) STRICT, WITHOUT ROWID;

-- Late messages that have been read: those with a number up to this one, at a position up to this one. They change to state 11 when
-- their read receipts are queued, in the order of their positions, and then the mark is deleted.
CREATE TABLE late_mark (
    thread_id      BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    late           INTEGER NOT NULL,
    position       INTEGER NOT NULL,
    id             INTEGER NOT NULL,
    after_position INTEGER NOT NULL DEFAULT 0,     -- with after_id: up to here, the receipts have been queued
    after_id       INTEGER NOT NULL DEFAULT 0,
    told           INTEGER NOT NULL DEFAULT 1,     -- as in read_receipt_due
    PRIMARY KEY (thread_id, late, position, id)
) STRICT, WITHOUT ROWID;

-- Places beyond seen_up_to that are accounted for.
CREATE TABLE seen_ahead (
    thread_id  BLOB    NOT NULL REFERENCES thread (thread_id),
    server_seq INTEGER NOT NULL,
    PRIMARY KEY (thread_id, server_seq)
) STRICT, WITHOUT ROWID;

-- What people see.
CREATE TABLE message (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    thread_id  BLOB    NOT NULL REFERENCES thread (thread_id),
    content_id BLOB    CHECK (length(content_id) = 16),   -- its author's; NULL of what could not be opened
    author     BLOB    NOT NULL CHECK (length(author) = 16),
    device     INTEGER NOT NULL,               -- of the author; 0 when it was not kept
    kind       INTEGER NOT NULL,               -- 1 content, 2 undecryptable, 3 content of a later version, 4 deleted
    body       BLOB    NOT NULL,               -- 1: content without header, 2: empty, 3: as it arrived, 4: empty
    cause      INTEGER,                        -- why it failed, or could not be opened
    sent       INTEGER NOT NULL,
    server_seq INTEGER,                        -- NULL until the relay has answered
    position   INTEGER NOT NULL,               -- order in the thread: epoch and server_seq, else after all
    -- ours: 0 queued, 1 sent, 2 delivered, 3 read, 4 failed, 5 expired; others': 10 read up to the mark of the thread, 11 read, 12 late: it
    -- came after the mark had passed its position, and is read up to the marks in late_mark
    state      INTEGER NOT NULL,
    run        BLOB    CHECK (length(run) = 8),    -- with count: its number among the posts of its author's device
    count      INTEGER,
    timer      INTEGER NOT NULL DEFAULT 0,         -- seconds after it was read; 0 never
    expires    INTEGER,                            -- when it goes
    after_position INTEGER,                        -- of the newest message that its author had then; NULL when not told
    late       INTEGER,                            -- in state 12: its number among the late messages
    version    TEXT,                               -- kind 3: of the library that did not understand it
    reactions  INTEGER NOT NULL DEFAULT 0,         -- how many people have reacted to it
    edits      INTEGER NOT NULL DEFAULT 0,         -- how many earlier versions of it there are
    edited     INTEGER,                            -- when its author wrote the present version; NULL: at first
    hidden     INTEGER,                            -- when it was deleted on this device; it can be restored
    mentions   INTEGER NOT NULL DEFAULT 0,         -- 1: it mentions us
    links      INTEGER NOT NULL DEFAULT 0,         -- 1: it contains a link
    stored     INTEGER,                            -- when the relay stored it; NULL when not known
    delivered  INTEGER,                            -- ours: when the first delivery receipt arrived
    read       INTEGER,                            -- ours: when the first read receipt arrived
    outgoing   INTEGER,                            -- ours: its entry in the outbox, which may be gone; 0 or NULL: it is
    roster     INTEGER,                            -- ours, in a group: the version of the roster that it was sealed for
    UNIQUE (author, content_id)
) STRICT;

CREATE INDEX message_page     ON message (thread_id, position, id);
CREATE INDEX message_incoming ON message (thread_id, position) WHERE state = 10;
CREATE INDEX message_mentions ON message (thread_id, position, id) WHERE mentions = 1;
CREATE INDEX message_links    ON message (thread_id, position, id) WHERE links = 1;
CREATE INDEX message_late     ON message (thread_id, position, id, late) WHERE state = 12;

-- A message of ours that is judged on its own, because it was sent long after it was written, or once more (store/delivery.rs).
CREATE TABLE sent_late (
    message_id INTEGER PRIMARY KEY,            -- which may be gone
    stored     INTEGER NOT NULL                -- message.stored, or when it was sent once more
) STRICT;

CREATE INDEX sent_late_stored ON sent_late (stored);

-- A content on its way out, whether or not a person sees it.
CREATE TABLE outgoing (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    lane       BLOB    NOT NULL CHECK (length(lane) = 16),   -- what it leaves in order with: a thread
    message_id INTEGER,                        -- NULL: nobody sees it; otherwise message.outgoing is the id of this row
    content_id BLOB    NOT NULL CHECK (length(content_id) = 16),
    sent       INTEGER NOT NULL,
    class      INTEGER NOT NULL,               -- 1 ordinary, 3 receipt
    body       BLOB    NOT NULL,               -- content without header
    state      INTEGER NOT NULL,               -- 1 to be sealed, 2 sealed, 3 accepted by the relay
    attempts   INTEGER NOT NULL DEFAULT 0,     -- without an answer, or put off: how long to wait next
    refusals   INTEGER NOT NULL DEFAULT 0,     -- sealed, refused, and to be sealed anew
    run        BLOB    CHECK (length(run) = 8),    -- with count: its number among our posts; NULL until it was sealed
    count      INTEGER,
    timer      INTEGER NOT NULL DEFAULT 0,
    client_msg_id BLOB CHECK (length(client_msg_id) = 16),   -- with bytes and made: its parcel, the same until it is answered
    bytes      BLOB,
    made       INTEGER
) STRICT;

CREATE INDEX outgoing_lane     ON outgoing (lane, state, id) WHERE state < 3;
CREATE INDEX outgoing_unproven ON outgoing (run, count) WHERE state = 3;

-- A lane with something to do, unless its only entry is being submitted (store/outgoing.rs).
CREATE TABLE lane (
    lane BLOB    PRIMARY KEY CHECK (length(lane) = 16),
    due  INTEGER NOT NULL                      -- local time before which its oldest entry is not tried
) STRICT, WITHOUT ROWID;

CREATE INDEX lane_due ON lane (due);

-- Ciphertexts that were opened: the first 16 bytes of their SHA-256.
CREATE TABLE opened (
    ciphertext BLOB    PRIMARY KEY CHECK (length(ciphertext) = 16),
    at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX opened_at ON opened (at);

-- Envelopes that could not be opened, by the name that the relay told, and the message that stands for each.
CREATE TABLE parked (
    message_id INTEGER PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
    thread_id  BLOB    NOT NULL,
    sender     BLOB    NOT NULL,
    told_id    BLOB    NOT NULL,
    ciphertext BLOB    NOT NULL,
    at         INTEGER NOT NULL,
    UNIQUE (thread_id, sender, told_id)
) STRICT;

-- Envelopes that could not be processed because of a fault on this side, to be tried again.
CREATE TABLE deferred (
    id         INTEGER PRIMARY KEY,
    message_id INTEGER REFERENCES message (id) ON DELETE SET NULL,   -- what represents it, if anything does
    sender     BLOB    NOT NULL CHECK (length(sender) = 16),
    thread_id  BLOB    NOT NULL CHECK (length(thread_id) = 16),
    ciphertext BLOB    NOT NULL CHECK (length(ciphertext) = 16),
    envelope   BLOB    NOT NULL,               -- as the relay delivered it
    at         INTEGER NOT NULL,
    due        INTEGER NOT NULL DEFAULT 0,     -- 1: to be tried
    tries      INTEGER NOT NULL DEFAULT 0,     -- attempts by this version of the library
    tried      INTEGER NOT NULL DEFAULT 0,     -- when it was tried last
    version    TEXT    NOT NULL DEFAULT '',    -- of the library that tried it
    epoch      INTEGER,                        -- with server_seq: its place in the thread; NULL if an earlier version wrote the row
    server_seq INTEGER,
    UNIQUE (ciphertext, sender, thread_id)
) STRICT;

CREATE INDEX deferred_sender  ON deferred (sender, id);
CREATE INDEX deferred_message ON deferred (message_id);
CREATE INDEX deferred_due     ON deferred (id) WHERE due = 1;

-- One for each connection to the relay; the newest.
CREATE TABLE generation (
    number INTEGER PRIMARY KEY,
    nonce  BLOB    NOT NULL CHECK (length(nonce) = 8)
) STRICT;

-- Terms that the library makes (search/text.rs), without the texts. A prefix of any length up to the longest term is looked up,
-- never scanned for; what is deleted leaves the pages, and merging is done in the background.
CREATE VIRTUAL TABLE search USING fts5 (
    terms, content = '', columnsize = 0, detail = none, tokenize = 'ascii', prefix = '1 2 3 4 5 6 7 8 9'
);
INSERT INTO search (search, rank) VALUES ('secure-delete', 1);
INSERT INTO search (search, rank) VALUES ('automerge', 0);
INSERT INTO search (search, rank) VALUES ('crisismerge', 500);

CREATE TABLE member (
    thread_id BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    user_id   BLOB    NOT NULL CHECK (length(user_id) = 16),
    role      INTEGER NOT NULL DEFAULT 1,      -- 1 member
    since     INTEGER NOT NULL DEFAULT 0,      -- version of the roster
    account_key  BLOB    CHECK (length(account_key) = 33),   -- in a group, with the following two: whose lists are meant
    list_version INTEGER NOT NULL DEFAULT 0,                -- of the newest list that an entry of theirs carried; 0 none
    devices      BLOB    CHECK (length(devices) = 16),      -- the numbers of the devices on it, as bits
    PRIMARY KEY (thread_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX member_user ON member (user_id, thread_id);

CREATE INDEX message_count   ON message (run, count) WHERE outgoing IS NOT NULL AND count IS NOT NULL;   -- ours
CREATE INDEX message_expires ON message (expires) WHERE expires IS NOT NULL;
CREATE INDEX message_timer    ON message (thread_id, position, id) WHERE timer > 0 AND expires IS NULL AND state >= 10;
CREATE INDEX message_timer_11 ON message (thread_id) WHERE timer > 0 AND expires IS NULL AND state = 11;

-- Which of our posts have come to a device of another user.
CREATE TABLE mark (
    thread_id BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    run       BLOB    NOT NULL CHECK (length(run) = 8),
    user_id   BLOB    NOT NULL CHECK (length(user_id) = 16),
    device_id INTEGER NOT NULL,
    kind      INTEGER NOT NULL,                -- 1 delivered, 2 read, 3 seen: not told to people
    up_to     INTEGER NOT NULL,                -- count, itself included
    excepted  BLOB    NOT NULL,                -- ranges before it that have not come, as in content.proto
    told      INTEGER NOT NULL,                -- when the newest content was written that told so
    PRIMARY KEY (thread_id, run, user_id, device_id, kind)
) STRICT, WITHOUT ROWID;

-- Which posts of a device of another user have come here.
CREATE TABLE heard (
    thread_id      BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    user_id        BLOB    NOT NULL CHECK (length(user_id) = 16),
    device_id      INTEGER NOT NULL,
    run            BLOB    NOT NULL CHECK (length(run) = 8),
    up_to          INTEGER NOT NULL,           -- count, itself included
    excepted       BLOB    NOT NULL,
    position       INTEGER NOT NULL,           -- of the newest
    withheld       INTEGER NOT NULL DEFAULT 0, -- up to this number: their authors are not told of them,
    withheld_excepted BLOB NOT NULL DEFAULT x'',   -- except for these
    read           INTEGER NOT NULL DEFAULT 0, -- the highest number that was read
    apart          INTEGER NOT NULL DEFAULT 0, -- up to this number: not read because a later one is,
    apart_excepted BLOB    NOT NULL DEFAULT x'',   -- except for these
    PRIMARY KEY (thread_id, user_id, device_id, run)
) STRICT, WITHOUT ROWID;

CREATE INDEX message_version ON message (version, id) WHERE kind = 3;
CREATE INDEX message_hidden  ON message (hidden) WHERE hidden IS NOT NULL;

-- The reaction of a person to a message. An empty one was removed, and is kept so that an older one does not return.
CREATE TABLE reaction (
    message_id INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    author     BLOB    NOT NULL CHECK (length(author) = 16),
    emoji      TEXT    NOT NULL CHECK (length(CAST(emoji AS BLOB)) <= 32),
    sent       INTEGER NOT NULL,
    position   INTEGER NOT NULL,               -- of its content in the thread: the last one counts
    -- of ours that is not accepted yet: as emoji; NULL: none is queued
    pending      TEXT  CHECK (length(CAST(pending AS BLOB)) <= 32),
    pending_sent INTEGER,
    pending_by   BLOB  CHECK (length(pending_by) = 16),          -- the content of ours that says so
    PRIMARY KEY (message_id, author)
) STRICT, WITHOUT ROWID;

CREATE INDEX reaction_emoji ON reaction (message_id, coalesce(pending, emoji));

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
    pending      BLOB  CHECK (length(pending) <= 32),            -- of ours that is not accepted yet: as choices; NULL: none is queued
    pending_sent INTEGER,
    pending_by   BLOB  CHECK (length(pending_by) = 16),          -- the content of ours that says so
    PRIMARY KEY (message_id, author)
) STRICT, WITHOUT ROWID;

-- The pinned messages of a thread. One that is no longer pinned is kept so that an older pin does not return.
CREATE TABLE pin (
    thread_id  BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    message_id INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    pinned     INTEGER NOT NULL,               -- when; 0: no longer
    position   INTEGER NOT NULL,               -- of the content that has set it: the last one counts
    pending    INTEGER,                        -- what ours set that is not accepted yet: as pinned; NULL: none is queued
    pending_by BLOB    CHECK (length(pending_by) = 16),   -- the content of ours that has set it
    PRIMARY KEY (thread_id, message_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX pin_shown   ON pin (thread_id, position) WHERE coalesce(pending, pinned) > 0;
CREATE INDEX pin_message ON pin (message_id);

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

-- What the app shows as notifications, in the form in which it was told.
CREATE TABLE notified (
    message_id INTEGER PRIMARY KEY,
    thread_id  BLOB    NOT NULL CHECK (length(thread_id) = 16),
    kind       INTEGER NOT NULL,
    edits      INTEGER NOT NULL
) STRICT;

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
CREATE INDEX mail_recipient ON mail (recipient) WHERE bytes IS NULL;

-- What a person tells others: 0 nothing, 1 everything; NULL the default. What is off for all is off everywhere.
CREATE TABLE privacy (
    scope     BLOB    PRIMARY KEY CHECK (length(scope) IN (0, 16)),   -- a thread, or empty: all threads
    delivered INTEGER,
    read      INTEGER,
    typing    INTEGER,
    presence  INTEGER,                         -- for a thread, the default is 0
    invitations INTEGER                        -- whether those of contacts are accepted
) STRICT, WITHOUT ROWID;

-- When others said that they were there, by server time.
CREATE TABLE last_seen (
    user_id BLOB    PRIMARY KEY CHECK (length(user_id) = 16),
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What people, and we ourselves, say about themselves.
CREATE TABLE profile (
    user_id  BLOB    PRIMARY KEY CHECK (length(user_id) = 16),
    name     TEXT    NOT NULL,
    about    TEXT    NOT NULL,
    avatar   BLOB    NOT NULL,                 -- where to find it; empty: there is none
    revision INTEGER NOT NULL                  -- grows with each change
) STRICT, WITHOUT ROWID;

-- The newest list of the devices of an account that was verified, ours included.
CREATE TABLE device_list (
    user_id     BLOB    PRIMARY KEY CHECK (length(user_id) = 16),
    account_key BLOB    NOT NULL CHECK (length(account_key) = 33),   -- which has signed it
    version     INTEGER NOT NULL CHECK (version > 0),
    digest      BLOB    NOT NULL CHECK (length(digest) = 32),
    list        BLOB    NOT NULL CHECK (length(list) <= 1024)        -- as it was signed (docs/wire.md)
) STRICT, WITHOUT ROWID;

-- The account keys that an account had before the one it has now: their lists are refused for ever.
CREATE TABLE replaced_account_key (
    user_id     BLOB NOT NULL CHECK (length(user_id) = 16),
    account_key BLOB NOT NULL CHECK (length(account_key) = 33),
    PRIMARY KEY (user_id, account_key)
) STRICT, WITHOUT ROWID;

-- A companion that is being linked, and has no account yet.
CREATE TABLE linking (
    only            INTEGER PRIMARY KEY CHECK (only = 1),
    keys            BLOB    NOT NULL,          -- its identity, the key for the offer, and its code
    relay_secret    BLOB    NOT NULL,          -- with which it asks for what the other device has sent
    name            TEXT    NOT NULL,
    registration_id INTEGER NOT NULL,
    offer           BLOB,                      -- as it came; NULL until then, as all that follows
    answer          BLOB,                      -- as it is sent
    nonce           BLOB,                      -- of the primary device, from which on both show the digits
    released        BLOB                       -- the list with this companion
) STRICT;

-- Companions that this device, the primary one, links.
CREATE TABLE own_link (
    link_id  BLOB    PRIMARY KEY CHECK (length(link_id) = 16),
    code     BLOB    NOT NULL,                 -- of the companion
    device   INTEGER NOT NULL,                 -- its number
    until    INTEGER NOT NULL,                 -- when its token expires, by server time
    offer    BLOB    NOT NULL,                 -- as it is sent, like what follows
    nonce    BLOB    NOT NULL,
    seed     BLOB    NOT NULL,                 -- what the keys of later messages are made of
    answer   BLOB,                             -- as it came
    state    INTEGER NOT NULL DEFAULT 0,       -- 0 begun, 1 the companion is on the list, 2 and was told
    released BLOB                              -- what it was told
) STRICT, WITHOUT ROWID;

-- The names that the person has given to the devices of the account.
CREATE TABLE own_device (
    device INTEGER PRIMARY KEY,
    name   TEXT    NOT NULL
) STRICT;

-- Devices of the account that are on no list any more, of which the relay is to be told.
CREATE TABLE revocation (
    device INTEGER PRIMARY KEY
) STRICT;

-- What the devices of our account tell each other about what the person has decided, and what is still to be told.
CREATE TABLE account_state (
    what   INTEGER NOT NULL,                       -- its kind, and what it is about (docs/wire.md)
    key    BLOB    NOT NULL CHECK (length(key) <= 49),
    hlc    INTEGER NOT NULL DEFAULT 0,             -- with device: the stamp of the newest change; 0: there is none
    device INTEGER NOT NULL DEFAULT 0,
    mail   INTEGER,                                -- 0: to be told; the mail that tells it; NULL: there is nothing to tell
    said   BLOB,                                   -- what was said, if that is in no other row
    waits  INTEGER,                                -- since when it waits for what it is about; NULL: it does not
    PRIMARY KEY (what, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX account_state_due   ON account_state (mail)  WHERE mail IS NOT NULL;
CREATE INDEX account_state_waits ON account_state (waits) WHERE waits IS NOT NULL;

-- Accounts whose newest device list is to be fetched from the relay.
CREATE TABLE device_list_due (
    user_id     BLOB    PRIMARY KEY CHECK (length(user_id) = 16),
    version     INTEGER NOT NULL,                  -- the highest that somebody has named; 0: none, but a device that is not on the known list
    digest      BLOB    CHECK (length(digest) = 16),   -- of the named list; NULL: none was named
    contradicts INTEGER NOT NULL DEFAULT 0,        -- 1: another list with the version of the known one was named
    tries       INTEGER NOT NULL DEFAULT 0,        -- answers of the relay that did not settle it
    due         INTEGER NOT NULL DEFAULT 0         -- local time before which the relay is not asked
) STRICT, WITHOUT ROWID;

CREATE INDEX device_list_due_at ON device_list_due (due);

-- What companions of ours are still to get from this device (store/bootstrap): a row for each that was linked and has not everything.
CREATE TABLE bootstrap_out (
    device     INTEGER PRIMARY KEY,
    transfer   BLOB    CHECK (length(transfer) = 16),   -- NULL until the companion has asked
    round      INTEGER NOT NULL DEFAULT 0,     -- how often it has asked for what has not come
    since      INTEGER,                        -- messages that the relay stored before are left out; NULL: all are
    newest     INTEGER NOT NULL DEFAULT 0,     -- the newest message.id when it began
    later_after INTEGER NOT NULL DEFAULT 0,    -- a message.id: later ones may have been accepted since
    total      INTEGER,                        -- of messages; NULL until they were counted
    open_bytes INTEGER NOT NULL DEFAULT 0,     -- of the pieces in the window that was begun last
    is_waiting INTEGER NOT NULL DEFAULT 0,     -- 1: this window has ended, and was not acknowledged
    phase      INTEGER NOT NULL DEFAULT 1,     -- 1 contacts, 2 settings, 3 threads, 4 messages, 5 those that came later, 6 all is sent
    after      BLOB    NOT NULL DEFAULT x'',   -- the key of the last row of the phase that is in a piece
    number     INTEGER NOT NULL DEFAULT 0,     -- of the last piece
    sent       INTEGER NOT NULL DEFAULT 0,     -- messages up to it
    received_phase  INTEGER NOT NULL DEFAULT 1,   -- with the following ones: the same for the last window that was acknowledged
    received_after  BLOB    NOT NULL DEFAULT x'',
    received_number INTEGER NOT NULL DEFAULT 0,
    received_sent   INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What this device, a companion, gets from the primary; the row remains when it has everything.
CREATE TABLE bootstrap_in (
    only     INTEGER PRIMARY KEY CHECK (only = 1),
    transfer BLOB    NOT NULL CHECK (length(transfer) = 16),
    round    INTEGER NOT NULL,                 -- how often we have asked for what has not come
    asked    INTEGER NOT NULL,                 -- when we did, or a piece was applied
    applied  INTEGER NOT NULL DEFAULT 0,       -- the last piece that was applied
    complete INTEGER NOT NULL DEFAULT 0,       -- the last piece of the last window that was applied completely
    sent     INTEGER NOT NULL DEFAULT 0,       -- messages up to the last piece that was applied
    total    INTEGER NOT NULL DEFAULT 0,
    is_done  INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Pieces that have come and are to be applied in their order: at most one window.
CREATE TABLE bootstrap_piece (
    number INTEGER PRIMARY KEY,
    body   BLOB    NOT NULL                    -- content without header
) STRICT;

-- What there is once in a group, with thread.roster_version, roster_head and removal_version (wire::roster::State).
CREATE TABLE roster (
    thread_id       BLOB    PRIMARY KEY REFERENCES thread (thread_id) ON DELETE CASCADE,
    permissions     BLOB    NOT NULL CHECK (length(permissions) = 3),
    link            BLOB    CHECK (length(link) = 65),   -- public key and hash of the token; NULL: there is none
    timer           INTEGER NOT NULL,              -- in seconds; 0 none
    commitment      BLOB    NOT NULL CHECK (length(commitment) = 32),
    secret_version  INTEGER NOT NULL,              -- of the entry with this commitment
    floor           INTEGER NOT NULL,              -- posts for an earlier version are refused
    details_version INTEGER NOT NULL,              -- of the entry with the newest title
    dissolved       INTEGER NOT NULL,
    unknown_since   INTEGER NOT NULL,              -- version of an entry that this library does not understand; 0 none
    contradicted_by BLOB    CHECK (length(contradicted_by) = 16)   -- who was shown another roster; zeros: this device; NULL: nobody
) STRICT, WITHOUT ROWID;

CREATE TABLE roster_entry (
    thread_id BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    version   INTEGER NOT NULL,
    hash      BLOB    NOT NULL CHECK (length(hash) = 32),
    outcome   INTEGER NOT NULL,                    -- 1 valid, 2 without effect, 3 not understood
    entry     BLOB    NOT NULL,
    PRIMARY KEY (thread_id, version)
) STRICT;

-- The newest device list that an entry of a member carried, which was verified.
CREATE TABLE roster_list (
    thread_id BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    user_id   BLOB    NOT NULL CHECK (length(user_id) = 16),
    list      BLOB    NOT NULL,
    PRIMARY KEY (thread_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE invited (
    thread_id   BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    user_id     BLOB    NOT NULL CHECK (length(user_id) = 16),
    account_key BLOB    NOT NULL CHECK (length(account_key) = 33),   -- whose lists are meant
    invited_by  BLOB    NOT NULL CHECK (length(invited_by) = 16),
    since       INTEGER NOT NULL,                  -- version of the roster
    PRIMARY KEY (thread_id, user_id)
) STRICT, WITHOUT ROWID;

-- The secrets of groups, by the version of the entry that contains the commitment.
CREATE TABLE group_secret (
    thread_id BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    version   INTEGER NOT NULL,
    secret    BLOB    NOT NULL CHECK (length(secret) = 32),
    PRIMARY KEY (thread_id, version)
) STRICT, WITHOUT ROWID;

-- The secrets of links of groups, by the public key in the roster.
CREATE TABLE group_link (
    thread_id  BLOB NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    public_key BLOB NOT NULL CHECK (length(public_key) = 33),
    secret     BLOB NOT NULL CHECK (length(secret) = 32),
    PRIMARY KEY (thread_id, public_key)
) STRICT, WITHOUT ROWID;

-- Groups whose chain is to be fetched from the relay, also of groups that are not here yet.
CREATE TABLE roster_due (
    thread_id BLOB    PRIMARY KEY CHECK (length(thread_id) = 16),
    tries     INTEGER NOT NULL DEFAULT 0,
    due       INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX roster_due_at ON roster_due (due);

-- Our chain in a group: what we send there is encrypted with it.
CREATE TABLE chain_out (
    thread_id       BLOB    PRIMARY KEY REFERENCES thread (thread_id) ON DELETE CASCADE,
    record          BLOB    NOT NULL,
    removal_version INTEGER NOT NULL,              -- of the roster that it was made for
    began           INTEGER NOT NULL,
    sent            INTEGER NOT NULL DEFAULT 0,    -- how many messages
    is_checked      INTEGER NOT NULL DEFAULT 0     -- 1: all devices of the members have it
) STRICT, WITHOUT ROWID;

-- The devices that have our chain.
CREATE TABLE chain_holder (
    thread_id BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    user_id   BLOB    NOT NULL CHECK (length(user_id) = 16),
    device_id INTEGER NOT NULL,
    identity  BLOB    NOT NULL CHECK (length(identity) = 33),
    PRIMARY KEY (thread_id, user_id, device_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX chain_holder_device ON chain_holder (user_id, device_id);

-- The chains of the other devices of a group, those from before the last removals included.
CREATE TABLE chain_in (
    thread_id       BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    user_id         BLOB    NOT NULL CHECK (length(user_id) = 16),
    device_id       INTEGER NOT NULL,
    distribution    BLOB    NOT NULL CHECK (length(distribution) = 16),
    identity        BLOB    NOT NULL CHECK (length(identity) = 33),
    removal_version INTEGER NOT NULL,
    record          BLOB    NOT NULL,
    since           INTEGER NOT NULL,              -- when it came first
    PRIMARY KEY (thread_id, user_id, device_id, distribution)
) STRICT, WITHOUT ROWID;

CREATE INDEX chain_in_device ON chain_in (user_id, device_id);

-- The keys of messages in groups that have not come yet.
CREATE TABLE chain_skipped (
    thread_id    BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    user_id      BLOB    NOT NULL CHECK (length(user_id) = 16),
    device_id    INTEGER NOT NULL,
    distribution BLOB    NOT NULL CHECK (length(distribution) = 16),
    chain        INTEGER NOT NULL,
    number       INTEGER NOT NULL,
    seed         BLOB    NOT NULL CHECK (length(seed) = 32),
    kept_since   INTEGER NOT NULL,                 -- in seconds
    PRIMARY KEY (thread_id, user_id, device_id, distribution, chain, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX chain_skipped_device ON chain_skipped (user_id, device_id);
CREATE INDEX chain_skipped_since  ON chain_skipped (kept_since);

-- Changes of rosters that this device is to make.
CREATE TABLE roster_change (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    thread_id BLOB    NOT NULL CHECK (length(thread_id) = 16),
    change    BLOB    NOT NULL,                    -- without secrets; details are not encrypted
    entry     BLOB,                                -- as it was signed last; NULL: not yet
    secret    BLOB    CHECK (length(secret) = 32), -- of the group, if the entry brings another one
    times     INTEGER NOT NULL DEFAULT 0           -- how often it was signed
) STRICT;
CREATE INDEX roster_change_of ON roster_change (thread_id, id);
