//! People with keys, who sign entries, for tests.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::collections::BTreeMap;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sealpost_protocol::device::{AccountKeyPair, DeviceBinding, DeviceEntry, DeviceList, VerifiedDeviceList};
use sealpost_protocol::group::EntrySignature;
use sealpost_protocol::{DeviceId as ProtocolDevice, IdentityKeyPair};
use sealpost_wire::roster::{
    Author, Change, Create, Details, Entry, Invitation, NewSecret, Permissions, Roster, UnsignedEntry, Who,
};

use super::form::{carried, named};
use super::validity::{Judged, Outcome, begin, judge};
use crate::id::{DeviceId, UserId};

pub(super) fn user(number: u8) -> UserId {
    UserId::from_bytes([number; 16])
}

fn device(number: u32) -> DeviceId {
    DeviceId::new(number).unwrap()
}

pub(super) struct Person {
    number: u8,
    seed: u64,
    account: AccountKeyPair,
    version: u64,
    devices: BTreeMap<u32, (IdentityKeyPair, DeviceEntry)>,
    rng: StdRng,
}

impl Person {
    /// Somebody with this many devices. The same number has the same keys.
    pub(super) fn new(number: u8, devices: u32) -> Self {
        let seed = u64::from(number);
        let mut rng = StdRng::seed_from_u64(seed);
        let account = AccountKeyPair::generate(&mut rng);
        let mut person = Self { number, seed, account, version: 0, devices: BTreeMap::new(), rng };
        (1..=devices).for_each(|device| person.put(device));
        person.version = 1;
        person
    }

    /// The same keys under the number of somebody else.
    pub(super) fn named(self, number: u8) -> Self {
        let mut other = Self { number, devices: BTreeMap::new(), ..self };
        other.put(1);
        other
    }

    pub(super) fn user(&self) -> UserId {
        user(self.number)
    }

    fn put(&mut self, number: u32) {
        let identity = IdentityKeyPair::generate(&mut self.rng);
        let id = ProtocolDevice::new(number).unwrap();
        let (user, account) = (self.user(), self.account.public());
        let binding = DeviceBinding::sign(user.as_bytes(), id, &identity, &account, &mut self.rng);
        let is_primary = number == 1;
        let entry =
            DeviceEntry { device: id, identity: *identity.public(), added_ms: 0, is_primary, binding };
        self.devices.insert(number, (identity, entry));
    }

    pub(super) fn link(&mut self, number: u32) {
        self.put(number);
        self.version += 1;
    }

    pub(super) fn unlink(&mut self, number: u32) {
        self.devices.remove(&number);
        self.version += 1;
    }

    /// The device gets another key, which an honest device does not.
    pub(super) fn replace(&mut self, number: u32) {
        self.link(number);
    }

    /// The same account key and first device, without the others.
    pub(super) fn clone_with_version(&self, version: u64) -> Self {
        let mut twin = Self::new(u8::try_from(self.seed).unwrap(), 1);
        twin.version = version;
        for (number, (pair, entry)) in &self.devices {
            let pair = IdentityKeyPair::from_bytes(&pair.to_bytes()).unwrap();
            twin.devices.insert(*number, (pair, *entry));
        }
        twin
    }

    pub(super) fn link_at_version(&mut self, number: u32, version: u64) {
        self.put(number);
        self.version = version;
    }

    pub(super) fn has(&self, number: u32) -> bool {
        self.devices.contains_key(&number)
    }

    pub(super) fn identity(&self, device: u32) -> &IdentityKeyPair {
        &self.devices[&device].0
    }

    pub(super) fn list(&self) -> VerifiedDeviceList {
        let entries = self.devices.values().map(|(_, entry)| *entry).collect();
        let list = DeviceList::new(self.version, entries).unwrap();
        let user = self.user();
        let mut rng = StdRng::seed_from_u64(self.version);
        list.sign(user.as_bytes(), &self.account, &mut rng).verify(user.as_bytes()).unwrap()
    }

    pub(super) fn invitation(&self) -> Invitation {
        Invitation { user: self.user(), account_key: named(&self.account.public()).unwrap() }
    }
}

