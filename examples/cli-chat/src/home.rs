//! The files that are kept between runs: for each name a database, its key, and its user id for others on this machine.
//!
//! The key is in a file next to the database that only its owner can read. An app would keep it in the Keychain or
//! the Keystore.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::Rng as _;
use sealpost_core::{Client, CodeError, Config, DatabaseKey, DeviceId, Error, Opened, UserId};

/// How long the names of the folder are remembered before a user without a name makes it worthwhile to look again.
const NAMES_LAST: Duration = Duration::from_secs(1);

/// The folder with all accounts.
pub(crate) struct Home {
    folder: PathBuf,
    names: Mutex<Names>,
}

/// The names of the users of this machine, and when they were read.
#[derive(Default)]
struct Names {
    names: HashMap<UserId, String>,
    read: Option<Instant>,
}

/// Why an account cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HomeError {
    #[error("the state folder cannot be used: {0}")]
    Disk(#[from] io::Error),
    #[error("the key file is damaged")]
    Key,
    #[error("that is not a code to link: {0}")]
    Code(#[from] CodeError),
    #[error("{0}")]
    Client(#[from] Error),
}

impl Home {
    pub(crate) fn at(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), names: Mutex::default() })
    }

    /// Opens an account, or registers one.
    pub(crate) async fn client(&self, name: &str, relay: &str) -> Result<Client, HomeError> {
        let client = match self.open(name, relay).await? {
            Opened::Ready(client) => client,
            Opened::Unregistered(new) => new.register(&[]).await?,
        };
        // The name of a companion is not one of the account.
        if client.device_id() == DeviceId::PRIMARY {
            fs::write(self.file(name, "id"), client.user_id().to_string())?;
        }
        Ok(client)
    }

    /// Opens a database, or creates it.
    pub(crate) async fn open(&self, name: &str, relay: &str) -> Result<Opened, HomeError> {
        let key = self.key(name)?;
        let config = Config::new(self.file(name, "db"), DatabaseKey::new(key), relay);
        Ok(Client::open(config).await?)
    }

    /// The user with this name on this machine, or with this user id.
    pub(crate) fn user(&self, name: &str) -> Option<UserId> {
        let file = is_name(name).then(|| fs::read_to_string(self.file(name, "id")));
        let id = file.and_then(Result::ok).unwrap_or_else(|| name.to_owned());
        id.trim().parse().ok()
    }

    /// What to call a user: the name on this machine, or the beginning of the user id.
    pub(crate) fn name(&self, user: UserId) -> String {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = names.read.is_none_or(|read| read.elapsed() > NAMES_LAST);
        if is_old && !names.names.contains_key(&user) {
            *names = Names { names: self.read_names(), read: Some(Instant::now()) };
        }
        names.names.get(&user).cloned().unwrap_or_else(|| user.to_string().chars().take(8).collect())
    }

    fn read_names(&self) -> HashMap<UserId, String> {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let names = files.filter(|path| path.extension().is_some_and(|kind| kind == "id"));
        let named = names.filter_map(|path| {
            let id = fs::read_to_string(&path).ok()?.trim().parse().ok()?;
            Some((id, path.file_stem()?.to_str()?.to_owned()))
        });
        named.collect()
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

/// Whether this can be a name, which becomes a part of a file's name.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
}

fn private_file(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_names_on_this_machine_and_short_ids_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        let (ada, stranger) = (UserId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
        fs::write(folder.path().join("ada.id"), ada.to_string()).unwrap();
        assert_eq!(home.user("ada"), Some(ada));
        assert_eq!(home.name(ada), "ada");
        assert_eq!(home.user(&stranger.to_string()), Some(stranger));
        assert_eq!(home.name(stranger), "02020202");
        assert_eq!(home.user("nobody"), None);
    }

    #[test]
    fn a_name_does_not_lead_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(&folder.path().join("inside")).unwrap();
        fs::write(folder.path().join("ada.id"), UserId::from_bytes([1; 16]).to_string()).unwrap();
        assert_eq!(home.user("../ada"), None);
    }
}
