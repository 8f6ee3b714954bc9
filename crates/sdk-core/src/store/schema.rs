//! The tables of a new database, and numbered migrations for those of earlier versions: append, never edit one that was released.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Error, Result, Storage};

/// Each brings the schema from version n to n + 1; the version is SQLite's `user_version`.
const MIGRATIONS: [&str; 15] = [V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11, V12, V13, V14, V15];

/// What a new database begins with: where the migrations lead to, in one piece.
const NEW: &str = include_str!("schema.sql");

/// Brings the file to the newest version, under the lock between processes.
///
/// # Errors
/// As [`check`].
pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    let found = check(connection)? as usize;
    if found == MIGRATIONS.len() {
        return Ok(());
    }
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if found == 0 {
        tx.execute_batch(NEW)?;
        // SQLite's integers are signed, and usize is not stored without a feature that only the relay asks for.
        let newest = i64::try_from(MIGRATIONS.len()).map_err(|_| Error::Bug("too many migrations"))?;
        tx.pragma_update(None, "user_version", newest)?;
        return Ok(tx.commit()?);
    }
    for (migration, version) in MIGRATIONS.iter().zip(1..).skip(found) {
        tx.execute_batch(migration)?;
        tx.pragma_update(None, "user_version", version)?;
    }
    Ok(tx.commit()?)
}

/// The version of the file.
///
/// # Errors
/// [`Storage::Newer`] when this library does not know it.
pub(super) fn check(connection: &Connection) -> Result<u32> {
    let known = u32::try_from(MIGRATIONS.len()).map_err(|_| Error::Bug("too many migrations"))?;
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(Storage::Newer { found, known }.into());
    }
    Ok(found)
}

/// Times are milliseconds since the Unix epoch by server time, unless a comment says otherwise.
const V1: &str = "
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
";

/// When we learnt that the relay has given a one-time key out; kept for late first messages.
const V2: &str = "
ALTER TABLE one_time_pre_key ADD COLUMN given_out INTEGER;
ALTER TABLE kem_pre_key ADD COLUMN given_out INTEGER;   -- NULL for a last-resort key
";

/// What an exchange of tokens is called, from before it is asked for until its answer is stored.
const V3: &str = "
ALTER TABLE account ADD COLUMN exchange TEXT;
";

/// Since when a session is inactive and a key is kept, in seconds; NULL when that is not known yet. And the identity keys
/// that a device had before the one it has now: nothing is opened for them.
const V4: &str = "
ALTER TABLE session ADD COLUMN inactive_since INTEGER;   -- NULL also while it is active
ALTER TABLE skipped_key ADD COLUMN kept_since INTEGER;

CREATE TABLE replaced_identity (
    user_id   BLOB    NOT NULL REFERENCES contact (user_id),
    device_id INTEGER NOT NULL,
    identity  BLOB    NOT NULL CHECK (length(identity) = 33),
    PRIMARY KEY (user_id, device_id, identity)
) STRICT, WITHOUT ROWID;
";

/// Whether the relay knows that we accept a thread. Of the threads that are here already it is asked once more: which of
/// them it counts as accepted, depends on when it learnt to count.
const V5: &str = "
ALTER TABLE thread ADD COLUMN accepted INTEGER NOT NULL DEFAULT 0;
CREATE INDEX thread_to_accept ON thread (thread_id) WHERE accepted = 0;
";

/// What has to leave is apart from what people see, and what was opened is known by its bytes. Bodies are contents as they
/// are sealed, without their header; `varint` writes the length of a field as protobuf does.
const V6: &str = "
DROP INDEX message_page;
DROP INDEX message_outbox;
DROP INDEX message_unread;
DROP INDEX message_unproven;
ALTER TABLE message RENAME TO message_5;

CREATE TABLE message (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    thread_id  BLOB    NOT NULL REFERENCES thread (thread_id),
    content_id BLOB    CHECK (length(content_id) = 16),   -- its author's; NULL of what could not be opened
    author     BLOB    NOT NULL CHECK (length(author) = 16),
    device     INTEGER NOT NULL,               -- of the author; 0 when it was not kept
    kind       INTEGER NOT NULL,               -- 1 text, 2 undecryptable
    body       BLOB    NOT NULL,               -- 1: content without header, 2: empty
    cause      INTEGER,                        -- why it failed, or could not be opened
    sent       INTEGER NOT NULL,
    server_seq INTEGER,                        -- NULL until the relay has answered
    position   INTEGER NOT NULL,               -- order in the thread: epoch and server_seq, else after all
    state      INTEGER NOT NULL,               -- 0 queued, 1 sent, 2 delivered, 3 read, 4 failed; 10 unread, 11 read
    UNIQUE (author, content_id)
) STRICT;

