//! Lists of a contact that a relay, or somebody with an old key, may show.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sealpost_protocol::IdentityKeyPair;
use sealpost_protocol::device::{AccountKeyPair, DeviceBinding, DeviceEntry, DeviceList, MoveProposal};
use tempfile::TempDir;

use super::*;
use crate::config::DatabaseKey;
use crate::event::{EventBus, EventReceiver};
use crate::store::{Device, Footprint, Registered, Store, Tokens, TrustState};

const BEN: UserId = UserId::from_bytes([2; 16]);
const CAM: UserId = UserId::from_bytes([3; 16]);

/// An account with its key, and the keys of its devices 1, 2, 3, ….
struct Account {
    key: AccountKeyPair,
    devices: Vec<IdentityKeyPair>,
}

impl Account {
    fn new(seed: u64, devices: u64) -> Self {
        let pair = |seed| IdentityKeyPair::generate(&mut StdRng::seed_from_u64(seed));
        let key = AccountKeyPair::generate(&mut StdRng::seed_from_u64(seed));
        Self { key, devices: (1..=devices).map(|n| pair(seed * 100 + n)).collect() }
    }

    /// An account from before device lists, whose key is the identity key of its first device.
    fn old(seed: u64) -> Self {
        let new = Self::new(seed, 1);
        let key = AccountKeyPair::from_bytes(&new.devices[0].to_bytes()).unwrap();
        Self { key, ..new }
    }

    fn identity(&self, number: u32) -> IdentityKey {
        *self.devices[number as usize - 1].public()
    }

    /// A signed list with these devices, the first of which is the primary one.
    fn list_of(&self, user: UserId, version: u64, numbers: &[u32]) -> Vec<u8> {
        let rng = &mut StdRng::seed_from_u64(version);
        let entries = numbers.iter().map(|number| {
            let device = sealpost_protocol::DeviceId::new(*number).unwrap();
            let pair = &self.devices[*number as usize - 1];
            let binding = DeviceBinding::sign(user.as_bytes(), device, pair, &self.key.public(), rng);
            let is_primary = *number == numbers[0];
            DeviceEntry { device, identity: *pair.public(), added_ms: 1, is_primary, binding }
        });
        let entries = entries.collect();
        let list = DeviceList::new(version, entries).unwrap();
        list.sign(user.as_bytes(), &self.key, rng).serialize()
    }

    fn list(&self, version: u64, numbers: &[u32]) -> Vec<u8> {
        self.list_of(BEN, version, numbers)
    }
}

struct Fixture {
    _dir: TempDir,
    store: Store,
    events: EventReceiver,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bus = EventBus::new();
        let key = DatabaseKey::new([9; 32]);
        let store = Store::open(dir.path().join("a.db"), key, bus.clone(), Footprint::Full).unwrap();
        Self { _dir: dir, store, events: bus.subscribe() }
    }

    /// The numbers of the devices that Ben has after this list was shown; none if it was refused.
    async fn shown(&self, list: Option<Vec<u8>>) -> Option<Vec<u32>> {
        let work = self.store.write(move |tx| {
            let examined = examine(tx, BEN, list.as_deref())?;
            let devices = match &examined.devices {
                Devices::Refused => None,
                Devices::First => Some(Vec::new()),
                Devices::Listed(list) => {
                    Some(list.devices().iter().map(|entry| entry.device.get()).collect())
                }
            };
            examined.store(tx, true)?;
            Ok(devices)
        });
        work.await.unwrap()
    }

    /// Stores a device, as after a bundle or a first message.
    async fn sees(&self, account: &Account, number: u32) {
        let (device, identity) = (DeviceId::new(number).unwrap(), account.identity(number));
        let device = Device { user: BEN, device, registration_id: 7, identity };
        self.store.write(move |tx| tx.see_devices(BEN, &[device])).await.unwrap();
    }

    async fn verifies(&self) {
        self.store.write(|tx| tx.set_trust(BEN, TrustState::Verified)).await.unwrap();
    }

    async fn trust(&self) -> Option<TrustState> {
        self.store.read(|rows| rows.trust(BEN)).await.unwrap()
    }

    /// The devices that can be sealed for.
    async fn live(&self) -> Vec<u32> {
        let devices = self.store.read(|rows| rows.devices(BEN)).await.unwrap();
        devices.iter().map(|device| device.device.get()).collect()
    }

    async fn admits(&self, (account, number): (&Account, u32), list: Option<Vec<u8>>) -> bool {
        let (device, identity) = (DeviceId::new(number).unwrap(), account.identity(number));
        let work =
            self.store.write(move |tx| Ok(admit(tx, BEN, (device, &identity), list.as_deref())?.is_admitted));
        work.await.unwrap()
    }

    /// The events about Ben so far, apart from those about threads.
    fn told(&mut self) -> Vec<Event> {
        let mut told = Vec::new();
        while let Some(Some(Ok(event))) = futures_util::FutureExt::now_or_never(self.events.next()) {
            told.push(event);
        }
        told
    }
}

