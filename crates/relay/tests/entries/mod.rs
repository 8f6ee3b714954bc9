//! Entries of rosters for tests of the relay. Their signatures are random bytes, because the relay verifies none.
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]
#![allow(dead_code, reason = "each test target uses some of it")]

use sealpost_wire::id::{DeviceId, ThreadId, UserId};
use sealpost_wire::roster::{
    AccountKey, Author, AuthorList, Change, Create, Details, Entry, Invitation, InviteLink, NewSecret,
    Permissions, UnsignedEntry, Who,
};

/// The chain of a group, as somebody knows it.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) thread: ThreadId,
    pub(crate) version: u64,
    pub(crate) head: [u8; 32],
}

impl Chain {
    /// A new group, and its first entry. Another number makes another group.
    pub(crate) fn create(author: Author, invited: &[UserId], number: u8) -> (Self, Entry) {
        Self::create_with(author, invited, number, &[1])
    }

    /// The same for an author with these devices.
    pub(crate) fn create_with(
        author: Author,
        invited: &[UserId],
        number: u8,
        devices: &[u8],
    ) -> (Self, Entry) {
        let mut invited: Vec<_> = invited.iter().map(|user| invitation(*user)).collect();
        invited.sort_by_key(|one| one.user);
        let create = Create {
            nonce: [number; 16],
            permissions: Permissions { write: Who::Members, add: Who::Members, details: Who::Admins },
            timer_s: 0,
            secret: secret(),
            invited,
        };
        let unsigned = UnsignedEntry::first(author, list(author.user, 1, devices), create);
        let entry = unsigned.with_signature(&[7; 64]).unwrap();
        (Self { thread: entry.thread(), version: 1, head: *entry.hash() }, entry)
    }

    /// The next entry, which is not part of the chain yet.
    pub(crate) fn next(&self, author: Author, change: Change) -> Entry {
        let is_new = match &change {
            Change::Accept | Change::Join { .. } | Change::Devices { .. } => true,
            Change::Withdraw(users) => users[..] == [author.user],
            _ => false,
        };
        let unsigned = UnsignedEntry {
            thread: self.thread,
            version: self.version + 1,
            previous: self.head,
            author,
            list: is_new.then(|| list(author.user, 1, &[1])),
            change,
        };
        unsigned.with_signature(&[8; 64]).unwrap()
    }

    /// The entry was accepted.
    pub(crate) fn take(&mut self, entry: &Entry) {
        assert_eq!(entry.version(), self.version + 1);
        (self.version, self.head) = (entry.version(), *entry.hash());
    }
}

/// The first device of a user.
pub(crate) fn by(user: UserId) -> Author {
    Author { user, device: DeviceId::PRIMARY }
}

pub(crate) fn invitation(user: UserId) -> Invitation {
    Invitation { user, account_key: account_key(user) }
}

pub(crate) fn remove(users: &[UserId]) -> Change {
    let mut users = users.to_vec();
    users.sort();
    Change::Remove { users, secret: secret() }
}

pub(crate) fn link(token_hash: [u8; 32]) -> Change {
    let mut public_key = [9; 33];
    public_key[0] = 5;
    Change::Link(Some(InviteLink { public_key, token_hash }))
}

fn secret() -> NewSecret {
    NewSecret { commitment: [3; 32], details: Details::new(vec![4; 40]).unwrap() }
}

fn account_key(user: UserId) -> AccountKey {
    let bytes = [&[5][..], user.as_bytes(), &[0; 16]].concat();
    AccountKey::from_slice(&bytes).unwrap()
}

fn list(user: UserId, version: u64, devices: &[u8]) -> AuthorList {
    let mut bytes = account_key(user).as_bytes().to_vec();
    bytes.extend(version.to_be_bytes());
    bytes.push(devices.len().try_into().unwrap());
    for device in devices {
        bytes.push(*device);
        bytes.extend([0; 1 + 33 + 8 + 64]);
    }
    bytes.extend([0; 64]);
    AuthorList::parse(&bytes).unwrap()
}
