//! Tests of entries in a database, shown by a relay in every way.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use sealpost_protocol::IdentityKeyPair;
use sealpost_protocol::group::SenderKeyRecord;
use sealpost_wire::roster::{Change, Role, Roster};
use tempfile::TempDir;

use super::*;
use crate::config::DatabaseKey;
use crate::event::{EventBus, EventReceiver};
use crate::group::people::{Person, Signing, secret, user};
use crate::id::DeviceId;
use crate::store::{ChainIn, Device, Footprint, Registered, Rows, Store, Tokens};

const AT: EntryPlace = EntryPlace { epoch: 1, server_seq: 0, now_ms: 5 };

/// A device of somebody, and what the members have signed.
struct World {
    store: Store,
    events: EventReceiver,
    people: [Person; 3],
    group: Signing,
    _dir: TempDir,
}

fn digest(entry: &Entry) -> [u8; 16] {
    *entry.hash().first_chunk().unwrap()
}

impl World {
    /// A group of three, of which the device has nothing.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bus = EventBus::new();
        let events = bus.subscribe();
        let key = DatabaseKey::new([9; 32]);
        let store = Store::open(dir.path().join("a.db"), key, bus, Footprint::Full).unwrap();
        let people = [1, 2, 3].map(|number| Person::new(number, 1));
        let [ada, ben, cleo] = &people;
        let mut group = Signing::created_by(ada, &[ben, cleo]);
        for invited in [ben, cleo] {
            assert_eq!(group.says(invited, 1, Change::Accept), Outcome::Valid);
        }
        Self { store, events, people, group, _dir: dir }
    }

    fn thread(&self) -> ThreadId {
        self.group.roster.state().thread
    }

    async fn take(&self, entries: &[Vec<u8>]) -> Vec<Taken> {
        let (thread, entries) = (self.thread(), entries.to_vec());
        let work = self.store.write(move |tx| {
            let mut follower = Follower::of(tx, thread)?;
            let taken = entries.iter().map(|entry| follower.take(tx, entry, AT));
            let taken = taken.collect::<Result<_>>()?;
            assert_eq!(follower.roster, tx.roster(thread)?, "what is stored is what is known");
            Ok(taken)
        });
        work.await.unwrap()
    }

    async fn take_all(&self) -> Vec<Taken> {
        let entries: Vec<_> = self.group.entries.iter().map(|entry| entry.as_bytes().to_vec()).collect();
        self.take(&entries).await
    }

    async fn take_last(&self) -> Taken {
        self.take(&[self.group.entries.last().unwrap().as_bytes().to_vec()]).await[0]
    }

    async fn roster(&self) -> Option<Roster> {
        let thread = self.thread();
        self.store.read(move |rows| rows.roster(thread)).await.unwrap()
    }

    async fn is_contradicted(&self) -> bool {
        let thread = self.thread();
        self.store.read(move |rows| rows.is_roster_contradicted(thread)).await.unwrap()
    }

    async fn compare(&self, author: u8, version: u64, digest: [u8; 16]) -> bool {
        let thread = self.thread();
        let work = self.store.write(move |tx| compare(tx, (thread, user(author)), (version, &digest)));
        work.await.unwrap()
    }

    fn told(&mut self) -> Vec<Event> {
        let mut told = Vec::new();
        while let Some(Some(Ok(event))) = futures_util::FutureExt::now_or_never(self.events.next()) {
            told.push(event);
        }
        told.retain(|event| matches!(event, Event::EntryRefused { .. } | Event::RosterContradicted(_)));
        told
    }
}