-- A content on its way out, whether or not a person sees it.
CREATE TABLE outgoing (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    lane       BLOB    NOT NULL CHECK (length(lane) = 16),   -- what it leaves in order with: a thread
    message_id INTEGER UNIQUE REFERENCES message (id),       -- NULL: nobody sees it
    content_id BLOB    NOT NULL CHECK (length(content_id) = 16),
    sent       INTEGER NOT NULL,
    class      INTEGER NOT NULL,               -- 1 ordinary, 3 receipt
    body       BLOB    NOT NULL,               -- content without header
    state      INTEGER NOT NULL,               -- 1 to be sealed, 2 sealed, 3 accepted by the relay
    attempts   INTEGER NOT NULL DEFAULT 0,     -- without an answer, or put off: how long to wait next
    refusals   INTEGER NOT NULL DEFAULT 0      -- sealed, refused, and to be sealed anew
) STRICT;

CREATE INDEX outgoing_lane     ON outgoing (lane, id) WHERE state < 3;
CREATE INDEX outgoing_unproven ON outgoing (id) WHERE state = 3;

-- A submission to the relay: the same bytes until it is answered.
CREATE TABLE parcel (
    id            INTEGER PRIMARY KEY,
    outgoing_id   INTEGER NOT NULL REFERENCES outgoing (id) ON DELETE CASCADE,
    client_msg_id BLOB    NOT NULL CHECK (length(client_msg_id) = 16),
    bytes         BLOB    NOT NULL,
    made          INTEGER NOT NULL
) STRICT;

CREATE INDEX parcel_outgoing ON parcel (outgoing_id);

-- A lane with something to do.
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

CREATE TEMP VIEW written AS
    WITH row AS (SELECT *, iif(kind = 1, length(body), length(body) - 1) AS n FROM message_5),
    field AS (SELECT *, CASE WHEN n < 128 THEN printf('%02x', n)
        WHEN n < 16384 THEN printf('%02x%02x', 128 | (n & 127), n >> 7)
        ELSE printf('%02x%02x%02x', 128 | (n & 127), 128 | ((n >> 7) & 127), n >> 14) END AS varint FROM row),
    receipt AS (SELECT *, 3 + length(varint) / 2 + n AS m FROM field)
    SELECT *, CASE kind
        WHEN 1 THEN CAST(unhex('52' || varint) || body AS BLOB)
        WHEN 3 THEN CAST(unhex(
            '5a' || (CASE WHEN m < 128 THEN printf('%02x', m) ELSE printf('%02x%02x', 128 | (m & 127), m >> 7) END)
            || '08' || hex(substr(body, 1, 1)) || '12' || varint) || substr(body, 2) AS BLOB)
        ELSE x'' END AS content FROM receipt;

INSERT INTO message
    SELECT id, thread_id, iif(kind = 1, client_msg_id, NULL), sender, 0, kind, content, cause, sent, server_seq, position, state
    FROM written WHERE kind IN (1, 2);
INSERT INTO outgoing
    SELECT id, thread_id, iif(kind = 1, id, NULL), client_msg_id, sent, kind, content, iif(outbox = 0, 3, outbox), attempts,
        refusals
    FROM written WHERE outbox <> 0 OR sealed IS NOT NULL;
INSERT INTO parcel SELECT id, id, client_msg_id, sealed, sent FROM message_5 WHERE sealed IS NOT NULL;
INSERT INTO lane SELECT DISTINCT lane, 0 FROM outgoing WHERE state < 3;
INSERT INTO parked SELECT id, thread_id, sender, client_msg_id, zeroblob(16), sent FROM message_5 WHERE kind = 2;

-- Ids that were used are not given out again.
DELETE FROM sqlite_sequence WHERE name = 'message';
INSERT INTO sqlite_sequence SELECT 'message', seq FROM sqlite_sequence WHERE name = 'message_5';