#[tokio::test]
async fn the_first_list_is_pinned_and_only_a_later_one_of_the_same_key_replaces_it() {
    let mut fixture = Fixture::new();
    let ben = Account::new(1, 3);
    assert_eq!(fixture.shown(Some(ben.list(4, &[1, 2]))).await, Some(vec![1, 2]));
    assert_eq!(fixture.told(), [], "nothing was known before");
    // The same one, an older one, and none: what is known remains.
    for list in [Some(ben.list(4, &[1, 2])), Some(ben.list(3, &[1])), None] {
        assert_eq!(fixture.shown(list).await, Some(vec![1, 2]));
    }
    assert_eq!(fixture.told(), []);
    assert_eq!(fixture.shown(Some(ben.list(5, &[1, 3]))).await, Some(vec![1, 3]));
    assert_eq!(fixture.told(), [Event::DevicesChanged(BEN)]);
}

#[tokio::test]
async fn a_list_that_is_forged_or_forked_is_refused_and_reported() {
    let mut fixture = Fixture::new();
    let (ben, mallory) = (Account::new(1, 2), Account::new(2, 2));
    let first = ben.list(4, &[1]);
    fixture.shown(Some(first.clone())).await;
    let mut forged = ben.list(5, &[1, 2]);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    // With a device whose binding is that of another account, and with the account key of the victim.
    let mut added = mallory.list(5, &[1, 2]);
    added[..33].copy_from_slice(&ben.key.public().serialize());
    let refused = [
        forged,
        added,
        // Of another user, cut, empty, and another one with the known version.
        ben.list_of(CAM, 5, &[1, 2]),
        ben.list(5, &[1])[1..].to_vec(),
        Vec::new(),
        ben.list(4, &[1, 2]),
    ];
    for list in refused {
        assert_eq!(fixture.shown(Some(list)).await, None);
        assert_eq!(fixture.told(), [Event::DeviceListRefused(BEN)]);
    }
    assert_eq!(fixture.shown(None).await, Some(vec![1]), "the known list remains");
    assert_eq!(fixture.trust().await, Some(TrustState::FirstUse));
}

#[tokio::test]
async fn a_companion_does_not_affect_trust_and_nothing_is_sealed_for_one_that_was_removed() {
    let mut fixture = Fixture::new();
    let ben = Account::new(1, 2);
    fixture.shown(Some(ben.list(1, &[1]))).await;
    fixture.sees(&ben, 1).await;
    fixture.verifies().await;
    fixture.told();
    fixture.shown(Some(ben.list(2, &[1, 2]))).await;
    fixture.sees(&ben, 2).await;
    assert_eq!(fixture.told(), [Event::DevicesChanged(BEN)]);
    assert_eq!(fixture.live().await, [1, 2]);
    assert!(fixture.admits((&ben, 2), Some(ben.list(2, &[1, 2]))).await);
    fixture.shown(Some(ben.list(3, &[1]))).await;
    assert_eq!(fixture.told(), [Event::DevicesChanged(BEN)]);
    assert_eq!(fixture.trust().await, Some(TrustState::Verified));
    assert_eq!(fixture.live().await, [1]);
    // It shows the list on which it was.
    assert!(!fixture.admits((&ben, 2), Some(ben.list(2, &[1, 2]))).await);
    let (two, key) = (DeviceId::new(2).unwrap(), ben.identity(2));
    assert!(fixture.store.read(move |rows| rows.was_replaced(BEN, two, &key)).await.unwrap());
}