#[tokio::test]
async fn a_chain_is_stored_as_it_was_signed_one_by_one_or_at_once() {
    let mut world = World::new();
    assert_eq!(world.take_all().await, [Taken::Next; 3]);
    assert_eq!(world.roster().await.unwrap(), world.group.roster);
    let [ada, ben, cleo] = &world.people;
    let remove = Change::Remove { users: vec![user(3)], secret: secret(2) };
    for (author, change) in [
        (ada, Change::Role { user: user(2), role: Role::Admin }),
        (ben, Change::Timer(60)),
        (ben, remove),
        (ada, Change::Invite(vec![cleo.invitation()])),
        (ada, Change::Withdraw(vec![user(3)])),
        (ben, Change::Leave),
        (ada, Change::Rekey(secret(3))),
        (ada, Change::Dissolve),
    ] {
        assert_eq!(world.group.says(author, 1, change), Outcome::Valid);
        let last = world.group.entries.last().unwrap().as_bytes().to_vec();
        assert_eq!(world.take(&[last]).await, [Taken::Next]);
        assert_eq!(world.roster().await.unwrap(), world.group.roster);
    }
    assert_eq!(world.take_all().await, vec![Taken::Known; world.group.entries.len()]);
    assert_eq!(world.told(), []);
}

#[tokio::test]
async fn an_entry_that_comes_early_waits_for_the_chain() {
    let world = World::new();
    assert_eq!(world.take_last().await, Taken::Early);
    assert!(world.roster().await.is_none());
    assert_eq!(world.take(&[world.group.entries[0].as_bytes().to_vec()]).await, [Taken::Next]);
    assert_eq!(world.take_last().await, Taken::Early);
    assert_eq!(world.take_all().await, [Taken::Known, Taken::Next, Taken::Next]);
}

#[tokio::test]
async fn a_change_touches_the_rows_that_it_is_about() {
    let mut world = World::new();
    world.take_all().await;
    assert_eq!(world.group.says(&world.people[0], 1, Change::Timer(9)), Outcome::Valid);
    let (thread, entry) = (world.thread(), world.group.entries.last().unwrap().as_bytes().to_vec());
    let count = world.store.write(move |tx| {
        let before = tx.rows_changed();
        Follower::of(tx, thread)?.take(tx, &entry, AT)?;
        Ok(tx.rows_changed() - before)
    });
    // The entry, the thread, the state, and the author's row and list.
    assert!(count.await.unwrap() <= 5);
}

#[tokio::test]
async fn a_later_list_of_a_member_in_the_chain_replaces_the_known_one() {
    let World { store, people: [_, mut ben, cleo], mut group, _dir, .. } = World::new();
    let (first, thread) = (ben.list(), group.roster.state().thread);
    let device = DeviceId::new(2).unwrap();
    store.write(move |tx| tx.set_device_list(user(2), &first)).await.unwrap();
    let known = async || {
        let read = |rows: &Rows<'_>| Ok([2, 3].map(|number| rows.device_list(user(number)).unwrap()));
        let [ben, cleo] = store.read(read).await.unwrap();
        assert!(cleo.is_none(), "Cleo was never met");
        ben.unwrap().version()
    };
    let take = async |group: &Signing| {
        let entries: Vec<_> = group.entries.iter().map(|entry| entry.as_bytes().to_vec()).collect();
        let work = store.write(move |tx| {
            let mut follower = Follower::of(tx, thread)?;
            entries.iter().try_for_each(|entry| follower.take(tx, entry, AT).map(drop))?;
            Ok(follower.into_removed())
        });
        work.await.unwrap()
    };
    assert_eq!((take(&group).await, known().await), (vec![], ben.list().version()));
    let before = ben.list();
    ben.link(2);
    assert_eq!(group.says(&ben, 1, Change::Devices { is_removal: false }), Outcome::Valid);
    assert_eq!((take(&group).await, known().await), (vec![], ben.list().version()));
    // The second device was met, and is removed by a list that comes with an entry.
    let identity = *ben.identity(2).public();
    let met = Device { user: user(2), device, registration_id: 7, identity };
    store.write(move |tx| tx.see_devices(user(2), &[met])).await.unwrap();
    ben.unlink(2);
    assert_eq!(group.says(&ben, 1, Change::Devices { is_removal: true }), Outcome::Valid);
    assert_eq!((take(&group).await, known().await), (vec![(user(2), device)], ben.list().version()));
    assert!(!store.read(move |rows| rows.is_live(user(2), device, &identity)).await.unwrap());
    // What is known otherwise may be later than the chain, or of another account key.
    let later = ben.clone_with_version(9).list();
    store.write(move |tx| tx.set_device_list(user(2), &later)).await.unwrap();
    assert_eq!(group.says(&ben, 1, Change::Timer(9)), Outcome::Valid);
    take(&group).await;
    assert_eq!(known().await, 9);
    assert!(before.version() < 9 && cleo.has(1));
}