DROP VIEW written;
DROP TABLE message_5;
DROP TABLE handled;

CREATE INDEX message_page   ON message (thread_id, position, id);
CREATE INDEX message_unread ON message (thread_id, id) WHERE state = 10;
";

/// A list of threads is a page of an index. The order is by the relay's time of the newest message, as far as it is known.
const V7: &str = "
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
";

/// Another index, of terms that the library makes (`search/text.rs`): messages that are here already are added in the background, the
/// newest first. A prefix of any length up to the longest term is looked up, never scanned for. What is deleted leaves the pages;
/// merging is left to the library, which does it in small steps.
const V8: &str = "
DROP TABLE search;
CREATE VIRTUAL TABLE search USING fts5 (
    terms, content = '', columnsize = 0, detail = none, tokenize = 'ascii', prefix = '1 2 3 4 5 6 7 8 9'
);
INSERT INTO search (search, rank) VALUES ('secure-delete', 1);
INSERT INTO search (search, rank) VALUES ('automerge', 0);
INSERT INTO search (search, rank) VALUES ('crisismerge', 500);

ALTER TABLE account ADD COLUMN indexed_after INTEGER NOT NULL DEFAULT 0;   -- message.id after which it is fed
UPDATE account SET indexed_up_to = (SELECT coalesce(max(id), 0) FROM message);
UPDATE account SET indexed_after = indexed_up_to;
";

/// An account can be left: by logging out, or by deleting it.
const V9: &str = "
-- 0 not left, 1 logged out or 2 deleted, and the relay is still to be told, 3 left; 10 more while the history is kept
ALTER TABLE account ADD COLUMN leaving INTEGER NOT NULL DEFAULT 0;
";