#[tokio::test]
async fn a_new_account_key_is_reported_ends_verification_and_drops_all_devices() {
    let mut fixture = Fixture::new();
    let (ben, again) = (Account::new(1, 2), Account::new(2, 1));
    fixture.shown(Some(ben.list(7, &[1, 2]))).await;
    fixture.sees(&ben, 1).await;
    fixture.sees(&ben, 2).await;
    fixture.verifies().await;
    fixture.told();
    // Its versions start anew.
    assert_eq!(fixture.shown(Some(again.list(1, &[1]))).await, Some(vec![1]));
    assert_eq!(fixture.told(), [Event::IdentityChanged(BEN)]);
    assert_eq!(fixture.trust().await, Some(TrustState::ChangedSinceVerified));
    assert_eq!(fixture.live().await, [0; 0]);
    // The old key is refused for ever, whatever the version, and so are its devices.
    assert_eq!(fixture.shown(Some(ben.list(99, &[1, 2]))).await, Some(vec![1]));
    assert_eq!(fixture.told(), [Event::DeviceListRefused(BEN)]);
    for (account, number, is_admitted) in [(&again, 1, true), (&ben, 1, false), (&ben, 2, false)] {
        assert_eq!(fixture.admits((account, number), None).await, is_admitted);
    }
}

#[tokio::test]
async fn an_account_from_before_has_its_first_device_until_it_shows_a_list() {
    let mut fixture = Fixture::new();
    let (ben, mallory) = (Account::old(1), Account::new(2, 2));
    assert_eq!(fixture.shown(None).await, Some(Vec::new()));
    assert!(fixture.admits((&ben, 1), None).await);
    assert!(!fixture.admits((&mallory, 2), None).await, "a further device is on a list");
    fixture.sees(&ben, 1).await;
    fixture.verifies().await;
    fixture.told();
    // Its list is signed by the key that was compared.
    assert_eq!(fixture.shown(Some(ben.list(1, &[1]))).await, Some(vec![1]));
    assert_eq!(fixture.told(), []);
    assert_eq!(fixture.trust().await, Some(TrustState::Verified));
    assert_eq!(fixture.live().await, [1]);
    // A list that is signed by any other key is another account key.
    assert_eq!(fixture.shown(Some(mallory.list(2, &[1]))).await, Some(vec![1]));
    assert_eq!(fixture.told(), [Event::IdentityChanged(BEN)]);
    assert_eq!(fixture.trust().await, Some(TrustState::ChangedSinceVerified));
    assert_eq!(fixture.shown(Some(ben.list(3, &[1]))).await, Some(vec![1]));
    assert!(!fixture.admits((&ben, 1), Some(ben.list(3, &[1]))).await);
}

#[tokio::test]
async fn a_first_list_that_was_late_is_vouched_for_by_the_device_that_is_known() {
    let mut fixture = Fixture::new();
    let (ben, mallory) = (Account::new(1, 2), Account::new(2, 2));
    fixture.sees(&ben, 1).await;
    fixture.verifies().await;
    fixture.told();
    assert_eq!(fixture.shown(Some(ben.list(1, &[1]))).await, Some(vec![1]));
    assert_eq!((fixture.told(), fixture.trust().await), (vec![], Some(TrustState::Verified)));
    assert_eq!(fixture.live().await, [1]);
    // A list that is signed by the key of the device itself would be older.
    let of_device = Account {
        key: AccountKeyPair::from_bytes(&ben.devices[0].to_bytes()).unwrap(),
        ..Account::new(1, 2)
    };
    assert_eq!(fixture.shown(Some(of_device.list(9, &[1, 2]))).await, Some(vec![1]));
    assert_eq!(fixture.told(), [Event::DeviceListRefused(BEN)]);
    // Later on, another account key is another account key, even with the same device.
    let again = Account { key: mallory.key, ..Account::new(1, 2) };
    assert_eq!(fixture.shown(Some(again.list(2, &[1]))).await, Some(vec![1]));
    assert_eq!(fixture.told(), [Event::IdentityChanged(BEN)]);
    assert_eq!(fixture.trust().await, Some(TrustState::ChangedSinceVerified));
}

