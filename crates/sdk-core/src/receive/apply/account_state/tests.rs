//! Five devices of one account, each with its database, which tell each other what the person does on them.

#![allow(clippy::arithmetic_side_effects, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bytes::Bytes;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sealpost_protocol::IdentityKeyPair;
use sealpost_protocol::device::{AccountKeyPair, DeviceBinding, DeviceEntry, DeviceList};
use sealpost_wire as wire;
use sealpost_wire::id::ToWire as _;

use super::super::{apply, apply_mail};
use crate::config::{ChangeLimits, DatabaseKey};
use crate::content::{AccountState, Body, Content, Header, Profile, Stamp, StateKey, StateValue, Timer};
use crate::error::{Error, Result};
use crate::event::EventBus;
use crate::id::{ClientMsgId, DeviceId, MessageId, ThreadId, UserId};
use crate::message::Direction;
use crate::receive::envelope::{Envelope, MailEnvelope};
use crate::store::{
    Device, DueMail, Footprint, MailId, MailOutcome, NewMail, Parcel, PrivacySetting, Registered, Rows,
    STATE_SLOT, StateCursor, Store, Thread, Tokens, TrustState, Tx, note_to_self,
};
use crate::transport::EnvelopeId;

const US: UserId = UserId::from_bytes([1; 16]);
const PEER: UserId = UserId::from_bytes([2; 16]);
const OTHER: UserId = UserId::from_bytes([4; 16]);
/// Only the first device has it at the beginning.
const THREAD: ThreadId = ThreadId::from_bytes([3; 16]);
/// All devices have it.
const OLD_THREAD: ThreadId = ThreadId::from_bytes([5; 16]);
const DAY_MS: u64 = 24 * 3_600 * 1_000;
const START_MS: u64 = 100 * DAY_MS;
/// The clocks of the devices, less the relay's.
const CLOCKS: [i64; 5] = [0, DAY_MS.cast_signed(), -DAY_MS.cast_signed(), 9_000, -300];

/// A device of the account.
struct Own {
    device: DeviceId,
    _dir: tempfile::TempDir,
    store: Store,
    clock: i64,
    /// The posts that have not come here yet.
    posts: BTreeSet<u64>,
    /// The mail that has not come here yet.
    mail: Vec<usize>,
    /// Mail that was sealed, and may or may not have come to the relay.
    unanswered: Vec<(MailId, ClientMsgId, Vec<u8>)>,
}

/// The relay, and the devices.
struct World {
    devices: Vec<Own>,
    now_ms: u64,
    /// Who has sent it, when it came, and its content.
    mail: Vec<(DeviceId, u64, Vec<u8>)>,
    posts: u64,
    next_id: u64,
    /// The newest stamp of each register that was told, and what it said.
    told: BTreeMap<StateKey, (Stamp, StateValue)>,
}

fn signed_list(pairs: &[IdentityKeyPair]) -> Vec<u8> {
    let rng = &mut StdRng::seed_from_u64(1);
    let key = AccountKeyPair::generate(rng);
    let entries = pairs.iter().zip(1..).map(|(pair, number)| {
        let device = sealpost_protocol::DeviceId::new(number).unwrap();
        let binding = DeviceBinding::sign(US.as_bytes(), device, pair, &key.public(), rng);
        DeviceEntry { device, identity: *pair.public(), added_ms: 1, is_primary: number == 1, binding }
    });
    let entries = entries.collect();
    DeviceList::new(1, entries).unwrap().sign(US.as_bytes(), &key, rng).serialize()
}

