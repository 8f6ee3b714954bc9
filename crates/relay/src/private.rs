//! Restricts access to the data folder and its files to the relay's user, because they reveal who talks to whom and
//! when.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// The mode bits for group and others.
const GROUP_AND_OTHERS: u32 = 0o077;
/// The names of the relay's files: `relay.db` and the files that SQLite adds to it, and the relay's own.
const RELAY_FILES: [&str; 5] = ["relay.db", "reserve", "lock", "signing.new", SIGNING_KEY];
/// The only file that is not made private if it was readable: it may have been read, so the operator has to replace it.
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
        // Symbolic links are not followed, because their targets are outside the folder.
        if !is_relay_file(&name.to_string_lossy()) || !entry.file_type()?.is_file() {
            ours_alone = false;
        } else if name != SIGNING_KEY {
            restrict(&entry.path())?;
        }
    }
    if ours_alone {
        return restrict(path);
    }
    if fs::metadata(path)?.permissions().mode() & GROUP_AND_OTHERS != 0 {
        tracing::warn!(
            "other users can access the data folder; it is not made private because it contains other files"
        );
    }
    Ok(())
}

/// Opens or creates a file for writing, with access for the owner only.
///
/// # Errors
/// If it cannot be opened, or belongs to another user.
pub(crate) fn file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    restrict(path)?;
    Ok(file)
}

fn is_relay_file(name: &str) -> bool {
    RELAY_FILES
        .iter()
        .any(|ours| name.strip_prefix(ours).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')))
}

/// Removes the permissions of group and others.
fn restrict(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & GROUP_AND_OTHERS == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode & !GROUP_AND_OTHERS & 0o7777))
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
    fn files_readable_by_others_are_made_private() {
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
        assert_eq!(mode(&key), 0o644, "it is not changed, and refused when it is opened");
        make(&dir.path().join("lock"), 0o666);
        file(&dir.path().join("lock")).unwrap();
        assert_eq!(mode(&dir.path().join("lock")), 0o600);
    }

    #[test]
    fn files_that_do_not_belong_to_the_relay_are_not_changed() {
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
