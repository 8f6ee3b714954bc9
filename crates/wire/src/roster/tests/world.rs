//! People who make entries. Signatures are bytes without meaning.

use super::super::*;
use crate::id::{DeviceId, UserId};

pub(super) const OPEN: Permissions =
    Permissions { write: Who::Members, add: Who::Members, details: Who::Members };
pub(super) const ADA: u8 = 1;
pub(super) const BEN: u8 = 2;
pub(super) const CLEO: u8 = 3;

pub(super) fn user(number: u8) -> UserId {
    UserId::from_bytes([number; 16])
}

/// The user with this number, in ascending order.
pub(super) fn nth(number: u16) -> UserId {
    let mut id = [9; 16];
    id[..2].copy_from_slice(&(number.checked_add(0x4000).unwrap()).to_be_bytes());
    UserId::from_bytes(id)
}

pub(super) fn device(number: u8) -> DeviceId {
    DeviceId::new(u32::from(number)).unwrap()
}

pub(super) fn key(byte: u8) -> AccountKey {
    AccountKey::from_slice(&[&[5][..], &[byte; 32]].concat()).unwrap()
}

/// The account key that a user has by default.
pub(super) fn key_of(user: UserId) -> AccountKey {
    key(user.as_bytes()[0])
}

pub(super) fn list_of(
    account: AccountKey,
    version: u64,
    devices: &[u8],
    moved_from: &[AccountKey],
) -> AuthorList {
    AuthorList::parse(&list_bytes(account, version, devices, moved_from)).unwrap()
}

pub(super) fn list_bytes(
    account: AccountKey,
    version: u64,
    devices: &[u8],
    moved_from: &[AccountKey],
) -> Vec<u8> {
    let mut bytes = [&account.as_bytes()[..], &version.to_be_bytes()].concat();
    bytes.push(u8::try_from(devices.len()).unwrap());
    for device in devices {
        bytes.push(*device);
        bytes.extend([7; 106]);
    }
    bytes.extend([8; 64]);
    for earlier in moved_from {
        bytes.extend(earlier.as_bytes());
        bytes.extend([6; 72]);
    }
    bytes
}

pub(super) fn secret(byte: u8) -> NewSecret {
    NewSecret { commitment: [byte; 32], details: Details::new(vec![byte; 40]).unwrap() }
}

pub(super) fn invitation(user: UserId) -> Invitation {
    Invitation { user, account_key: key_of(user) }
}

pub(super) fn creation(invited: Vec<Invitation>) -> Create {
    Create { nonce: [3; 16], permissions: OPEN, timer_s: 0, secret: secret(1), invited }
}

pub(super) fn sign(entry: &UnsignedEntry) -> Entry {
    entry.with_signature(&[4; 64]).unwrap()
}

pub(super) fn first(author: u8, invited: &[u8]) -> Entry {
    let invited = invited.iter().map(|number| invitation(user(*number))).collect();
    let author = Author { user: user(author), device: device(1) };
    sign(&UnsignedEntry::first(author, list_of(key_of(author.user), 1, &[1], &[]), creation(invited)))
}

pub(super) fn unsigned(
    roster: &Roster,
    author: Author,
    list: Option<AuthorList>,
    change: Change,
) -> UnsignedEntry {
    let state = roster.state();
    UnsignedEntry {
        thread: state.thread,
        version: state.version.checked_add(1).unwrap(),
        previous: state.head,
        author,
        list,
        change,
    }
}

/// A group with its history.
#[derive(Clone)]
pub(super) struct Group {
    pub(super) roster: Roster,
    pub(super) entries: Vec<Entry>,
}

impl Group {
    /// Ada has made it, and has invited these people.
    pub(super) fn of(invited: &[u8]) -> Self {
        let entry = first(ADA, invited);
        let (roster, _) = Roster::create(&entry).unwrap();
        Self { roster, entries: vec![entry] }
    }

    /// The same, and they have accepted.
    pub(super) fn with(members: &[u8]) -> Self {
        let mut group = Self::of(members);
        for member in members {
            group.accept(user(*member)).unwrap();
        }
        group
    }

    /// An entry of the first device of a user, which carries no list.
    pub(super) fn says(&mut self, author: u8, change: Change) -> Result<Effect, Refusal> {
        self.signs(user(author), None, change)
    }

    pub(super) fn accept(&mut self, author: UserId) -> Result<Effect, Refusal> {
        self.signs(author, Some(list_of(key_of(author), 1, &[1], &[])), Change::Accept)
    }

    pub(super) fn signs(
        &mut self,
        user: UserId,
        list: Option<AuthorList>,
        change: Change,
    ) -> Result<Effect, Refusal> {
        self.signs_with(Author { user, device: device(1) }, list, change)
    }

    pub(super) fn signs_with(
        &mut self,
        author: Author,
        list: Option<AuthorList>,
        change: Change,
    ) -> Result<Effect, Refusal> {
        let entry = sign(&unsigned(&self.roster, author, list, change));
        let effect = self.roster.judge(&entry)?;
        self.roster = self.roster.clone().take(&effect);
        self.entries.push(entry);
        Ok(effect)
    }

    pub(super) fn role(&self, number: u8) -> Option<Role> {
        self.roster.member(user(number)).map(|member| member.role)
    }

    pub(super) fn promote(&mut self, number: u8) {
        self.says(ADA, Change::Role { user: user(number), role: Role::Admin }).unwrap();
    }
}