impl Own {
    async fn new(number: u32, pairs: &[IdentityKeyPair], clock: i64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let store = Store::open(path, DatabaseKey::new([9; 32]), EventBus::new(), Footprint::Small).unwrap();
        let device = DeviceId::new(number).unwrap();
        let list = signed_list(pairs);
        let peer = IdentityKeyPair::generate(&mut StdRng::seed_from_u64(77));
        let work = store.write(move |tx| {
            tx.insert_account(&IdentityKeyPair::generate(&mut rand::rng()), 7)?;
            tx.set_registered(
                Registered { user: US, device },
                &Tokens::new("access".into(), 1, "refresh".into()),
            )?;
            let list = sealpost_protocol::device::SignedDeviceList::parse(&list).unwrap();
            tx.set_device_list(US, &list.verify(US.as_bytes()).unwrap())?;
            tx.put_thread(Thread { id: OLD_THREAD, peer: Some(OTHER), roster_version: 1 }, 1)?;
            let identity = *peer.public();
            tx.see_devices(
                PEER,
                &[Device { user: PEER, device: DeviceId::PRIMARY, registration_id: 1, identity }],
            )?;
            if number == 1 {
                tx.put_thread(Thread { id: THREAD, peer: Some(PEER), roster_version: 1 }, 1)?;
                tx.note_state(StateKey::Accepted(THREAD))?;
            }
            Ok(())
        });
        work.await.unwrap();
        Self {
            device,
            _dir: dir,
            store,
            clock,
            posts: BTreeSet::new(),
            mail: Vec::new(),
            unanswered: Vec::new(),
        }
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> T {
        self.store.write(work).await.unwrap()
    }

    async fn read<T: Send + 'static>(&self, work: impl FnOnce(&Rows<'_>) -> Result<T> + Send + 'static) -> T {
        self.store.read(work).await.unwrap()
    }

    /// Everything that is told to a new device.
    async fn snapshot(&self) -> Vec<(StateKey, Vec<u8>, Stamp)> {
        let read = self.read(|rows| {
            let (mut all, mut from) = (Vec::new(), Some(StateCursor::default()));
            while let Some(at) = from {
                let (items, next) = rows.state_snapshot(&at)?;
                all.extend(items);
                from = next;
            }
            Ok(all)
        });
        let mut all: Vec<_> =
            read.await.into_iter().map(|item| (item.key, item.value.to_bytes(), item.stamp)).collect();
        all.sort();
        all
    }

    /// What the person sees.
    async fn seen(&self) -> String {
        let read = self.read(|rows| {
            let mut seen = String::new();
            for thread in [THREAD, OLD_THREAD] {
                let Some(listed) = rows.listed_thread(thread)? else { continue };
                seen.push_str(&format!(
                    "{:?} unread {} marked {} muted {:?} draft {:?} request {}: ",
                    listed.folder,
                    listed.unread,
                    listed.is_marked_unread,
                    listed.muted_until_ms,
                    listed.draft,
                    listed.is_request
                ));
                for message in rows.page(thread, None, 500)?.messages {
                    let Direction::Incoming { read } = message.direction else { continue };
                    seen.push_str(&format!("{:?} {read} {:?}, ", message.server_seq, message.expires_ms));
                }
                seen.push('\n');
            }
            seen.push_str(&format!("{:?} blocked {:?}", rows.pinned_threads()?, rows.blocked()?));
            Ok(seen)
        });
        read.await
    }
}

/// What happens.
#[derive(Debug, Clone)]
enum Step {
    /// The other person writes.
    Post,
    /// A post, or mail, comes to a device, in any order, and mail perhaps not for the last time.
    Arrives(usize, usize, bool),
    /// A device tells the others what is due. What becomes of it: 0 the relay has it, 1 the answer is lost, 2 it is refused, 3 it is dropped.
    Tell(usize, u8),
    /// What was not answered is submitted again.
    Again(usize),
    /// The person does something on a device.
    Does(usize, Deed),
}

#[derive(Debug, Clone)]
enum Deed {
    Mute(u64),
    Archive(bool),
    Pin(bool, bool),
    MarkUnread(bool),
    Draft(u8),
    Block(bool),
    Verify(bool),
    Privacy(bool, bool),
    Read(usize),
    DeleteForMe(usize),
    Clear,
    Accept,
    Name(u8),
}

