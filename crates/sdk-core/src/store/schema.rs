//! Numbered migrations: append, never edit one that was released.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Error, Result, Storage};

/// Each brings the schema from version n to n + 1; the version is SQLite's `user_version`.
const MIGRATIONS: [&str; 5] = [V1, V2, V3, V4, V5];

/// Brings the file to the newest version, under the lock between processes.
///
/// # Errors
/// As [`check`].
pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    let found = check(connection)?;
    for (migration, version) in MIGRATIONS.iter().zip(1..).skip(found as usize) {
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(migration)?;
        tx.pragma_update(None, "user_version", version)?;
        tx.commit()?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_database_ends_at_the_newest_version_and_stays_there() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version as usize, MIGRATIONS.len());
    }

    #[test]
    fn a_newer_database_is_refused_and_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 7).unwrap();
        assert_eq!(
            migrate(&mut connection).unwrap_err(),
            Error::Storage(Storage::Newer { found: 7, known: 5 })
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
