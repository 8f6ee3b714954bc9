//! The database file at rest: its key and its settings.
//!
//! SQLCipher is used with a raw key, without key derivation from a passphrase, which would take most of a second at
//! every start. The first 32 bytes of the file are not encrypted, because iOS suspends an app that holds a lock on a
//! file which it does not recognise as SQLite. The salt that would otherwise be stored there is derived from the key.
//!
//! Each page is encrypted with AES-256-CBC and authenticated with HMAC. New files use SHA-256, for which most processors have
//! instructions; files of earlier versions use SHA-512, SQLCipher's default.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hkdf::Hkdf;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::error::io_error;
use super::exit::{self, AtWork, Guarded};
use super::log_file::{self, BUSY_TIMEOUT};
use super::schema;
use crate::config::DatabaseKey;
use crate::error::{Error, Result, Storage};

const PAGE_SIZE: u64 = 4096;
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const SALT_INFO: &[u8] = b"Sealpost database salt v1";
/// The page cache of the writer in KiB; SQLite's default is 2000. A transaction that changes more pages than fit writes them to
/// the log early, and perhaps repeatedly.
const WRITER_CACHE_KIB: i64 = 6000;
/// The page cache in KiB where memory is scarce.
const SMALL_CACHE_KIB: i64 = 256;

/// How much memory and how many threads a client may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Footprint {
    /// Readers in addition to the writer, and large page caches.
    Full,
    /// A single connection and a small page cache, and fewer messages at a time.
    Small,
}

pub(super) struct Vault {
    path: PathBuf,
    key: DatabaseKey,
    /// That of the file, once it was opened.
    mac: Mutex<PageMac>,
}

/// The hash function in the MAC of each page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PageMac {
    Sha256,
    Sha512,
}

impl PageMac {
    const fn setting(self) -> &'static str {
        match self {
            Self::Sha256 => "HMAC_SHA256",
            Self::Sha512 => "HMAC_SHA512",
        }
    }
}