fn deeds() -> impl Strategy<Value = Deed> {
    prop_oneof![
        (0..3_u64).prop_map(|days| Deed::Mute(START_MS + days * DAY_MS)),
        any::<bool>().prop_map(Deed::Archive),
        any::<(bool, bool)>().prop_map(|(which, is)| Deed::Pin(which, is)),
        any::<bool>().prop_map(Deed::MarkUnread),
        any::<u8>().prop_map(Deed::Draft),
        any::<bool>().prop_map(Deed::Block),
        any::<bool>().prop_map(Deed::Verify),
        any::<(bool, bool)>().prop_map(|(all, is_on)| Deed::Privacy(all, is_on)),
        any::<usize>().prop_map(Deed::Read),
        any::<usize>().prop_map(Deed::Read),
        any::<usize>().prop_map(Deed::DeleteForMe),
        Just(Deed::Clear),
        Just(Deed::Accept),
        any::<u8>().prop_map(Deed::Name),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => Just(Step::Post),
        5 => (0..5_usize, any::<usize>(), any::<bool>()).prop_map(|(at, which, stays)| Step::Arrives(at, which, stays)),
        4 => (0..5_usize, prop_oneof![4 => Just(0_u8), 1 => 1..4_u8]).prop_map(|(at, outcome)| Step::Tell(at, outcome)),
        1 => (0..5_usize).prop_map(Step::Again),
        5 => (0..5_usize, deeds()).prop_map(|(at, deed)| Step::Does(at, deed)),
    ];
    prop::collection::vec(step, 1..90)
}

impl World {
    async fn new() -> Self {
        let pairs: Vec<_> =
            (0..5).map(|n| IdentityKeyPair::generate(&mut StdRng::seed_from_u64(n))).collect();
        let mut devices = Vec::new();
        for (number, clock) in (1..).zip(CLOCKS) {
            devices.push(Own::new(number, &pairs, clock).await);
        }
        Self { devices, now_ms: START_MS, mail: Vec::new(), posts: 0, next_id: 0, told: BTreeMap::new() }
    }

    fn fresh_id(&mut self) -> ClientMsgId {
        self.next_id += 1;
        ClientMsgId::from_bytes((u128::from(self.next_id) << 8).to_be_bytes())
    }

    async fn step(&mut self, step: Step) {
        self.now_ms += 1_000;
        match step {
            Step::Post => {
                self.posts += 1;
                for device in &mut self.devices {
                    device.posts.insert(self.posts);
                }
            }
            Step::Arrives(at, which, stays) => {
                let device = &mut self.devices[at];
                let waiting = device.posts.len() + device.mail.len();
                if waiting == 0 {
                    return;
                }
                let which = which % waiting;
                if let Some(post) = device.posts.iter().nth(which).copied() {
                    device.posts.remove(&post);
                    self.post_arrives(at, post).await;
                } else {
                    let place = which - device.posts.len();
                    let mail = device.mail[place];
                    if !stays {
                        device.mail.remove(place);
                    }
                    self.mail_arrives(at, mail).await;
                }
            }
            Step::Tell(at, outcome) => self.tell(at, outcome).await,
            Step::Again(at) => self.again(at).await,
            Step::Does(at, deed) => self.does(at, deed).await,
        }
    }

    fn local_ms(&self, at: usize) -> u64 {
        self.now_ms.saturating_add_signed(self.devices[at].clock)
    }