/// A thread has members, whatever its kind. What contents count, and when they go, has its columns; nothing writes them yet.
const V10: &str = "
CREATE TABLE member (
    thread_id BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    user_id   BLOB    NOT NULL CHECK (length(user_id) = 16),
    role      INTEGER NOT NULL DEFAULT 1,      -- 1 member
    since     INTEGER NOT NULL DEFAULT 0,      -- version of the roster
    PRIMARY KEY (thread_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX member_user ON member (user_id, thread_id);

INSERT INTO member (thread_id, user_id) SELECT thread_id, peer FROM thread;
INSERT INTO member (thread_id, user_id) SELECT thread_id, user_id FROM thread, account
    WHERE user_id IS NOT NULL ON CONFLICT DO NOTHING;

DROP INDEX thread_peer;
ALTER TABLE thread DROP COLUMN peer;

ALTER TABLE message ADD COLUMN run BLOB CHECK (length(run) = 8);       -- with count: its number among its author's
ALTER TABLE message ADD COLUMN count INTEGER;
ALTER TABLE message ADD COLUMN timer INTEGER NOT NULL DEFAULT 0;       -- seconds after it was read; 0 never
ALTER TABLE message ADD COLUMN expires INTEGER;                        -- when it goes
CREATE INDEX message_count   ON message (author, device, run, count) WHERE count IS NOT NULL;
CREATE INDEX message_expires ON message (expires) WHERE expires IS NOT NULL;

ALTER TABLE outgoing ADD COLUMN run BLOB CHECK (length(run) = 8);
ALTER TABLE outgoing ADD COLUMN count INTEGER;
ALTER TABLE outgoing ADD COLUMN timer INTEGER NOT NULL DEFAULT 0;

-- How far the contents of a run of ours have come with a device.
CREATE TABLE mark (
    thread_id BLOB    NOT NULL REFERENCES thread (thread_id) ON DELETE CASCADE,
    user_id   BLOB    NOT NULL CHECK (length(user_id) = 16),
    device_id INTEGER NOT NULL,
    kind      INTEGER NOT NULL,                -- 1 delivered, 2 read
    run       BLOB    NOT NULL CHECK (length(run) = 8),
    up_to     INTEGER NOT NULL,                -- count, itself included
    PRIMARY KEY (thread_id, user_id, device_id, kind, run)
) STRICT, WITHOUT ROWID;
";

/// What proves who we are to a relay that was restored from a backup, and how a copy of this file is told from it.
const V11: &str = "
ALTER TABLE account ADD COLUMN login_key BLOB CHECK (length(login_key) = 32);  -- its seed; made when it is first needed
ALTER TABLE account ADD COLUMN registration_tag BLOB;                          -- NULL until the relay knows the login key
ALTER TABLE account ADD COLUMN store_version BLOB NOT NULL DEFAULT x'';        -- of the relay, the newest that was seen
ALTER TABLE account ADD COLUMN lost_pre_keys INTEGER NOT NULL DEFAULT 0;       -- 1: the relay has one-time keys that are not here

-- One for each connection to the relay; the newest.
CREATE TABLE generation (
    number INTEGER PRIMARY KEY,
    nonce  BLOB    NOT NULL CHECK (length(nonce) = 8)
) STRICT;
";

const V12: &str = "
CREATE INDEX outgoing_sealed ON outgoing (lane, id) WHERE state = 2;
";

/// Envelopes that could not be processed because of a fault on this side are kept and tried again.
const V13: &str = "
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
";

/// A thread has a mark up to which it has been read. The mark of an earlier thread is before all of its messages, whose own rows
/// say which of them have been read. What contents say about others has its columns; nothing writes them yet.
const V14: &str = "
ALTER TABLE thread ADD COLUMN read_position INTEGER NOT NULL DEFAULT 0;    -- with read_id: up to here, messages have been read
ALTER TABLE thread ADD COLUMN read_id INTEGER NOT NULL DEFAULT 0;

-- The read receipts of a thread that are still to be queued: for the messages after this position, up to the thread's mark.
CREATE TABLE read_receipt_due (
    thread_id BLOB    PRIMARY KEY REFERENCES thread (thread_id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    id        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

DROP INDEX message_unread;
CREATE INDEX message_incoming ON message (thread_id, position) WHERE state = 10;
CREATE INDEX message_late     ON message (thread_id, position) WHERE state = 12;

ALTER TABLE message ADD COLUMN after_position INTEGER;     -- of the newest message that its author had then; NULL when not told

-- What a mark has not reached, though it lies before it.
CREATE TABLE mark_exception (
    thread_id BLOB    NOT NULL,
    user_id   BLOB    NOT NULL,
    device_id INTEGER NOT NULL,
    kind      INTEGER NOT NULL,
    run       BLOB    NOT NULL,
    first     INTEGER NOT NULL,                -- counts, both included
    last      INTEGER NOT NULL,
    PRIMARY KEY (thread_id, user_id, device_id, kind, run, first),
    FOREIGN KEY (thread_id, user_id, device_id, kind, run)
        REFERENCES mark (thread_id, user_id, device_id, kind, run) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
";

/// After this database was restored from a copy, sessions are renewed in the background. And a time that both clocks agree has
/// passed bounds what the relay may state.
const V15: &str = "
ALTER TABLE account ADD COLUMN renewed_up_to BLOB CHECK (length(renewed_up_to) = 16);  -- thread id; NULL: nothing to renew
ALTER TABLE account ADD COLUMN passed INTEGER NOT NULL DEFAULT 0;
";

#[cfg(test)]
mod tests {
    use rusqlite::params;

    use super::*;
    use crate::content::{Body, ReceiptKind};
    use crate::id::ClientMsgId;

    #[test]
    fn a_new_database_ends_at_the_newest_version_and_stays_there() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version as usize, MIGRATIONS.len());
    }

    /// What a database consists of: its tables and indexes, and how its search index is set.
    fn form(connection: &Connection) -> Vec<String> {
        let all = |sql: &str| -> Vec<String> {
            let mut statement = connection.prepare(sql).unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
        };
        let declared = all(
            "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY type, name",
        );
        // How it is written makes no difference, and columns that were added later have no comments.
        let plain = |text: String| {
            let lines = text.lines().map(|line| line.split_once("--").map_or(line, |(code, _)| code));
            let words = lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
            words.replace(" ,", ",").replace("( ", "(").replace(" )", ")")
        };
        let settings = all("SELECT k || ' ' || v FROM search_config ORDER BY k");
        declared.into_iter().map(plain).chain(settings).collect()
    }

    #[test]
    fn a_new_database_is_what_the_migrations_lead_to() {
        let (mut new, migrated) =
            (Connection::open_in_memory().unwrap(), Connection::open_in_memory().unwrap());
        migrate(&mut new).unwrap();
        for migration in MIGRATIONS {
            migrated.execute_batch(migration).unwrap();
        }
        let (new, migrated) = (form(&new), form(&migrated));
        for (new, migrated) in new.iter().zip(&migrated) {
            assert_eq!(new, migrated);
        }
        assert_eq!(new.len(), migrated.len());
    }

    #[test]
    fn a_newer_database_is_refused_and_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        assert_eq!(
            migrate(&mut connection).unwrap_err(),
            Error::Storage(Storage::Newer { found: 99, known: 15 })
        );
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0)).unwrap();
        assert_eq!(tables, 0);
    }

    /// A row in every table of the first version that a later one has changed, and in one that none has.
    const OF_V1: &str = "
    INSERT INTO account (only, identity, registration_id, user_id, device_id, access_token, access_expires, refresh_token)
        VALUES (1, x'01', 7, zeroblob(16), 1, 'access', 5, 'refresh');
    INSERT INTO one_time_pre_key (id, record, uploaded) VALUES (1, x'02', 1), (2, x'03', 0);
    INSERT INTO kem_pre_key (id, record, last_resort, created, uploaded) VALUES (3, x'04', 1, 9, 1);
    INSERT INTO contact (user_id, trust) VALUES (zeroblob(16), 1);
    INSERT INTO session VALUES (zeroblob(16), 1, x'0405', 6, 0, x'07');
    INSERT INTO skipped_key VALUES (zeroblob(16), 1, zeroblob(33), 8, x'0405', zeroblob(32));
    INSERT INTO thread (thread_id, peer, roster_version, created) VALUES (zeroblob(16), zeroblob(16), 2, 5);
    ";

    /// A message of each length that is written in another way, and each of what waits.
    fn messages_of_v5(connection: &Connection) {
        let insert = |id: i64, kind: i64, body: &[u8], outbox: i64, sealed: Option<&[u8]>| {
            let mut name = [0; 16];
            name[0] = u8::try_from(id).unwrap();
            let sql = "INSERT INTO message (id, thread_id, client_msg_id, sender, kind, body, sent, position, state, outbox,
                sealed, attempts) VALUES (?1, zeroblob(16), ?2, zeroblob(16), ?3, ?4, 9, ?1, 0, ?5, ?6, 3)";
            connection.execute(sql, params![id, name, kind, body, outbox, sealed]).unwrap();
        };
        for (id, length) in [(1, 0), (2, 1), (3, 127), (4, 128), (5, 16_383), (6, 16_384), (7, 48_000)] {
            insert(id, 1, "x".repeat(length).as_bytes(), 0, None);
        }
        insert(8, 1, "\u{0}null \u{fc}".as_bytes(), 1, None);
        insert(9, 1, b"sealed", 2, Some(b"bytes"));
        insert(10, 1, b"accepted", 0, Some(b"kept"));
        insert(11, 2, b"", 0, None);
        for (id, count) in [(12, 1_u8), (13, 8), (14, 255)] {
            let ids = (0..count).flat_map(|n| [n; 16]);
            insert(id, 3, &std::iter::once(2).chain(ids).collect::<Vec<_>>(), 1, None);
        }
        connection.execute("DELETE FROM message WHERE id = 14", []).unwrap();
        let ids = (0..=255).flat_map(|n| [n; 16]);
        insert(14, 3, &std::iter::once(1).chain(ids).collect::<Vec<_>>(), 1, None);
        insert(15, 1, b"taken back", 0, None);
        connection.execute("DELETE FROM message WHERE id = 15", []).unwrap();
    }

    #[test]
    fn what_people_see_and_what_leaves_come_apart() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(V1).unwrap();
        connection.execute_batch(OF_V1).unwrap();
        connection.execute_batch(&MIGRATIONS[1..5].join(";")).unwrap();
        messages_of_v5(&connection);
        connection.pragma_update(None, "user_version", 5).unwrap();
        migrate(&mut connection).unwrap();

        let all = |sql: &str| -> Vec<(i64, Vec<u8>)> {
            let mut statement = connection.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            rows.collect::<rusqlite::Result<_>>().unwrap()
        };
        let messages = all("SELECT id, body FROM message WHERE kind = 1 ORDER BY id");
        let texts: Vec<_> =
            messages.iter().map(|(id, body)| (*id, Body::from_bytes(body).unwrap())).collect();
        let expected = [
            (1, String::new()),
            (2, "x".to_owned()),
            (3, "x".repeat(127)),
            (4, "x".repeat(128)),
            (5, "x".repeat(16_383)),
            (6, "x".repeat(16_384)),
            (7, "x".repeat(48_000)),
            (8, "\u{0}null \u{fc}".to_owned()),
            (9, "sealed".to_owned()),
            (10, "accepted".to_owned()),
        ];
        assert_eq!(texts, expected.map(|(id, text)| (id, Body::Text(text))));
        for (id, body) in &messages {
            // As they would be written today, so that they are the same wherever they go.
            assert_eq!(Body::from_bytes(body).unwrap().to_bytes(), *body, "{id}");
        }
        let outgoing = all("SELECT id, body FROM outgoing ORDER BY id");
        let bodies: Vec<_> =
            outgoing.iter().map(|(id, body)| (*id, Body::from_bytes(body).unwrap())).collect();
        let receipt = |kind, count: u16| Body::Receipt {
            kind,
            messages: (0..count).map(|n| ClientMsgId::from_bytes([u8::try_from(n).unwrap(); 16])).collect(),
        };
        let expected = [
            (8, Body::Text("\u{0}null \u{fc}".to_owned())),
            (9, Body::Text("sealed".to_owned())),
            (10, Body::Text("accepted".to_owned())),
            (12, receipt(ReceiptKind::Read, 1)),
            (13, receipt(ReceiptKind::Read, 8)),
            (14, receipt(ReceiptKind::Delivered, 256)),
        ];
        assert_eq!(bodies, expected);
        let text = |sql: &str| -> String { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
        let states =
            "SELECT group_concat(id || ':' || state || ':' || coalesce(message_id, '-'), ' ') FROM outgoing";
        assert_eq!(text(states), "8:1:8 9:2:9 10:3:10 12:1:- 13:1:- 14:1:-");
        let parcels = "SELECT group_concat(outgoing_id || ':' || CAST(bytes AS TEXT), ' ') FROM parcel";
        assert_eq!(text(parcels), "9:bytes 10:kept");
        assert_eq!(text("SELECT hex(lane) || due FROM lane"), format!("{}0", "00".repeat(16)));
        assert_eq!(
            text("SELECT group_concat(message_id || hex(told_id)) FROM parked"),
            format!("110B{}", "00".repeat(15))
        );
        // The id of one that was taken back is not used again.
        assert_eq!(
            text("SELECT group_concat(name || seq) FROM sqlite_sequence WHERE name = 'message'"),
            "message15"
        );
    }

    #[test]
    fn a_file_of_any_older_version_keeps_what_it_holds() {
        for version in 1..MIGRATIONS.len() {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("old.db");
            let old = Connection::open(&path).unwrap();
            old.execute_batch(V1).unwrap();
            old.execute_batch(OF_V1).unwrap();
            for migration in &MIGRATIONS[1..version] {
                old.execute_batch(migration).unwrap();
            }
            old.pragma_update(None, "user_version", version).unwrap();
            drop(old);

            let mut connection = Connection::open(&path).unwrap();
            migrate(&mut connection).unwrap();
            let text = |sql: &str| -> String { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
            let account =
                "SELECT registration_id || access_token || refresh_token || (exchange IS NULL) FROM account";
            assert_eq!(text(account), "7accessrefresh1", "from {version}");
            let keys = "SELECT group_concat(id || hex(record) || uploaded || (given_out IS NULL))";
            assert_eq!(text(&format!("{keys} FROM one_time_pre_key")), "10211,20301");
            assert_eq!(text(&format!("{keys} FROM kem_pre_key")), "30411");
            assert_eq!(text("SELECT trust || hex(user_id) FROM contact"), format!("1{}", "00".repeat(16)));
            let sessions =
                "SELECT hex(session_id) || rank || active || hex(state) || (inactive_since IS NULL)";
            assert_eq!(text(&format!("{sessions} FROM session")), "040560071");
            let kept = "SELECT number || hex(session_id) || (kept_since IS NULL) FROM skipped_key";
            assert_eq!(text(kept), "804051");
            let thread = "SELECT roster_version || ',' || created || ',' || accepted FROM thread";
            assert_eq!(text(thread), "2,5,0", "the relay is asked once more");
            assert_eq!(check(&connection).unwrap() as usize, MIGRATIONS.len());
        }
    }
}
