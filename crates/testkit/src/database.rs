//! Opens and fills the database of a client from outside.

use std::path::Path;

use hkdf::Hkdf;
use rusqlite::{Connection, ErrorCode};
use sha2::Sha256;

/// Opens the file as described in docs/storage.md.
///
/// # Panics
/// If it cannot be opened.
pub fn open_database(path: &Path, key: &[u8; 32]) -> Connection {
    let mut salt = [0; 16];
    Hkdf::<Sha256>::new(None, key).expand(b"Sealpost database salt v1", &mut salt).expect("a short salt");
    let (key, salt) = (hex::encode(key), hex::encode(salt));
    let unlock = |mac| {
        let database = Connection::open(path).expect("the file opens");
        let unlock = format!(
            "PRAGMA cipher_log = off; PRAGMA key = \"x'{key}{salt}'\"; PRAGMA cipher_plaintext_header_size = 32;
             PRAGMA cipher_hmac_algorithm = {mac};"
        );
        database.execute_batch(&unlock).expect("the key is taken");
        let read = || database.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
        // It may be busy, while a client opens or closes it.
        let outcome = std::iter::repeat_with(read).take(100).find_map(|outcome| match outcome {
            Ok(()) => Some(true),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => Some(false),
            Err(_) => {
                std::thread::sleep(std::time::Duration::from_millis(20));
                None
            }
        });
        (database, outcome.expect("the file can be read"))
    };
    // Files of earlier versions use SHA-512. The header is not read here, because closing the file would release the locks of a
    // client in this process.
    match unlock("HMAC_SHA256") {
        (database, true) => database,
        _ => unlock("HMAC_SHA512").0,
    }
}

/// Inserts unread messages of the other member into the only thread of a client that is closed: `hello`, with sequence numbers from
/// 1 to `count`, which are also their content ids. The search index is left empty and counts as up to date.
///
/// # Panics
/// If this is not the database of a client with an empty thread.
pub fn insert_unread(database: &Connection, count: u32) {
    let inserted = database.execute_batch(&format!(
        "BEGIN;
         WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count})
         INSERT INTO message
            (thread_id, content_id, author, device, kind, body, sent, server_seq, position, state, run, count)
            SELECT thread_id, CAST(unhex(printf('%032x', n)) AS BLOB), member.user_id, 1, 1, x'520568656c6c6f', n, n, n, 10,
                x'0909090909090909', n
            FROM n, thread JOIN member USING (thread_id), account WHERE member.user_id <> account.user_id;
         INSERT INTO heard (thread_id, user_id, device_id, run, up_to, excepted, position)
            SELECT DISTINCT thread_id, author, 1, run, {count}, x'', {count} FROM message;
         UPDATE thread SET unread = {count};
         UPDATE account SET indexed_up_to = {count}, indexed_after = 0;
         COMMIT;"
    ));
    inserted.expect("messages");
}

/// Moves the read mark of the only thread of a client that is closed, so that its newest `unread` incoming messages are unread.
///
/// # Panics
/// If this is not the database of a client with one thread.
pub fn set_unread(database: &Connection, unread: u32) {
    let set = database.execute_batch(&format!(
        "UPDATE thread SET unread = {unread}, (read_position, read_id) = (SELECT coalesce(max(position), 0), coalesce(max(id), 0)
            FROM (SELECT position, id FROM message WHERE state = 10 ORDER BY position DESC LIMIT -1 OFFSET {unread}));"
    ));
    set.expect("a read mark");
}

/// Makes the messages late that [`insert_unread`] has inserted: as if the thread had been read up to its end before they arrived.
///
/// # Panics
/// If this is not the database of a client with one thread.
pub fn make_late(database: &Connection) {
    let made = database.execute_batch(
        "BEGIN;
         UPDATE message SET state = 12, late = server_seq WHERE state = 10;
         UPDATE thread SET (unread, late_unread, late_count, read_position, read_id) = (SELECT count(*), count(*), max(late),
            max(position) + 1, max(id) FROM message WHERE state = 12);
         COMMIT;",
    );
    made.expect("late messages");
}