    async fn post_arrives(&self, at: usize, post: u64) {
        let deliver = wire::Deliver {
            epoch: 1,
            sender_user_id: PEER.to_wire(),
            sender_device_id: 1,
            client_msg_id: Bytes::copy_from_slice(&[9; 16]),
            ..wire::Deliver::default()
        };
        let place = EnvelopeId { thread: THREAD, server_seq: post };
        let envelope = Envelope::parse(place, deliver, START_MS + post).unwrap();
        let content = Content {
            thread: THREAD,
            id: ClientMsgId::from_bytes(u128::from(post).to_be_bytes()),
            sent_ms: START_MS,
            timer: if post.is_multiple_of(3) { Timer::new(60).unwrap() } else { Timer::default() },
            header: Header::default(),
            body: Body::text(format!("post {post}")),
        };
        let device = &self.devices[at];
        let (us, now_ms) = (Registered { user: US, device: device.device }, self.local_ms(at));
        let work = device.write(move |tx| {
            if tx.thread(THREAD)?.is_none() {
                tx.put_thread(Thread { id: THREAD, peer: Some(PEER), roster_version: 1 }, now_ms)?;
                tx.set_request(THREAD)?;
            }
            apply(tx, &envelope, content, (us, false), (now_ms, ChangeLimits::default()))?;
            tx.account_for(THREAD, 1, post)
        });
        work.await;
    }

