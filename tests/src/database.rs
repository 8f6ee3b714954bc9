//! The databases of a client and of the relay, opened by somebody else.

use std::path::Path;

use hkdf::Hkdf;
use rusqlite::{Connection, Params};
use sha2::Sha256;

/// Opens the file as docs/storage.md describes it.
///
/// # Panics
/// When it cannot be opened.
#[expect(clippy::expect_used, reason = "what goes wrong here fails a test, and says why")]
pub fn open_database(path: &Path, key: &[u8; 32]) -> Connection {
    let mut salt = [0; 16];
    Hkdf::<Sha256>::new(None, key).expand(b"Sealpost database salt v1", &mut salt).expect("a short salt");
    let database = Connection::open(path).expect("the file opens");
    let (key, salt) = (hex::encode(key), hex::encode(salt));
    let unlock = format!("PRAGMA key = \"x'{key}{salt}'\"; PRAGMA cipher_plaintext_header_size = 32;");
    database.execute_batch(&unlock).expect("the key is taken");
    database
}

/// Removes one-time keys that the relay holds, as if somebody had taken them. `which` is a condition on their rows.
///
/// # Panics
/// When the database is not the relay's.
#[expect(clippy::expect_used, reason = "what goes wrong here fails a test, and says why")]
pub fn take_one_time_keys(relay: &Connection, which: &str, values: impl Params) {
    relay.execute(&format!("DELETE FROM one_time_pre_key WHERE {which}"), values).expect("keys are taken");
    let count = "UPDATE pre_key_mark SET held = (
        SELECT count(*) FROM one_time_pre_key AS one_time
        WHERE one_time.user_id = pre_key_mark.user_id AND one_time.device_id = pre_key_mark.device_id
            AND one_time.kind = pre_key_mark.kind)";
    relay.execute(count, []).expect("the rest is counted");
}
