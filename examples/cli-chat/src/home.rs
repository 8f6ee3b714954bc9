//! The files that are kept between runs: for each name a database, its key, and its user id for others on this machine.
//!
//! The key is in a file next to the database that only its owner can read. An app would keep it in the Keychain or
//! the Keystore.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rand::Rng as _;
use sealpost_core::{Client, Config, DatabaseKey, Error, UserId};

/// The folder with all accounts.
pub(crate) struct Home {
    folder: PathBuf,
}

/// Why an account cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HomeError {
    #[error("the state folder cannot be used: {0}")]
    Disk(#[from] io::Error),
    #[error("the key file is damaged")]
    Key,
    #[error("{0}")]
    Client(#[from] Error),
}

impl Home {
    pub(crate) fn at(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Opens an account, or registers one.
    pub(crate) async fn client(&self, name: &str, relay: &str) -> Result<Client, HomeError> {
        let key = self.key(name)?;
        let config = Config::new(self.file(name, "db"), DatabaseKey::new(key), relay);
        let client = Client::open_or_register(config, &[]).await?;
        fs::write(self.file(name, "id"), client.user_id().to_string())?;
        Ok(client)
    }

    /// The user with this name on this machine, or with this user id.
    pub(crate) fn user(&self, name: &str) -> Option<UserId> {
        let id = fs::read_to_string(self.file(name, "id")).unwrap_or_else(|_| name.to_owned());
        id.trim().parse().ok()
    }

    fn key(&self, name: &str) -> Result<[u8; 32], HomeError> {
        let path = self.file(name, "key");
        match fs::read(&path) {
            Ok(bytes) => bytes.try_into().map_err(|_| HomeError::Key),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut key = [0; 32];
                rand::rng().fill_bytes(&mut key);
                private_file(&path)?.write_all(&key)?;
                Ok(key)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn file(&self, name: &str, kind: &str) -> PathBuf {
        self.folder.join(format!("{name}.{kind}"))
    }
}

fn private_file(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