    async fn mail_arrives(&self, at: usize, mail: usize) {
        let (from, came_ms, bytes) = &self.mail[mail];
        let deliver = wire::DeliverMail {
            mail_seq: 1,
            thread_id: note_to_self(US).to_wire(),
            server_time_ms: *came_ms,
            sender_user_id: US.to_wire(),
            sender_device_id: from.get(),
            ..wire::DeliverMail::default()
        };
        let mail = MailEnvelope::parse(deliver).unwrap();
        let content = Content {
            thread: note_to_self(US),
            id: ClientMsgId::from_bytes([8; 16]),
            sent_ms: START_MS,
            timer: Timer::default(),
            header: Header::default(),
            body: Body::from_bytes(bytes).unwrap(),
        };
        let (us, now_ms) = (Registered { user: US, device: self.devices[at].device }, self.local_ms(at));
        let work = move |tx: &mut Tx<'_>| {
            apply_mail(tx, &mail, content, (us, false), (now_ms, ChangeLimits::default()))
        };
        self.devices[at].write(work).await;
    }

    async fn tell(&mut self, at: usize, outcome: u8) {
        let (id, name, now_ms) = (self.fresh_id(), self.fresh_id(), self.now_ms);
        let device = &self.devices[at];
        let us = device.device;
        let sealed = device.write(move |tx| {
            // What was refused is sealed again.
            if !tx.is_state_due()? && !tx.is_mail_waiting((note_to_self(US), US, STATE_SLOT))? {
                return Ok(None);
            }
            let new = NewMail {
                thread: note_to_self(US),
                to: US,
                slot: Some(STATE_SLOT),
                content_id: id,
                sent_ms: now_ms,
                body: Body::AccountState(AccountState::default()),
                due_ms: 0,
            };
            tx.queue_mail(&new)?;
            let due = tx.due_mail(now_ms, &HashSet::new(), (100, usize::MAX))?;
            let unsealed = due.into_iter().find_map(|due| match due {
                DueMail::Readable(mail) if mail.sealed.is_none() => Some(mail.id),
                _ => None,
            });
            let mail = unsealed.ok_or(Error::Bug("no mail"))?;
            let items = tx.take_due_state(mail, (us, now_ms))?;
            if items.is_empty() {
                tx.drop_mail(mail, crate::store::MailDropped::Empty)?;
                return Ok(None);
            }
            let parcel = Parcel { client_msg_id: name, bytes: Bytes::new() };
            let _ = tx.set_mail_sealed(mail, parcel, now_ms)?;
            Ok(Some((mail, items)))
        });
        let Some((mail, items)) = sealed.await else { return };
        for item in items.iter().filter(|item| item.key.is_register()) {
            let known = self.told.get(&item.key);
            // What was refused or dropped is told again with the stamp that it had.
            if known.is_none_or(|(stamp, _)| item.stamp >= *stamp) {
                self.told.insert(item.key, (item.stamp, item.value.clone()));
            }
        }
        let bytes = Body::AccountState(AccountState { items }).to_bytes();
        match outcome {
            0 => self.settle(at, (mail, name, bytes)).await,
            1 => self.devices[at].unanswered.push((mail, name, bytes)),
            2 => {
                let outcome = MailOutcome::Anew { due_ms: 0, is_refusal: true };
                self.devices[at].write(move |tx| tx.settle_mail((mail, Some(name), outcome))).await;
            }
            _ => {
                self.devices[at]
                    .write(move |tx| tx.settle_mail((mail, Some(name), MailOutcome::GivenUp)))
                    .await
            }
        }
    }

    /// The relay stores mail and says so.
    async fn settle(&mut self, at: usize, (mail, name, bytes): (MailId, ClientMsgId, Vec<u8>)) {
        self.mail.push((self.devices[at].device, self.now_ms, bytes));
        let number = self.mail.len() - 1;
        for (other, device) in self.devices.iter_mut().enumerate() {
            if other != at {
                device.mail.push(number);
            }
        }
        self.devices[at].write(move |tx| tx.settle_mail((mail, Some(name), MailOutcome::Done))).await;
    }

    async fn again(&mut self, at: usize) {
        for unanswered in std::mem::take(&mut self.devices[at].unanswered) {
            self.settle(at, unanswered).await;
        }
    }

    async fn does(&self, at: usize, deed: Deed) {
        let (local_ms, now_ms) = (self.local_ms(at), self.now_ms);
        let work = move |tx: &mut Tx<'_>| {
            let nth = |tx: &Tx<'_>, which: usize| -> Result<Option<MessageId>> {
                let messages = tx.page(THREAD, None, 500)?.messages;
                Ok(messages.get(which.checked_rem(messages.len()).unwrap_or(0)).map(|message| message.id))
            };
            match deed {
                Deed::Mute(until) => tx.set_muted_until(THREAD, until),
                Deed::Archive(is) => tx.set_archived(THREAD, is),
                Deed::Pin(which, is) => tx.set_pinned(if which { THREAD } else { OLD_THREAD }, is),
                Deed::MarkUnread(is) => tx.set_marked_unread(THREAD, is),
                Deed::Draft(text) => tx.set_draft(THREAD, Some(&format!("draft {text}"))),
                Deed::Block(is) => tx.set_blocked(OTHER, is, local_ms).map(drop),
                Deed::Verify(is) => {
                    tx.set_trust(PEER, if is { TrustState::Verified } else { TrustState::FirstUse })
                }
                Deed::Privacy(all, is_on) => {
                    tx.set_privacy((!all).then_some(OLD_THREAD), PrivacySetting::Typing, is_on)
                }
                Deed::Read(which) => {
                    let Some(id) = nth(tx, which)? else { return Ok(()) };
                    let moment = tx.moment(THREAD)?;
                    tx.mark_read(THREAD, id, moment, 2)?;
                    tx.start_timers(now_ms, 100)
                }
                Deed::DeleteForMe(which) => {
                    let Some(id) = nth(tx, which)? else { return Ok(()) };
                    tx.hide(THREAD, id, local_ms).map(drop)
                }
                Deed::Clear => tx.delete_thread(THREAD),
                Deed::Accept => tx.accept_request(THREAD).map(drop),
                Deed::Name(name) => {
                    let profile = Profile { name: format!("name {name}"), ..Profile::default() };
                    tx.set_our_profile(US, profile, local_ms)
                }
            }
        };
        match self.devices[at].store.write(work).await {
            // It is a request, or is not here.
            Ok(()) | Err(Error::NotFound | Error::WrongState) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// What a device does by itself, until there is nothing left to do.
    async fn work(&self, at: usize) {
        let (device, later_ms) = (&self.devices[at], self.local_ms(at) + DAY_MS);
        let now_ms = self.now_ms;
        let work = device.write(move |tx| {
            tx.purge_hidden(later_ms, 1_000)?;
            while let Some(thread) = tx.thread_to_clear()? {
                while tx.clear_some(thread, 10, later_ms)? {}
            }
            tx.start_timers(now_ms, 1_000)?;
            while tx.take_due_receipts(100)?.is_some() {}
            Ok(())
        });
        work.await;
    }

    /// Everything comes to everybody.
    async fn settle_down(&mut self) {
        for _ in 0..20 {
            self.now_ms += 1_000;
            for at in 0..5 {
                self.again(at).await;
                for post in std::mem::take(&mut self.devices[at].posts) {
                    self.post_arrives(at, post).await;
                }
                for mail in std::mem::take(&mut self.devices[at].mail) {
                    self.mail_arrives(at, mail).await;
                }
                self.work(at).await;
                self.tell(at, 0).await;
            }
            if self.devices.iter().all(|device| device.mail.is_empty()) {
                return;
            }
        }
        panic!("they tell each other something for ever");
    }

    async fn check(&self) {
        let (seen, snapshot) = (self.devices[0].seen().await, self.devices[0].snapshot().await);
        for device in &self.devices[1..] {
            assert_eq!(device.seen().await, seen, "{:?}", device.device);
            assert_eq!(device.snapshot().await, snapshot, "{:?}", device.device);
        }
        for (key, (stamp, value)) in &self.told {
            let Some(found) = snapshot.iter().find(|(found, ..)| found == key) else { continue };
            assert_eq!((found.2, &found.1), (*stamp, &value.to_bytes()), "{key:?}");
        }
    }
}

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

