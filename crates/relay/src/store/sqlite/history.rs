//! The versions that this store has had. They reveal that the file is older than a version that a client has seen.
//!
//! Each time the file is opened, the opening gets a number and a random name, and counts the transactions that it
//! commits. Clients keep the newest version that they have received. A restored file has a different opening under that
//! number, or none, or one that ended earlier. A client that presents such a version therefore proves that the file was
//! restored after the version was issued, however much later the client presents it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, Result, params};

use super::columns::expect_one;
use crate::random;
use crate::store::{OpeningName, StoreVersion};

/// How many openings are remembered. Versions of earlier openings are not checked.
const REMEMBERED: u64 = 4_096;

#[derive(Debug)]
pub(super) struct History {
    number: u64,
    name: OpeningName,
    /// How many transactions of this opening are durable.
    commits: AtomicU64,
    /// The name of each earlier opening, and how many transactions it committed.
    ended: HashMap<u64, (OpeningName, u64)>,
}

impl History {
    /// Begins an opening.
    pub(super) fn open(db: &Connection) -> Result<Self> {
        let ended: HashMap<u64, (OpeningName, u64)> = db
            .prepare("SELECT number, name, commits FROM opening")?
            .query_map([], |row| Ok((row.get(0)?, (OpeningName(row.get(1)?), row.get(2)?))))?
            .collect::<Result<_>>()?;
        let number = ended.keys().max().copied().unwrap_or(0).saturating_add(1);
        let [name @ .., _, _, _, _, _, _, _, _] = random::id().into_bytes();
        let name = OpeningName(name);
        expect_one(db.execute(
            "INSERT INTO opening (number, name, commits) VALUES (?1, ?2, 0)",
            params![number, name.0],
        )?)?;
        db.execute("DELETE FROM opening WHERE number <= ?1", [number.saturating_sub(REMEMBERED)])?;
        Ok(Self { number, name, commits: AtomicU64::new(0), ended })
    }

    /// Counts a transaction. Called as the last step of it.
    pub(super) fn count(&self, tx: &Connection) -> Result<()> {
        let commits = self.commits.load(Ordering::Relaxed).saturating_add(1);
        expect_one(
            tx.prepare_cached("UPDATE opening SET commits = ?2 WHERE number = ?1")?
                .execute([self.number, commits])?,
        )
    }

    /// Records that the counted transaction is durable. Only the writer calls this.
    pub(super) fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Release);
    }

    pub(super) fn version(&self, epoch: u64) -> StoreVersion {
        let commits = self.commits.load(Ordering::Acquire);
        StoreVersion { epoch, opening: self.number, name: self.name, commits }
    }

    /// Whether the store has been in this state, as far as it remembers.
    pub(super) fn contains(&self, version: &StoreVersion) -> bool {
        if version.opening.saturating_add(REMEMBERED) <= self.number {
            return true;
        }
        let (name, commits) = match self.ended.get(&version.opening) {
            Some((name, commits)) => (name, *commits),
            None if version.opening == self.number => (&self.name, self.commits.load(Ordering::Acquire)),
            None => return false,
        };
        *name == version.name && version.commits <= commits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct File(Connection);

    impl File {
        fn new() -> Self {
            let mut db = Connection::open_in_memory().unwrap();
            super::super::schema::migrate(&mut db).unwrap();
            Self(db)
        }

        fn open(&self) -> History {
            History::open(&self.0).unwrap()
        }

        /// A copy of the file as it is now.
        fn copy(&self) -> (tempfile::TempDir, Self) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("copy.db");
            self.0.execute("VACUUM INTO ?1", [path.to_str().unwrap()]).unwrap();
            (folder, Self(Connection::open(path).unwrap()))
        }
    }

    fn commit(file: &File, history: &History) -> StoreVersion {
        history.count(&file.0).unwrap();
        history.committed();
        history.version(1)
    }

    #[test]
    fn committed_versions_are_known_at_every_later_opening() {
        let file = File::new();
        let first = file.open();
        let versions = [first.version(1), commit(&file, &first), commit(&file, &first)];
        let second = file.open();
        let later = commit(&file, &second);
        for history in [second, file.open()] {
            assert!(versions.iter().chain([&later]).all(|version| history.contains(version)));
        }
    }

    #[test]
    fn a_restored_copy_does_not_know_versions_committed_after_it() {
        let file = File::new();
        let first = file.open();
        let before = commit(&file, &first);
        let (_folder, copy) = file.copy();
        let after = commit(&file, &first);
        // This also holds if as many transactions have been committed since in the copy.
        let restored = copy.open();
        for _ in 0..5 {
            commit(&copy, &restored);
        }
        assert!(restored.contains(&before) && !restored.contains(&after));
        // The same for later openings of the original, although the copy was opened as often.
        let second = file.open();
        let (opened, done) = (second.version(1), commit(&file, &second));
        assert!(!restored.contains(&opened) && !restored.contains(&done));
        let third = file.open().version(1);
        assert!(!restored.contains(&third), "the copy does not have this opening");
    }

    #[test]
    fn the_number_of_remembered_openings_is_limited_and_older_ones_are_not_checked() {
        let file = File::new();
        let first = commit(&file, &file.open());
        file.0
            .execute_batch(
                "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
                 INSERT INTO opening SELECT i, x'0102030405060708', 0 FROM n",
            )
            .unwrap();
        let now = file.open();
        assert!(now.contains(&first));
        let kept: u64 = file.0.query_row("SELECT count(*) FROM opening", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, REMEMBERED);
    }
}