/// Ben's list comes before the entry that says the same, or without it.
#[tokio::test]
async fn a_device_that_is_removed_without_an_entry_ends_our_chain_and_its_own() {
    let mut world = World::new();
    world.take_all().await;
    let thread = world.thread();
    let World { store, people: [ada, ben, _], .. } = &mut world;
    let (ours, device) = (IdentityKeyPair::generate(&mut rand::rng()), DeviceId::new(2).unwrap());
    store
        .write(move |tx| {
            tx.insert_account(&ours, 7)?;
            let us = Registered { user: user(1), device: DeviceId::new(9).unwrap() };
            tx.set_registered(us, &Tokens::new("access".into(), 1, "refresh".into()))
        })
        .await
        .unwrap();
    let learns = async |ben: &Person| {
        let list = ben.list();
        let work = store.write(move |tx| {
            let known = tx.device_list(user(2))?;
            tx.adopt_list(user(2), known.as_ref(), &list)
        });
        work.await.unwrap()
    };
    let distribution = sealpost_protocol::DistributionId::new([1; 16]);
    let begins = async || {
        let work = store.write(move |tx| {
            let record = SenderKeyRecord::empty(distribution).create_distribution(&mut rand::rng()).next;
            tx.begin_chain(thread, &record, 1, 5)?;
            tx.set_chain_checked(thread)
        });
        work.await.unwrap();
    };
    let is_checked = async || {
        let read = store.read(move |rows| Ok(rows.chain_out(thread)?.map(|chain| chain.is_checked)));
        read.await.unwrap()
    };
    learns(ben).await;
    begins().await;
    ben.link(2);
    learns(ben).await;
    assert_eq!(is_checked().await, Some(false), "the new device lacks it");
    let identity = *ben.identity(2).public();
    let theirs = Device { user: user(2), device, registration_id: 7, identity };
    let work = store.write(move |tx| {
        tx.see_devices(user(2), std::slice::from_ref(&theirs))?;
        tx.set_holders(thread, [&theirs])?;
        let record = SenderKeyRecord::empty(distribution).create_distribution(&mut rand::rng()).next;
        let chain = ChainIn { record, identity, removal_version: 1 };
        tx.put_chain_in((thread, user(2), device), &chain, 5)
    });
    work.await.unwrap();
    ben.unlink(2);
    assert_eq!(learns(ben).await, [device]);
    assert_eq!(is_checked().await, None, "another chain begins");
    let left = store
        .read(move |rows| {
            Ok((rows.chain_holders(thread)?, rows.chain_in((thread, user(2), device), distribution)?))
        })
        .await
        .unwrap();
    assert!(left.0.is_empty() && left.1.is_none());
    // A device that never had it takes nothing away.
    begins().await;
    ben.link(3);
    learns(ben).await;
    ben.unlink(3);
    learns(ben).await;
    assert_eq!(is_checked().await, Some(false));
    assert!(ada.has(1));
}

/// Ben's device begins with the chain, in which there are places from before he was a member.
#[tokio::test]
async fn nothing_from_before_one_has_joined_is_missing() {
    let world = World::new();
    let us = Registered { user: user(2), device: DeviceId::PRIMARY };
    let work = world.store.write(move |tx| {
        tx.insert_account(&IdentityKeyPair::generate(&mut rand::rng()), 7)?;
        tx.set_registered(us, &Tokens::new("access".into(), 1, "refresh".into()))
    });
    work.await.unwrap();
    let (thread, entries) = (world.thread(), world.group.entries.clone());
    let work = world.store.write(move |tx| {
        let mut follower = Follower::of(tx, thread)?;
        for (entry, server_seq) in entries.iter().zip([3, 8, 12]) {
            let place = EntryPlace { epoch: 2, server_seq, now_ms: 5 };
            assert_eq!(follower.take(tx, entry.as_bytes(), place)?, Taken::Next);
        }
        let is_seen = |seq| tx.is_accounted_for(thread, 2, seq);
        Ok([is_seen(3)?, is_seen(7)?, is_seen(8)?, is_seen(9)?, is_seen(12)?])
    });
    assert_eq!(work.await.unwrap(), [true, true, true, false, true]);
}