#[tokio::test]
async fn a_device_with_another_key_than_on_the_list_is_not_admitted() {
    let mut fixture = Fixture::new();
    let (ben, mallory) = (Account::new(1, 1), Account::new(2, 1));
    // The list in the first message names its device, or another one.
    assert!(!fixture.admits((&mallory, 1), Some(ben.list(1, &[1]))).await);
    assert!(fixture.admits((&ben, 1), Some(ben.list(1, &[1]))).await);
    fixture.sees(&ben, 1).await;
    for list in [None, Some(ben.list(1, &[1])), Some(mallory.list_of(CAM, 2, &[1]))] {
        assert!(!fixture.admits((&mallory, 1), list).await);
    }
    assert_eq!(fixture.told(), [Event::DeviceListRefused(BEN)]);
}

#[tokio::test]
async fn no_list_of_another_account_key_becomes_our_own() {
    let fixture = Fixture::new();
    let (ours, other) = (Account::new(1, 3), Account::new(2, 3));
    let first = ours.list(1, &[1, 2]);
    let work = fixture.store.write(move |tx| {
        tx.insert_account(&IdentityKeyPair::generate(&mut rand::rng()), 7)?;
        let us = Registered { user: BEN, device: DeviceId::new(2).unwrap() };
        tx.set_registered(us, &Tokens::new("access".into(), 1, "refresh".into()))?;
        tx.set_device_list(BEN, &verified(BEN, &first).unwrap())
    });
    work.await.unwrap();
    // The relay makes up a list, or a device of ours.
    assert_eq!(fixture.shown(Some(other.list(9, &[1, 3]))).await, None);
    assert!(!fixture.admits((&other, 3), Some(other.list(9, &[1, 3]))).await);
    assert!(!fixture.admits((&ours, 3), None).await);
    // A later list of our account counts on a companion, and an older one changes nothing.
    assert!(fixture.admits((&ours, 3), Some(ours.list(2, &[1, 2, 3]))).await);
    assert_eq!(fixture.shown(Some(ours.list(1, &[1, 2]))).await, Some(vec![1, 2, 3]));
}

/// The list with which this account is moved from its first device to its second one, after one with this version; and the account then.
fn moved(ben: &Account, seed: u64, version: u64, numbers: &[u32]) -> (Vec<u8>, Account) {
    let rng = &mut StdRng::seed_from_u64(1_000 + seed);
    let known = verified(BEN, &ben.list(version, numbers)).unwrap();
    let to = sealpost_protocol::DeviceId::new(2).unwrap();
    let key = AccountKeyPair::generate(rng);
    let proposal = MoveProposal::sign(&known, BEN.as_bytes(), (to, &ben.devices[1]), &key, rng).unwrap();
    let list = proposal.accept(&known, BEN.as_bytes(), to, &ben.key, rng).unwrap();
    let pairs = ben.devices.iter().map(|pair| IdentityKeyPair::from_bytes(&pair.to_bytes()).unwrap());
    (list.serialize(), Account { key, devices: pairs.collect() })
}