pub(super) fn secret(byte: u8) -> NewSecret {
    NewSecret { commitment: [byte; 32], details: Details::new(vec![byte; 20]).unwrap() }
}

/// A device of somebody that follows a chain.
#[derive(Clone)]
pub(super) struct Signing {
    pub(super) roster: Roster,
    pub(super) lists: BTreeMap<UserId, Vec<u8>>,
    pub(super) entries: Vec<Entry>,
}

impl Signing {
    pub(super) fn first_entry(creator: &Person, invited: &[&Person], by: &IdentityKeyPair) -> Entry {
        let permissions = Permissions { write: Who::Members, add: Who::Members, details: Who::Members };
        let mut invited: Vec<Invitation> = invited.iter().map(|person| person.invitation()).collect();
        invited.sort_by_key(|invitation| invitation.user);
        let create = Create { nonce: [1; 16], permissions, timer_s: 0, secret: secret(1), invited };
        let author = Author { user: creator.user(), device: device(1) };
        let unsigned = UnsignedEntry::first(author, carried(&creator.list()).unwrap(), create);
        sign(&unsigned, by)
    }

    pub(super) fn created_by(creator: &Person, invited: &[&Person]) -> Self {
        Self::beginning(&Self::first_entry(creator, invited, creator.identity(1)))
    }

    pub(super) fn beginning(first: &Entry) -> Self {
        let (roster, judged) = begin(first).unwrap();
        let mut group = Self { roster, lists: BTreeMap::new(), entries: vec![first.clone()] };
        group.keep(first, &judged);
        group
    }

    /// What a newcomer makes of the whole chain.
    pub(super) fn as_a_newcomer(&self) -> Self {
        let mut newcomer = Self::beginning(&self.entries[0]);
        for entry in &self.entries[1..] {
            newcomer.add(&Entry::parse(entry.as_bytes()).unwrap());
        }
        newcomer
    }

    fn unsigned(&self, person: &Person, number: u32, change: Change) -> UnsignedEntry {
        let state = self.roster.state();
        UnsignedEntry {
            thread: state.thread,
            version: state.version + 1,
            previous: state.head,
            author: Author { user: person.user(), device: device(number) },
            list: carried(&person.list()),
            change,
        }
    }

    pub(super) fn signed(&self, unsigned: &UnsignedEntry, by: &IdentityKeyPair) -> Entry {
        sign(unsigned, by)
    }

    pub(super) fn sign(&self, person: &Person, number: u32, change: Change, by: &IdentityKeyPair) -> Entry {
        sign(&self.unsigned(person, number, change), by)
    }

    pub(super) fn sign_without_list(
        &self,
        person: &Person,
        number: u32,
        change: Change,
        by: &IdentityKeyPair,
    ) -> Entry {
        sign(&UnsignedEntry { list: None, ..self.unsigned(person, number, change) }, by)
    }

    pub(super) fn says(&mut self, person: &Person, number: u32, change: Change) -> Outcome {
        let entry = self.sign(person, number, change, person.identity(number));
        self.add(&entry)
    }

    pub(super) fn judge(&self, entry: &Entry) -> Result<Judged, sealpost_wire::roster::ChainError> {
        let known = self.lists.get(&entry.content().author.user).map(Vec::as_slice);
        judge(&self.roster, known, entry)
    }

    pub(super) fn add(&mut self, entry: &Entry) -> Outcome {
        let judged = self.judge(entry).unwrap();
        self.roster = self.roster.clone().take(&judged.effect);
        self.keep(entry, &judged);
        self.entries.push(entry.clone());
        judged.outcome
    }

    fn keep(&mut self, entry: &Entry, judged: &Judged) {
        for (user, member) in &judged.effect.members {
            if member.is_none_or(|member| member.list_version == 0) {
                self.lists.remove(user);
            }
        }
        if let Some(list) = &judged.list {
            self.lists.insert(entry.content().author.user, list.clone());
        }
    }
}

fn sign(unsigned: &UnsignedEntry, by: &IdentityKeyPair) -> Entry {
    let signature = EntrySignature::sign(&unsigned.to_bytes(), by, &mut rand::rng());
    unsigned.with_signature(signature.as_bytes()).unwrap()
}