impl Vault {
    /// Accepts any path of a file. Symbolic links are followed, also in the path of a file that does not exist yet.
    ///
    /// # Errors
    /// Returns [`Storage::NoFolder`], [`Storage::NotAFile`], or another error that keeps the system from finding the
    /// folder.
    pub(super) fn new(path: &Path, key: DatabaseKey) -> Result<Self> {
        let path = match fs::canonicalize(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let name = path.file_name().ok_or(Storage::NotAFile)?;
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                fs::canonicalize(folder.unwrap_or(Path::new("."))).map(|folder| folder.join(name))
            }
            found => found,
        };
        let path = path.map_err(no_path)?;
        // This comes before any file is opened, because opening a named pipe would wait for a writer.
        match fs::metadata(&path) {
            Ok(found) if !found.is_file() => Err(Storage::NotAFile.into()),
            Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error(error)),
            _ => Ok(Self { path, key, mac: Mutex::new(PageMac::Sha256) }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a connection that may write, with the newest schema, and creates the file if it is missing. The caller
    /// holds the lock, and this process has no other connection: this function reads the file directly, and closing
    /// it would release the locks of another connection.
    ///
    /// # Errors
    /// Returns [`Storage::Corrupt`] also if the file has no content because its log was lost.
    pub(super) fn connect(&self, footprint: Footprint) -> Result<Guarded> {
        let at_work = AtWork::begin()?;
        check_header(&self.path)?;
        let mut connection =
            self.unlock_any(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        if pages == 0 {
            // The tables are created before the file is switched to a write-ahead log. A file that has pages but no
            // tables has therefore lost its log, and is never taken for a new one.
            schema::migrate(&mut connection)?;
        } else if schema::check(&connection)? == 0 {
            return Err(Storage::Corrupt.into());
        }
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "journal_size_limit", log_file::KEPT_BYTES)?;
        schema::migrate(&mut connection)?;
        let statements = match footprint {
            // A negative size of the cache is in KiB.
            Footprint::Full => {
                connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
                128
            }
            Footprint::Small => {
                connection.pragma_update(None, "cache_size", -SMALL_CACHE_KIB)?;
                16
            }
        };
        connection.set_prepared_statement_cache_capacity(statements);
        Ok(Guarded::new(connection, &at_work))
    }

    /// Opens a read-only connection.
    pub(super) fn connect_reader(&self) -> Result<Guarded> {
        let at_work = AtWork::begin()?;
        let connection = self.unlock(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(Guarded::new(connection, &at_work))
    }

    /// Opens a connection, and finds out how the pages of the file are authenticated. A file does not say it where it could be read
    /// without knowing it.
    fn unlock_any(&self, flags: OpenFlags) -> Result<Connection> {
        self.set_mac(PageMac::Sha256);
        match self.unlock(flags) {
            Err(Error::Storage(Storage::WrongKey)) => {
                self.set_mac(PageMac::Sha512);
                self.unlock(flags)
            }
            opened => opened,
        }
    }

    fn set_mac(&self, mac: PageMac) {
        *self.mac.lock().unwrap_or_else(PoisonError::into_inner) = mac;
    }

    fn unlock(&self, flags: OpenFlags) -> Result<Connection> {
        exit::prepare()?;
        let connection = Connection::open_with_flags(&self.path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        // SQLCipher would write to stderr if the key is wrong.
        connection.execute_batch("PRAGMA cipher_log = off;")?;
        connection.execute_batch(&self.key_statement()?)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // SQLite's statement journals are not encrypted, so they must never leave memory.
        connection.pragma_update(None, "temp_store", "memory")?;
        // Query plans must not depend on bound values, so that each statement is prepared only once.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        match connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())) {
            Ok(()) => Ok(connection),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
                Err(Storage::WrongKey.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn key_statement(&self) -> Result<Zeroizing<String>> {
        let mut salt = [0; 16];
        Hkdf::<Sha256>::new(None, self.key.expose())
            .expand(SALT_INFO, &mut salt)
            .map_err(|_| Error::Bug("the salt is too long"))?;
        // The capacity suffices from the start, because a reallocation would leave a copy of the key behind.
        let mut sql = Zeroizing::new(String::with_capacity(256));
        sql.push_str("PRAGMA key = \"x'");
        for byte in self.key.expose().iter().chain(&salt) {
            write!(sql, "{byte:02x}").map_err(|_| Error::Bug("writing to a string failed"))?;
        }
        let mac = self.mac.lock().unwrap_or_else(PoisonError::into_inner).setting();
        write!(sql, "'\"; PRAGMA cipher_plaintext_header_size = 32; PRAGMA cipher_hmac_algorithm = {mac};")
            .map_err(|_| Error::Bug("writing to a string failed"))?;
        Ok(sql)
    }
}

/// Distinguishes a foreign or truncated file from one whose key is wrong.
fn check_header(path: &Path) -> Result<()> {
    let mut header = [0; 32];
    let length = match File::open(path) {
        Ok(mut file) => {
            let length = file.metadata().map_err(io_error)?.len();
            if length == 0 || has_journal(path) {
                return Ok(());
            }
            file.read_exact(&mut header).map_err(|_| Storage::Corrupt)?;
            length
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error(error)),
    };
    let (magic, rest) = header.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(Storage::Corrupt.into());
    }
    // Bytes 28 to 31 hold the number of pages (SQLite file format, section 1.3). If there is a write-ahead log, the
    // file itself may still be shorter.
    let pages = rest.last_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    if length < u64::from(pages).saturating_mul(PAGE_SIZE) && !log_file::is_beside(path) {
        return Err(Storage::Corrupt.into());
    }
    Ok(())
}

/// Whether SQLite was interrupted while it created the file. SQLite will roll that back.
fn has_journal(path: &Path) -> bool {
    let mut journal = path.as_os_str().to_owned();
    journal.push("-journal");
    fs::metadata(journal).is_ok_and(|journal| journal.len() > 0)
}

/// Why a file cannot be reached.
fn no_path(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Storage::NoFolder.into(),
        // The name contains a null byte or is too long.
        ErrorKind::InvalidInput | ErrorKind::InvalidFilename => Storage::NotAFile.into(),
        _ => io_error(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn all_paths_of_a_file_resolve_to_the_same_name() {
        let dir = tempfile::tempdir().unwrap();
        let there = dir.path().join("there");
        fs::create_dir(&there).unwrap();
        std::os::unix::fs::symlink(&there, dir.path().join("link")).unwrap();
        let name = |path: PathBuf| Vault::new(&path, DatabaseKey::new([9; 32])).map(|vault| vault.path);
        let ways = [there.join("a.db"), dir.path().join("link/a.db"), dir.path().join("link/../there/a.db")];
        let expected = fs::canonicalize(&there).unwrap().join("a.db");
        for is_there in [false, true] {
            for way in &ways {
                assert_eq!(name(way.clone()).unwrap(), expected, "{is_there}");
            }
            fs::write(&expected, "").unwrap();
        }
        for nowhere in [dir.path().join("no/a.db"), expected.join("a.db")] {
            assert_eq!(name(nowhere.clone()), Err(Storage::NoFolder.into()), "{}", nowhere.display());
        }
        let null = there.join("a\0.db");
        let long = there.join("a".repeat(300));
        let pipe = there.join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
            .unwrap();
        for no_file in
            [there.clone(), "".into(), "..".into(), "/".into(), "/dev/null".into(), null, long, pipe]
        {
            assert_eq!(name(no_file.clone()), Err(Storage::NotAFile.into()), "{}", no_file.display());
        }
    }

    #[test]
    fn sqlite_is_compiled_as_the_workspace_says() {
        let connection = Connection::open_in_memory().unwrap();
        let mut options = connection.prepare("PRAGMA compile_options").unwrap();
        let options: Vec<String> =
            options.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let has = |option: &str| options.iter().any(|found| found == option);
        assert!(has("DEFAULT_MEMSTATUS=0") && has("ENABLE_FTS5"), "{options:?}");
        for unused in ["ENABLE_FTS3", "ENABLE_RTREE", "ENABLE_STAT4", "SOUNDEX"] {
            assert!(!has(unused), "{unused}");
        }
    }

    #[test]
    fn the_pages_of_a_new_file_are_authenticated_with_sha_256() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let open = || {
            let vault = Vault::new(&path, DatabaseKey::new([7; 32])).unwrap();
            let connection = vault.connect(Footprint::Full).unwrap().unguarded();
            let sql = "PRAGMA cipher_hmac_algorithm";
            let of_writer: String = connection.query_row(sql, [], |row| row.get(0)).unwrap();
            let reader = vault.connect_reader().unwrap().unguarded();
            let of_reader: String = reader.query_row(sql, [], |row| row.get(0)).unwrap();
            assert_eq!((&*of_writer, &*of_reader), ("HMAC_SHA256", "HMAC_SHA256"));
            reader.query_row("SELECT count(*) FROM message", [], |row| row.get::<_, i64>(0)).unwrap();
            connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        };
        open();
        open();
        // A page that was changed is noticed.
        let mut file = fs::read(&path).unwrap();
        let changed = file.len() - 2000;
        file[changed] ^= 1;
        fs::write(&path, &file).unwrap();
        let vault = Vault::new(&path, DatabaseKey::new([7; 32])).unwrap();
        let check = |connection: Connection| {
            connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))
        };
        // It may contain a part of the schema, and then the file cannot even be opened.
        let checked = vault.connect(Footprint::Full).map(|opened| check(opened.unguarded()));
        assert_ne!(checked.ok().and_then(Result::ok).as_deref(), Some("ok"));
    }

    /// Written by SQLCipher 4.19 on x86-64 with a key of bytes 7. It holds one table, and has no log.
    const EARLIER: &[u8] = include_bytes!("../../tests/data/sqlcipher-4.19.db");

    #[test]
    fn a_file_that_was_written_by_sqlcipher_4_19_on_x86_64_can_be_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        fs::write(&path, EARLIER).unwrap();
        let vault = Vault::new(&path, DatabaseKey::new([7; 32])).unwrap();
        let rows = |connection: &Connection| -> Vec<(i64, Vec<u8>)> {
            let mut rows = connection.prepare("SELECT id, bytes FROM kept ORDER BY id").unwrap();
            let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            rows.map(Result::unwrap).collect()
        };
        let mut expected = vec![(1, vec![1; 100]), (i64::MAX, vec![2; 9000])];
        let connection = vault.unlock_any(OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        assert_eq!(*vault.mac.lock().unwrap(), PageMac::Sha512);
        assert_eq!(rows(&connection), expected);
        connection.execute("INSERT INTO kept VALUES (2, zeroblob(3))", []).unwrap();
        drop(connection);
        expected.insert(1, (2, vec![0; 3]));
        assert_eq!(rows(&vault.connect_reader().unwrap().unguarded()), expected);
        // iOS must recognise the header, and nothing after it may be readable.
        let file = fs::read(&path).unwrap();
        assert_eq!(file[..16], *MAGIC);
        assert!(!file.windows(4).any(|bytes| bytes == b"kept" || bytes == [1; 4] || bytes == [2; 4]));
        let other = Vault::new(&path, DatabaseKey::new([8; 32])).unwrap();
        assert_eq!(other.connect(Footprint::Full).err(), Some(Storage::WrongKey.into()));
    }
}