#[tokio::test]
async fn a_moved_account_is_an_event_of_its_own_and_ends_verification_but_keeps_its_devices() {
    let mut fixture = Fixture::new();
    let ben = Account::new(1, 3);
    fixture.shown(Some(ben.list(4, &[1, 2, 3]))).await;
    for number in 1..=3 {
        fixture.sees(&ben, number).await;
    }
    fixture.verifies().await;
    fixture.told();
    let (list, after) = moved(&ben, 1, 4, &[1, 2, 3]);
    assert_eq!(fixture.shown(Some(list.clone())).await, Some(vec![1, 2, 3]));
    assert_eq!(fixture.told(), [Event::AccountMoved(BEN)]);
    assert_eq!(fixture.trust().await, Some(TrustState::ChangedSinceVerified));
    assert_eq!(fixture.live().await, [1, 2, 3], "their sessions go on");
    // Lists from before were on their way for long; the old key signs no further ones.
    for old in [ben.list(4, &[1, 2, 3]), ben.list(3, &[1])] {
        assert_eq!(fixture.shown(Some(old)).await, Some(vec![1, 2, 3]));
        assert_eq!(fixture.told(), []);
    }
    for forged in [ben.list(5, &[1, 3]), ben.list(99, &[1])] {
        assert_eq!(fixture.shown(Some(forged)).await, Some(vec![1, 2, 3]));
        assert_eq!(fixture.told(), [Event::DeviceListRefused(BEN)]);
    }
    // The same move again, and another one of the old key: that is no move from the key that is known.
    assert_eq!(fixture.shown(Some(list)).await, Some(vec![1, 2, 3]));
    assert_eq!(fixture.told(), []);
    let (other, _) = moved(&ben, 2, 6, &[1, 2]);
    fixture.shown(Some(other)).await;
    assert_eq!(fixture.told(), [Event::IdentityChanged(BEN)]);
    assert_eq!(fixture.shown(Some(after.list(99, &[2]))).await, Some(vec![1, 2]));
    assert_eq!(fixture.told(), [Event::DeviceListRefused(BEN)], "and its key is refused for ever");
}

#[tokio::test]
async fn an_account_from_before_lists_that_was_moved_is_recognised() {
    let mut fixture = Fixture::new();
    let ben = Account { devices: Account::new(1, 2).devices, ..Account::old(1) };
    fixture.sees(&ben, 1).await;
    fixture.verifies().await;
    fixture.told();
    assert_eq!(fixture.shown(Some(moved(&ben, 1, 4, &[1, 2]).0)).await, Some(vec![1, 2]));
    assert_eq!(fixture.told(), [Event::AccountMoved(BEN)]);
    assert_eq!(fixture.trust().await, Some(TrustState::ChangedSinceVerified));
    assert_eq!(fixture.live().await, [1]);
}

#[tokio::test]
async fn our_account_key_is_replaced_only_by_the_one_that_it_has_named() {
    let mut fixture = Fixture::new();
    let (ours, other) = (Account::new(1, 3), Account::new(2, 3));
    let first = ours.list(4, &[1, 2, 3]);
    let identity = IdentityKeyPair::from_bytes(&ours.devices[2].to_bytes()).unwrap();
    let work = fixture.store.write(move |tx| {
        tx.insert_account(&identity, 7)?;
        let us = Registered { user: BEN, device: DeviceId::new(3).unwrap() };
        tx.set_registered(us, &Tokens::new("access".into(), 1, "refresh".into()))?;
        tx.replace_own_list(us, &verified(BEN, &first).unwrap())
    });
    work.await.unwrap();
    fixture.told();
    // Another account has moved to a key that somebody wants to be ours.
    assert_eq!(fixture.shown(Some(moved(&other, 1, 9, &[1, 2, 3]).0)).await, None);
    assert_eq!(fixture.told(), [Event::DeviceListRefused(BEN)]);
    // The old key has signed more lists than it had when it was moved.
    assert_eq!(fixture.shown(Some(moved(&ours, 1, 3, &[1, 2, 3]).0)).await, None);
    assert_eq!(fixture.told(), [Event::DeviceListRefused(BEN)]);
    let (list, _) = moved(&ours, 1, 4, &[1, 2, 3]);
    assert_eq!(fixture.shown(Some(list)).await, Some(vec![1, 2, 3]));
    assert_eq!(fixture.told(), [Event::AccountMoved(BEN)]);
    assert!(!fixture.store.read(|rows| rows.holds_account_key()).await.unwrap());
    // From now on, only the new key counts, and what is shown from before changes nothing.
    assert_eq!(fixture.shown(Some(ours.list(9, &[1, 2, 3]))).await, None);
    assert_eq!(fixture.told(), [Event::DeviceListRefused(BEN)]);
    assert_eq!(fixture.shown(Some(ours.list(4, &[1, 2, 3]))).await, Some(vec![1, 2, 3]));
    assert_eq!(fixture.told(), []);
}