#[test]
fn a_history_that_two_devices_delete_is_deleted_up_to_the_later_place() {
    run(async {
        let mut world = World::new().await;
        world.step(Step::Post).await;
        world.step(Step::Post).await;
        for post in [1, 2] {
            world.devices[1].posts.remove(&post);
            world.post_arrives(1, post).await;
        }
        world.does(1, Deed::Clear).await;
        world.tell(1, 0).await;
        // The other device is told before the second message comes to it.
        world.devices[2].mail.clear();
        world.mail_arrives(2, 0).await;
        world.devices[2].posts.remove(&1);
        world.post_arrives(2, 1).await;
        world.does(2, Deed::Clear).await;
        world.settle_down().await;
        world.check().await;
    });
}

#[test]
fn an_archived_chat_whose_history_is_deleted_is_a_chat_on_all_devices_when_it_comes_back() {
    run(async {
        let mut world = World::new().await;
        world.step(Step::Post).await;
        world.devices[1].posts.remove(&1);
        world.post_arrives(1, 1).await;
        // What is muted stays in the archive when a message comes.
        world.does(1, Deed::Mute(8_726_400_000)).await;
        world.does(1, Deed::Archive(true)).await;
        world.settle_down().await;
        world.step(Step::Post).await;
        world.devices[0].posts.remove(&2);
        world.post_arrives(0, 2).await;
        // The second message is not here yet.
        world.does(1, Deed::Clear).await;
        world.settle_down().await;
        world.check().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn five_devices_agree_in_the_end_whatever_was_lost_repeated_or_reordered(steps in steps()) {
        run(async {
            let mut world = World::new().await;
            world.step(Step::Post).await;
            for step in steps {
                world.step(step).await;
            }
            world.settle_down().await;
            world.check().await;
            // What the person does now is later than everything, whatever the clock of the device says.
            for at in 0..5 {
                let until = START_MS + 70 * DAY_MS + at as u64;
                world.does(at, Deed::Mute(until)).await;
                world.does(at, Deed::Draft(at as u8)).await;
                world.settle_down().await;
                world.check().await;
                let seen = world.devices[0].seen().await;
                let draft = format!("muted Some({until}) draft Some(\"draft {at}\")");
                assert!(seen.contains(&draft), "{seen}");
            }
        });
    }
}
