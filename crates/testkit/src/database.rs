//! Opens the database of a client from outside.

use std::path::Path;

use hkdf::Hkdf;
use rusqlite::Connection;
use sha2::Sha256;

/// Opens the file as described in docs/storage.md.
///
/// # Panics
/// If it cannot be opened.
pub fn open_database(path: &Path, key: &[u8; 32]) -> Connection {
    let mut salt = [0; 16];
    Hkdf::<Sha256>::new(None, key).expand(b"Sealpost database salt v1", &mut salt).expect("a short salt");
    let database = Connection::open(path).expect("the file opens");
    let (key, salt) = (hex::encode(key), hex::encode(salt));
    let unlock = format!("PRAGMA key = \"x'{key}{salt}'\"; PRAGMA cipher_plaintext_header_size = 32;");
    database.execute_batch(&unlock).expect("the key is taken");
    database
}
