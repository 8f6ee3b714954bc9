//! Entries of rosters, as a device with its keys would sign them although its client does not.

#![expect(clippy::expect_used, reason = "a failure here fails the test with a message")]

use rusqlite::params;
use sealpost_core::{DeviceId, ThreadId, UserId};
use sealpost_protocol::IdentityKeyPair;
use sealpost_protocol::group::EntrySignature;
use sealpost_testkit::{PartyDisk, open_database};
use sealpost_wire::roster::{AccountKey, Author, AuthorList, Change, Entry, UnsignedEntry};

/// The keys of a device that is a member of groups.
#[derive(Debug)]
pub struct EntrySigner {
    author: Author,
    list: AuthorList,
    identity: IdentityKeyPair,
}

impl EntrySigner {
    /// Reads the keys of a device.
    pub fn of(disk: &PartyDisk) -> Self {
        let sql = "SELECT user_id, device_id, identity, list FROM account JOIN device_list USING (user_id)";
        let database = open_database(disk.database(), &disk.key());
        let row: (Vec<u8>, u32, Vec<u8>, Vec<u8>) = database
            .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .expect("an account with a list");
        let user = UserId::from_slice(&row.0).expect("a user id");
        Self {
            author: Author { user, device: DeviceId::new(row.1).expect("a device number") },
            list: AuthorList::parse(&row.3).expect("a list"),
            identity: IdentityKeyPair::from_bytes(&row.2).expect("a key pair"),
        }
    }

    /// The account key that has signed the list of the device.
    pub fn account_key(&self) -> AccountKey {
        self.list.account_key()
    }

    /// The entry after another one.
    pub fn sign(&self, after: &Entry, change: Change) -> Entry {
        self.sign_as(self, after, change)
    }

    /// The entry after another one in the name of somebody else, which this device signs.
    pub fn sign_as(&self, author: &Self, after: &Entry, change: Change) -> Entry {
        let unsigned = UnsignedEntry {
            thread: after.thread(),
            version: after.version().saturating_add(1),
            previous: *after.hash(),
            author: author.author,
            list: Some(author.list.clone()),
            change,
        };
        let signature = EntrySignature::sign(&unsigned.to_bytes(), &self.identity, &mut rand::rng());
        unsigned.with_signature(signature.as_bytes()).expect("an entry within its bounds")
    }
}

/// The entries of a group that a client has, the oldest first.
pub fn entries_of(disk: &PartyDisk, thread: ThreadId) -> Vec<Entry> {
    let database = open_database(disk.database(), &disk.key());
    let sql = "SELECT entry FROM roster_entry WHERE thread_id = ?1 ORDER BY version";
    let mut statement = database.prepare(sql).expect("a statement");
    let rows = statement.query_map([thread.as_bytes()], |row| row.get::<_, Vec<u8>>(0)).expect("rows");
    let entry = |row: rusqlite::Result<Vec<u8>>| Entry::parse(&row.expect("a row")).expect("an entry");
    rows.map(entry).collect()
}

/// Makes the client of this database submit an entry when it is opened again.
pub fn submit_entry(disk: &PartyDisk, entry: &Entry) {
    let database = open_database(disk.database(), &disk.key());
    let sql = "INSERT INTO roster_change (thread_id, change, entry, times) VALUES (?1, ?2, ?3, 1)";
    let thread = entry.thread();
    let values = params![thread.as_bytes(), entry.content().change.to_bytes(), entry.as_bytes()];
    assert_eq!(database.execute(sql, values).expect("the change is stored"), 1);
}
