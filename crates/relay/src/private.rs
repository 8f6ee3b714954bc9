//! Restricts access to the data folder and its files to the relay's user, because they reveal who talks to whom and
//! when.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// The mode bits for group and others.
const OTHERS: u32 = 0o077;
/// The names of the relay's files: `relay.db` and the files that SQLite adds to it, and the relay's own.
const OURS: [&str; 5] = ["relay.db", "reserve", "lock", "signing.new", SIGNING_KEY];
/// The only file that is not made private if it was readable: somebody may have read it, and the operator must know.
const SIGNING_KEY: &str = "signing.key";

/// Creates the folder if necessary, and makes the relay's files in it private, except the signing key, which is
/// refused when it is read. The folder itself is made private too, unless it contains other files and thus may not
/// belong to the relay alone.
///
/// # Errors
/// If the folder cannot be created or read, or belongs to another user.
pub(crate) fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let mut ours_alone = true;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        // Links are not followed, because their targets are elsewhere.
        if !is_ours(&name.to_string_lossy()) || !entry.file_type()?.is_file() {
            ours_alone = false;
        } else if name != SIGNING_KEY {
            close(&entry.path())?;
        }
    }
    if ours_alone {
        return close(path);
    }
    if fs::metadata(path)?.permissions().mode() & OTHERS != 0 {
        tracing::warn!("the data folder is open to others and holds more than the relay's files");
    }
    Ok(())
}

/// Opens or creates a file for writing, with access for the owner only.
///
/// # Errors
/// If it cannot be opened, or belongs to another user.
pub(crate) fn file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    close(path)?;
    Ok(file)
}

fn is_ours(name: &str) -> bool {
    OURS.iter()
        .any(|ours| name.strip_prefix(ours).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')))
}

/// Removes the permissions of group and others.
fn close(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS & 0o7777))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(path: &Path, mode: u32) {
        fs::write(path, b"x").unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_that_were_open_to_others_are_closed() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let names = ["relay.db", "relay.db-wal", "relay.db-shm", "lock", "signing.new"];
        names.iter().for_each(|name| make(&dir.path().join(name), 0o664));
        folder(dir.path()).unwrap();
        assert_eq!(mode(dir.path()), 0o700);
        assert!(names.iter().all(|name| mode(&dir.path().join(name)) == 0o600));
        let key = dir.path().join(SIGNING_KEY);
        make(&key, 0o644);
        folder(dir.path()).unwrap();
        assert_eq!(mode(&key), 0o644, "it is refused, and the operator hears of it");
        make(&dir.path().join("lock"), 0o666);
        file(&dir.path().join("lock")).unwrap();
        assert_eq!(mode(&dir.path().join("lock")), 0o600);
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let (theirs, linked) = (dir.path().join("relay.db.backup"), dir.path().join("relay.db-wal"));
        make(&theirs, 0o644);
        std::os::unix::fs::symlink(&theirs, &linked).unwrap();
        make(&dir.path().join("relay.db"), 0o644);
        folder(dir.path()).unwrap();
        assert_eq!([mode(dir.path()), mode(&theirs)], [0o755, 0o644]);
        assert_eq!(mode(&dir.path().join("relay.db")), 0o600);
    }
}
