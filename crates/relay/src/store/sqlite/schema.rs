//! The tables, as numbered migrations that are only appended to.

use rusqlite::Connection;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or a file in it could not be used.
    #[error("the data folder cannot be used")]
    Io(#[from] std::io::Error),
    /// Another relay uses the same data folder.
    #[error("another relay uses this data folder")]
    InUse,
    /// SQLite failed.
    #[error("the database cannot be opened")]
    Sqlite(#[from] rusqlite::Error),
    /// The database was written by a newer relay.
    #[error("the database has schema version {found}, but this relay supports only up to {known}")]
    Newer {
        /// The schema version in the file.
        found: usize,
        /// The last migration of this build.
        known: usize,
    },
}

/// Identifiers are 16-byte BLOBs, times are milliseconds since 1970.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE store_meta (
        k TEXT NOT NULL PRIMARY KEY,
        v INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    INSERT INTO store_meta (k, v) VALUES ('epoch', 1), ('swept_ms', 0);

    CREATE TABLE account (
        user_id        BLOB    NOT NULL PRIMARY KEY,
        created_ms     INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE device (
        user_id         BLOB    NOT NULL,
        device_id       INTEGER NOT NULL,
        registration_id INTEGER NOT NULL,
        identity_key    BLOB    NOT NULL,
        PRIMARY KEY (user_id, device_id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE token_family (
        family_id     BLOB    NOT NULL PRIMARY KEY,
        user_id       BLOB    NOT NULL,
        device_id     INTEGER NOT NULL,
        token_hash    BLOB    NOT NULL,
        previous_hash BLOB,             -- the token before, accepted while this one is unused
        expires_ms    INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX token_family_device ON token_family (user_id, device_id);
    CREATE INDEX token_family_expiry ON token_family (expires_ms);

    -- kind: 0 the signed EC pre-key, 1 the last-resort KEM pre-key
    CREATE TABLE signed_pre_key (
        user_id    BLOB    NOT NULL,
        device_id  INTEGER NOT NULL,
        kind       INTEGER NOT NULL,
        key_id     INTEGER NOT NULL,
        public_key BLOB    NOT NULL,
        signature  BLOB    NOT NULL,
        PRIMARY KEY (user_id, device_id, kind)
    ) STRICT, WITHOUT ROWID;

    -- kind: 0 EC (the signature is empty), 1 KEM. A row is deleted when it is given out.
    CREATE TABLE one_time_pre_key (
        user_id    BLOB    NOT NULL,
        device_id  INTEGER NOT NULL,
        kind       INTEGER NOT NULL,
        key_id     INTEGER NOT NULL,
        public_key BLOB    NOT NULL,
        signature  BLOB    NOT NULL,
        PRIMARY KEY (user_id, device_id, kind, key_id)
    ) STRICT, WITHOUT ROWID;

    -- The highest one-time id ever seen: a consumed id is never accepted again.
    CREATE TABLE pre_key_mark (
        user_id   BLOB    NOT NULL,
        device_id INTEGER NOT NULL,
        kind      INTEGER NOT NULL,
        key_id    INTEGER NOT NULL,
        PRIMARY KEY (user_id, device_id, kind)
    ) STRICT, WITHOUT ROWID;

    -- Keys that were given out: SHA-256 of the public key, so that an upload whose answer was lost can be repeated.
    CREATE TABLE spent_pre_key (
        user_id   BLOB    NOT NULL,
        device_id INTEGER NOT NULL,
        kind      INTEGER NOT NULL,
        key_id    INTEGER NOT NULL,
        key_hash  BLOB    NOT NULL,
        spent_ms  INTEGER NOT NULL,
        PRIMARY KEY (user_id, device_id, kind, key_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX spent_pre_key_time ON spent_pre_key (spent_ms);

    -- The bundles that a requester received, kept while a repeated request must get the same ones. device_id 0 means
    -- all devices.
    CREATE TABLE taken_bundles (
        requester_user   BLOB    NOT NULL,
        requester_device INTEGER NOT NULL,
        user_id          BLOB    NOT NULL,
        device_id        INTEGER NOT NULL,
        idempotency_key  BLOB    NOT NULL,
        bundles          BLOB    NOT NULL,
        until_ms         INTEGER NOT NULL,
        PRIMARY KEY (requester_user, requester_device, user_id, device_id, idempotency_key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX taken_bundles_until ON taken_bundles (until_ms);

    CREATE TABLE thread (
        thread_id      BLOB    NOT NULL PRIMARY KEY,
        last_seq       INTEGER NOT NULL,
        last_hlc       INTEGER NOT NULL,
        roster_version INTEGER NOT NULL,
        created_ms     INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE direct_pair (
        lo        BLOB NOT NULL,
        hi        BLOB NOT NULL,
        thread_id BLOB NOT NULL,
        PRIMARY KEY (lo, hi)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE thread_member (
        thread_id BLOB NOT NULL,
        user_id   BLOB NOT NULL,
        PRIMARY KEY (thread_id, user_id)
    ) STRICT, WITHOUT ROWID;

    -- id_ms is the time inside the id, which determines when the row may be deleted.
    CREATE TABLE dedupe (
        sender        BLOB    NOT NULL,
        client_msg_id BLOB    NOT NULL,
        id_ms         INTEGER NOT NULL,
        thread_id     BLOB    NOT NULL,
        server_seq    INTEGER NOT NULL,
        hlc           INTEGER NOT NULL,
        body_hash     BLOB    NOT NULL,
        PRIMARY KEY (sender, client_msg_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX dedupe_time ON dedupe (id_ms);

    CREATE TABLE inbox (
        arrival        INTEGER PRIMARY KEY AUTOINCREMENT,
        user_id        BLOB    NOT NULL,
        device_id      INTEGER NOT NULL,
        thread_id      BLOB    NOT NULL,
        server_seq     INTEGER NOT NULL,
        hlc            INTEGER NOT NULL,
        sender_user    BLOB    NOT NULL,
        sender_device  INTEGER NOT NULL,
        client_msg_id  BLOB    NOT NULL,
        roster_version INTEGER NOT NULL,
        kind           INTEGER NOT NULL,
        urgent         INTEGER NOT NULL,
        ttl_s          INTEGER NOT NULL,
        expires_ms     INTEGER NOT NULL,
        ciphertext     BLOB    NOT NULL,
        UNIQUE (user_id, device_id, thread_id, server_seq)
    ) STRICT;
    CREATE INDEX inbox_arrivals ON inbox (user_id, device_id, arrival);
    CREATE INDEX inbox_expiry ON inbox (expires_ms);

    CREATE TABLE mailbox (
        user_id   BLOB    NOT NULL,
        device_id INTEGER NOT NULL,
        bytes     INTEGER NOT NULL, -- of ciphertext in its rows
        trimmed   INTEGER NOT NULL, -- 1: rows were dropped since it was last drained
        pushed    INTEGER NOT NULL, -- rows up to this arrival were pushed before
        PRIMARY KEY (user_id, device_id)
    ) STRICT, WITHOUT ROWID;
", "
    -- The account that a request created, in case the request is repeated.
    CREATE TABLE registration (
        idempotency_key BLOB    NOT NULL PRIMARY KEY,
        user_id         BLOB    NOT NULL,
        until_ms        INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
", "
    -- Refresh tokens from before tags were introduced, as far as they are known: reusing one still ends its family.
    CREATE TABLE untagged_token (
        family_id  BLOB NOT NULL,
        token_hash BLOB NOT NULL,
        PRIMARY KEY (family_id, token_hash)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO untagged_token (family_id, token_hash)
        SELECT family_id, token_hash FROM token_family
        UNION SELECT family_id, previous_hash FROM token_family WHERE previous_hash IS NOT NULL;
    -- This covers every way in which a family can end.
    CREATE TRIGGER untagged_token_end AFTER DELETE ON token_family BEGIN
        DELETE FROM untagged_token WHERE family_id = old.family_id;
    END;
", "
    -- The number of stored one-time keys, so that they need not be counted.
    ALTER TABLE pre_key_mark ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
    UPDATE pre_key_mark SET held = (
        SELECT count(*) FROM one_time_pre_key AS one_time
        WHERE one_time.user_id = pre_key_mark.user_id AND one_time.device_id = pre_key_mark.device_id
            AND one_time.kind = pre_key_mark.kind
    );
", "
    -- mailbox.trimmed is now the number of rows ever trimmed; it was a flag, which counts as one row. told is the
    -- number that the device has acknowledged.
    ALTER TABLE mailbox ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
", "
    -- The amount that a thread has delivered to a member who has not accepted it, acknowledged or not. Existing threads
    -- become accepted.
    ALTER TABLE thread_member ADD COLUMN accepted INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE thread_member ADD COLUMN requested_messages INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE thread_member ADD COLUMN requested_bytes INTEGER NOT NULL DEFAULT 0;
    UPDATE thread_member SET accepted = 1;

    -- The size of each thread in a mailbox: 256 bytes for each row, and its ciphertext.
    CREATE TABLE mailbox_thread (
        user_id   BLOB    NOT NULL,
        device_id INTEGER NOT NULL,
        thread_id BLOB    NOT NULL,
        bytes     INTEGER NOT NULL,
        request   INTEGER NOT NULL, -- 1: the owner has not accepted the thread
        PRIMARY KEY (user_id, device_id, thread_id)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO mailbox_thread (user_id, device_id, thread_id, bytes, request)
        SELECT user_id, device_id, thread_id, sum(length(ciphertext) + 256), 0 FROM inbox
        GROUP BY user_id, device_id, thread_id;
    -- Partial indexes, which ordinary messages do not change: threads with many unread bytes, and those of strangers.
    CREATE INDEX mailbox_thread_large ON mailbox_thread (user_id, device_id, bytes) WHERE bytes > 262144;
    CREATE INDEX mailbox_thread_request ON mailbox_thread (user_id, device_id, bytes)
        WHERE request = 1 AND bytes > 0;
    -- mailbox.bytes counts in the same way.
    UPDATE mailbox SET bytes = (
        SELECT coalesce(sum(t.bytes), 0) FROM mailbox_thread AS t
        WHERE t.user_id = mailbox.user_id AND t.device_id = mailbox.device_id
    );
", "
    -- The id of a message begins with its time, so the rows are ordered by time without another index, and new rows go
    -- to the end.
    CREATE TABLE dedupe_by_time (
        client_msg_id BLOB    NOT NULL,
        sender        BLOB    NOT NULL,
        thread_id     BLOB    NOT NULL,
        server_seq    INTEGER NOT NULL,
        hlc           INTEGER NOT NULL,
        body_hash     BLOB    NOT NULL,
        PRIMARY KEY (client_msg_id, sender)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO dedupe_by_time
        SELECT client_msg_id, sender, thread_id, server_seq, hlc, body_hash FROM dedupe ORDER BY 1, 2;
    DROP TABLE dedupe;
    ALTER TABLE dedupe_by_time RENAME TO dedupe;

    -- The relay now numbers arrivals itself. Rows with the default lifetime expire in the order of arrival; only rows
    -- with an expiry time of their own are indexed by it.
    INSERT INTO store_meta (k, v) VALUES
        ('arrivals', 1 + ((SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'inbox') >> 32)),
        ('expiry_looked_at', 0);
    CREATE TABLE inbox_by_arrival (
        arrival        INTEGER NOT NULL PRIMARY KEY,
        user_id        BLOB    NOT NULL,
        device_id      INTEGER NOT NULL,
        thread_id      BLOB    NOT NULL,
        server_seq     INTEGER NOT NULL,
        hlc            INTEGER NOT NULL,
        sender_user    BLOB    NOT NULL,
        sender_device  INTEGER NOT NULL,
        client_msg_id  BLOB    NOT NULL,
        roster_version INTEGER NOT NULL,
        kind           INTEGER NOT NULL,
        urgent         INTEGER NOT NULL,
        ttl_s          INTEGER NOT NULL,
        expires_ms     INTEGER NOT NULL,
        ciphertext     BLOB    NOT NULL,
        UNIQUE (user_id, device_id, thread_id, server_seq)
    ) STRICT;
    INSERT INTO inbox_by_arrival SELECT * FROM inbox ORDER BY arrival;
    DROP TABLE inbox;
    ALTER TABLE inbox_by_arrival RENAME TO inbox;
    CREATE INDEX inbox_arrivals ON inbox (user_id, device_id, arrival);
    CREATE INDEX inbox_early_expiry ON inbox (expires_ms) WHERE ttl_s > 0;
", "
    -- Mailboxes of devices that were revoked, whose rows are still to be removed.
    CREATE TABLE left_mailbox (
        user_id   BLOB    NOT NULL,
        device_id INTEGER NOT NULL,
        PRIMARY KEY (user_id, device_id)
    ) STRICT, WITHOUT ROWID;
", "
    -- Accounts that were deleted.
    CREATE TABLE deleted_account (
        user_id    BLOB    NOT NULL PRIMARY KEY,
        deleted_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- Their token families, for as long as one of their tokens may be presented.
    CREATE TABLE deleted_family (
        family_id BLOB    NOT NULL PRIMARY KEY,
        until_ms  INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX deleted_family_until ON deleted_family (until_ms);
", "
    -- The Ed25519 key with which a device signs in, NULL until it has presented one; and how often its database has
    -- connected.
    ALTER TABLE device ADD COLUMN login_key BLOB;
    ALTER TABLE device ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE device ADD COLUMN generation_nonce BLOB NOT NULL DEFAULT x'';

    -- Devices that were revoked, which cannot be restored.
    CREATE TABLE revoked_device (
        user_id   BLOB    NOT NULL,
        device_id INTEGER NOT NULL,
        PRIMARY KEY (user_id, device_id)
    ) STRICT, WITHOUT ROWID;

    -- The epoch in which a family was last used. In a later epoch, the relay cannot tell whether its tokens were used.
    ALTER TABLE token_family ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
    UPDATE token_family SET epoch = (SELECT v FROM store_meta WHERE k = 'epoch');

    -- The epoch of the stored one-time keys: keys from an earlier epoch may have been handed out since.
    ALTER TABLE pre_key_mark ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
    UPDATE pre_key_mark SET epoch = (SELECT v FROM store_meta WHERE k = 'epoch');

    -- Each opening of this store, and how many transactions it has committed.
    CREATE TABLE opening (
        number  INTEGER NOT NULL PRIMARY KEY,
        name    BLOB    NOT NULL,
        commits INTEGER NOT NULL
    ) STRICT;
", "
    -- The newest time of an id that was ever forgotten. Ids after it that are not known were never used.
    INSERT INTO store_meta SELECT 'forgotten_ms', CASE v WHEN 0 THEN 0 ELSE max(v, unixepoch() * 1000) END
        FROM store_meta WHERE k = 'swept_ms';
", "
    -- Contents for one device that have no place in a thread. Each device numbers its mail; arrival is shared with inbox.
    ALTER TABLE mailbox ADD COLUMN mail_seq INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE mail (
        arrival       INTEGER NOT NULL PRIMARY KEY,
        user_id       BLOB    NOT NULL,
        device_id     INTEGER NOT NULL,
        urgent        INTEGER NOT NULL,
        mail_seq      INTEGER NOT NULL,
        thread_id     BLOB    NOT NULL,
        came_ms       INTEGER NOT NULL,
        sender_user   BLOB    NOT NULL,
        sender_device INTEGER NOT NULL,
        client_msg_id BLOB    NOT NULL,
        kind          INTEGER NOT NULL,
        ttl_s         INTEGER NOT NULL,
        expires_ms    INTEGER NOT NULL,
        ciphertext    BLOB    NOT NULL,
        UNIQUE (user_id, device_id, urgent, mail_seq)
    ) STRICT;
    -- For trimming the mail of a thread.
    CREATE INDEX mail_of_thread ON mail (user_id, device_id, thread_id, mail_seq);
    CREATE INDEX mail_early_expiry ON mail (expires_ms) WHERE ttl_s > 0;
    INSERT INTO store_meta (k, v) VALUES ('mail_expiry_looked_at', 0);
", "
    -- Whom a user blocks. The row of this user in the direct thread of the two repeats it.
    CREATE TABLE block (
        user_id      BLOB NOT NULL,
        blocked_user BLOB NOT NULL,
        PRIMARY KEY (user_id, blocked_user)
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE thread_member ADD COLUMN blocks INTEGER NOT NULL DEFAULT 0;
", "
    -- The newest list of devices that each account has signed.
    CREATE TABLE device_list (
        user_id BLOB    NOT NULL PRIMARY KEY,
        version INTEGER NOT NULL,
        list    BLOB    NOT NULL
    ) STRICT, WITHOUT ROWID;
", "
    -- When a device was last connected, to the day; what wakes it; and the highest number that was ever given to a device.
    ALTER TABLE device ADD COLUMN seen_ms INTEGER NOT NULL DEFAULT 0;
    UPDATE device SET seen_ms = unixepoch() * 1000;
    ALTER TABLE device ADD COLUMN push_token BLOB NOT NULL DEFAULT x'';
    CREATE INDEX device_unseen ON device (seen_ms) WHERE device_id > 1;
    CREATE TABLE device_mark (
        user_id   BLOB    NOT NULL PRIMARY KEY,
        device_id INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- Each is for the registration of one device. It is kept for a day after it was used, in case the request is repeated.
    CREATE TABLE link_token (
        token_hash BLOB    NOT NULL PRIMARY KEY,
        user_id    BLOB    NOT NULL,
        device_id  INTEGER NOT NULL,
        until_ms   INTEGER NOT NULL,
        used_by    BLOB             -- the idempotency key of the request
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX link_token_user ON link_token (user_id, device_id);
    CREATE INDEX link_token_until ON link_token (until_ms);
", "
    -- Which device stores the lists of its account: the first one, until it makes another one the primary device.
    ALTER TABLE device ADD COLUMN is_primary INTEGER NOT NULL DEFAULT 0;
    UPDATE device SET is_primary = 1 WHERE device_id = 1;
    DROP INDEX device_unseen;
    CREATE INDEX device_unseen ON device (seen_ms) WHERE is_primary = 0;
", include_str!("schema/groups.sql")];

/// Migrates the tables to the current schema, with one transaction for each migration.
pub(super) fn migrate(db: &mut Connection) -> Result<(), OpenError> {
    let found: usize = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > MIGRATIONS.len() {
        return Err(OpenError::Newer { found, known: MIGRATIONS.len() });
    }
    for (version, migration) in (1_usize..).zip(MIGRATIONS).skip(found) {
        let tx = db.transaction()?;
        tx.execute_batch(migration)?;
        tx.pragma_update(None, "user_version", version)?;
        tx.commit()?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[test]
    fn migrations_run_once() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db).unwrap();
        db.execute("UPDATE store_meta SET v = 7 WHERE k = 'epoch'", []).unwrap();
        migrate(&mut db).unwrap();
        let epoch: u64 =
            db.query_row("SELECT v FROM store_meta WHERE k = 'epoch'", [], |row| row.get(0)).unwrap();
        assert_eq!(epoch, 7);
    }

    /// A database written by an earlier version of the relay.
    pub(in crate::store::sqlite) fn of_version(version: usize, rows: &str) -> Connection {
        let mut db = Connection::open_in_memory().unwrap();
        for migration in &MIGRATIONS[..version] {
            db.execute_batch(migration).unwrap();
        }
        db.execute_batch(rows).unwrap();
        db.pragma_update(None, "user_version", version).unwrap();
        migrate(&mut db).unwrap();
        db
    }

    #[test]
    fn migrated_keys_are_counted() {
        let db = of_version(
            3,
            "INSERT INTO pre_key_mark VALUES (x'01', 1, 0, 300), (x'01', 1, 1, 7), (x'02', 1, 0, 9);
             WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 300)
             INSERT INTO one_time_pre_key SELECT x'01', 1, 0, id, x'05', x'' FROM n;
             INSERT INTO one_time_pre_key VALUES (x'02', 1, 0, 9, x'05', x'');",
        );
        let held: Vec<u32> = db
            .prepare("SELECT held FROM pre_key_mark ORDER BY user_id, kind")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(held, [300, 0, 1]);
    }

    #[test]
    fn a_store_that_has_swept_does_not_know_which_ids_it_has_forgotten() {
        let forgotten = |rows: &str| -> u64 {
            let db = of_version(10, rows);
            db.query_row("SELECT v FROM store_meta WHERE k = 'forgotten_ms'", [], |row| row.get(0)).unwrap()
        };
        assert_eq!(forgotten(""), 0);
        assert!(forgotten("UPDATE store_meta SET v = 5 WHERE k = 'swept_ms'") > 1_700_000_000_000);
        assert_eq!(forgotten("UPDATE store_meta SET v = 1 << 50 WHERE k = 'swept_ms'"), 1 << 50);
    }

    #[test]
    fn a_database_with_a_newer_schema_is_not_changed() {
        let mut db = Connection::open_in_memory().unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(migrate(&mut db), Err(OpenError::Newer { found: 99, .. })));
    }
}