#[tokio::test]
async fn an_entry_without_effect_is_told_and_the_chain_goes_on() {
    let mut world = World::new();
    world.take_all().await;
    let ben = &world.people[1];
    assert!(matches!(world.group.says(ben, 1, Change::Dissolve), Outcome::Invalid(_)));
    assert_eq!(world.take_last().await, Taken::Next);
    let refused = Event::EntryRefused { thread: world.thread(), user: user(2) };
    assert_eq!(world.told(), [refused]);
    assert_eq!(world.group.says(&world.people[0], 1, Change::Timer(9)), Outcome::Valid);
    assert_eq!(world.take_last().await, Taken::Next);
    assert_eq!(world.roster().await.unwrap(), world.group.roster);
    assert!(!world.is_contradicted().await);
}

#[tokio::test]
async fn a_fork_is_refused_and_told_once_until_the_chain_goes_on() {
    let mut world = World::new();
    world.take_all().await;
    let mut fork = world.group.clone();
    assert_eq!(fork.says(&world.people[0], 1, Change::Timer(1)), Outcome::Valid);
    assert_eq!(world.group.says(&world.people[0], 1, Change::Timer(2)), Outcome::Valid);
    assert_eq!(world.take_last().await, Taken::Next);
    assert_eq!(fork.says(&world.people[0], 1, Change::Timer(3)), Outcome::Valid);
    let forked: Vec<_> = fork.entries[3..].iter().map(|entry| entry.as_bytes().to_vec()).collect();
    assert_eq!(world.take(&forked).await, [Taken::Refused; 2]);
    assert_eq!(world.take(&[vec![7; 300]]).await, [Taken::Refused], "and so is anything else");
    assert_eq!(world.told(), [Event::RosterContradicted(world.thread())]);
    assert!(world.is_contradicted().await);
    assert_eq!(world.roster().await.unwrap(), world.group.roster);
    assert_eq!(world.group.says(&world.people[0], 1, Change::Timer(4)), Outcome::Valid);
    assert_eq!(world.take_last().await, Taken::Next);
    assert!(!world.is_contradicted().await);
}

#[tokio::test]
async fn an_entry_of_another_group_is_refused() {
    let world = World::new();
    world.take_all().await;
    let mut other = Signing::created_by(&world.people[0], &[]);
    assert_eq!(other.says(&world.people[0], 1, Change::Timer(1)), Outcome::Valid);
    let entries: Vec<_> = other.entries.iter().map(|entry| entry.as_bytes().to_vec()).collect();
    assert_eq!(world.take(&entries).await, [Taken::Refused; 2]);
    assert_eq!(world.roster().await.unwrap(), world.group.roster);
}

#[tokio::test]
async fn a_member_who_was_shown_another_roster_stops_sending_until_it_is_explained() {
    let mut world = World::new();
    assert!(world.compare(2, 1, [0; 16]).await, "nothing is known yet");
    world.take_all().await;
    let hash = digest(&world.group.entries[2]);
    assert!(!world.compare(2, 3, hash).await);
    assert!(world.compare(2, 4, [1; 16]).await, "there are later entries");
    assert!(!world.is_contradicted().await);
    assert!(!world.compare(2, 3, [1; 16]).await);
    assert!(world.is_contradicted().await);
    // What somebody else names does not explain it.
    assert!(!world.compare(3, 3, hash).await);
    assert!(world.is_contradicted().await);
    assert!(!world.compare(2, 3, hash).await);
    assert!(!world.is_contradicted().await);
    // An admin can end it: otherwise each member could stop the group for ever.
    assert!(!world.compare(2, 2, [1; 16]).await);
    let remove = Change::Remove { users: vec![user(2)], secret: secret(2) };
    assert_eq!(world.group.says(&world.people[0], 1, remove), Outcome::Valid);
    assert_eq!(world.take_last().await, Taken::Next);
    assert!(!world.is_contradicted().await);
    assert_eq!(world.told(), vec![Event::RosterContradicted(world.thread()); 2]);
}