/// This device, with the number 3 or as the primary one with the number 1, knows a list of all three devices.
async fn knows_own_list(fixture: &Fixture, ours: &Account, number: u32) {
    let first = ours.list(4, &[1, 2, 3]);
    let identity = IdentityKeyPair::from_bytes(&ours.devices[number as usize - 1].to_bytes()).unwrap();
    let key = AccountKeyPair::from_bytes(&ours.key.to_bytes()).unwrap();
    let work = fixture.store.write(move |tx| {
        tx.insert_account(&identity, 7)?;
        let us = Registered { user: BEN, device: DeviceId::new(number).unwrap() };
        tx.set_registered(us, &Tokens::new("access".into(), 1, "refresh".into()))?;
        if tx.holds_account_key()? {
            tx.set_account_key(&key)?;
        }
        tx.replace_own_list(us, &verified(BEN, &first).unwrap())
    });
    work.await.unwrap();
}

#[tokio::test]
async fn a_companion_that_is_not_on_a_later_list_was_removed_whoever_shows_it() {
    let ours = Account::new(1, 3);
    let pairs = |numbers: &[usize]| -> Vec<_> {
        numbers
            .iter()
            .map(|n| IdentityKeyPair::from_bytes(&ours.devices[n - 1].to_bytes()).unwrap())
            .collect()
    };
    let key = AccountKeyPair::from_bytes(&ours.key.to_bytes()).unwrap();
    // Its number is that of another device.
    let other =
        Account { key, devices: pairs(&[1, 2]).into_iter().chain(Account::new(2, 1).devices).collect() };
    let (moved, _) = moved(
        &Account { key: AccountKeyPair::from_bytes(&ours.key.to_bytes()).unwrap(), devices: pairs(&[1, 2]) },
        1,
        4,
        &[1, 2],
    );
    for (list, is_unlinked) in [
        (ours.list(3, &[1, 2]), false),
        (ours.list(5, &[1, 3]), false),
        (ours.list(5, &[1, 2]), true),
        (other.list(5, &[1, 2, 3]), true),
        (moved, true),
    ] {
        let mut fixture = Fixture::new();
        knows_own_list(&fixture, &ours, 3).await;
        fixture.told();
        // Another device of ours shows it in a content.
        assert!(fixture.admits((&ours, 1), Some(list)).await);
        let unlinked = fixture.store.read(|rows| rows.is_unlinked()).await.unwrap();
        assert_eq!(unlinked, is_unlinked);
        let told = fixture.told().contains(&Event::DeviceUnlinked(DeviceId::new(3).unwrap()));
        assert_eq!(told, is_unlinked);
    }
}

#[tokio::test]
async fn the_device_that_signs_the_lists_is_not_removed_by_one() {
    let (mut fixture, ours) = (Fixture::new(), Account::new(1, 3));
    knows_own_list(&fixture, &ours, 1).await;
    fixture.told();
    fixture.admits((&ours, 2), Some(ours.list(5, &[2, 3]))).await;
    assert!(!fixture.store.read(|rows| rows.is_unlinked()).await.unwrap());
    let known = fixture.store.read(|rows| rows.device_list(BEN)).await.unwrap().unwrap();
    assert_eq!((known.version(), fixture.told()), (4, vec![]));
}
