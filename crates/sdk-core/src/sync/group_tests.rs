//! People talk in a group whose roster is made of rows, each with a real store; what the relay does is done by the tests, who can also do
//! what no honest relay does.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::collections::HashSet;
use std::sync::Arc;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sealpost_protocol::{
    IdentityKey, IdentityKeyPair, KemPreKey, KemPreKeyId, PreKeyBundle, RawPreKeyBundle, RawSigned,
    SessionPolicy, SignedPreKey, SignedPreKeyId, UnixSeconds,
};
use sealpost_wire as wire;
use sealpost_wire::id::ToWire as _;
use tempfile::TempDir;

use crate::account::registration::{address, local_device};
use crate::config::{ChangeLimits, DatabaseKey, MessageRequests, ProxyChoice, Trust};
use crate::content::{Body, Markup, Profile};
use crate::context::Context;
use crate::env::{Env, SystemClock};
use crate::event::{Event, EventBus};
use crate::id::{ClientMsgId, DeviceId, ThreadId, UserId};
use crate::message::{Delivery, Direction, Message, MessageBody, Undecryptable};
use crate::receive::inbox::{self, Delivered};
use crate::send::ephemeral::{self, Passing};
use crate::send::prepare::Prepared;
use crate::send::{change, mail, prepare, queue};
use crate::store::{
    Device, Footprint, GroupHead, MailOutcome, Parcel, PreKeys, PrivacySetting, Registered, Settlement,
    Store, Thread, Tokens, Tx, UNSEEN_MS,
};
use crate::thread::queue_delivery_receipt;
use crate::transport::Transport;
use crate::waiting::WaitReason;

const GROUP: ThreadId = ThreadId::from_bytes([9; 16]);
const POLICY: SessionPolicy = SessionPolicy::TripleRatchet;

fn user(number: u8) -> UserId {
    UserId::from_bytes([number; 16])
}

/// Somebody with one device.
struct Side {
    _dir: Option<TempDir>,
    ctx: Context,
    user: UserId,
    identity: IdentityKey,
}

impl Side {
    async fn new(number: u8) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let events = EventBus::new();
        let path = dir.path().join("a.db");
        let store = Store::open(path, DatabaseKey::new([9; 32]), events.clone(), Footprint::Full).unwrap();
        let mut rng = StdRng::seed_from_u64(number.into());
        let (user, identity) = (user(number), IdentityKeyPair::generate(&mut rng));
        let signed = SignedPreKey::generate(SignedPreKeyId(1), &identity, 0, &mut rng);
        let kem = KemPreKey::generate(KemPreKeyId(2), &identity, 0, &mut rng);
        let keys = PreKeys {
            signed: Some(signed),
            last_resort: Some(kem),
            one_time: Vec::new(),
            one_time_kem: Vec::new(),
        };
        let transport =
            Transport::new("http://127.0.0.1:1", &Trust::default(), &ProxyChoice::default()).unwrap();
        let env = Env::new(Arc::new(SystemClock));
        let more = (POLICY, ChangeLimits::default(), MessageRequests::AcceptAll);
        let ctx = Context::new(store, transport, env, events, more);
        let side = Self { _dir: Some(dir), ctx, user, identity: *identity.public() };
        side.write(move |tx| {
            tx.insert_account(&identity, 7)?;
            let us = Registered { user, device: DeviceId::PRIMARY };
            tx.set_registered(us, &Tokens::new("access".into(), 1, "refresh".into()))?;
            tx.insert_pre_keys(&keys, 1)
        })
        .await;
        side
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> crate::error::Result<T> + Send + 'static,
    ) -> T {
        self.ctx.store.write(work).await.unwrap()
    }

    /// Starts a session with another one, as its bundle does.
    async fn meet(&self, other: &Self) {
        let (signed, kem) = other
            .write(|tx| {
                let (signed, kem) = (tx.signed_pre_key(SignedPreKeyId(1))?, tx.kem_pre_key(KemPreKeyId(2))?);
                Ok((signed.unwrap(), kem.unwrap()))
            })
            .await;
        let identity = other.identity;
        let bundle = PreKeyBundle::parse(RawPreKeyBundle {
            registration_id: 7,
            device_id: 1,
            identity_key: &identity.serialize(),
            signed_pre_key: RawSigned { id: 1, key: &signed.public_key(), signature: signed.signature() },
            one_time_pre_key: None,
            kem_pre_key: Some(RawSigned { id: 2, key: &kem.public_key(), signature: kem.signature() }),
        });
        let bundle = bundle.unwrap().verify().unwrap();
        let (theirs, now) = (other.user, UnixSeconds(self.ctx.server_now_ms() / 1000));
        self.write(move |tx| {
            let device = Device { user: theirs, device: DeviceId::PRIMARY, registration_id: 7, identity };
            tx.see_devices(theirs, &[device])?;
            let mut sessions = tx.sessions(theirs, DeviceId::PRIMARY)?;
            let (account, us) = tx.our_account()?;
            let (ours, theirs) = (address(us.user, us.device)?, address(theirs, DeviceId::PRIMARY)?);
            let (local, rng) = (local_device(&account, &ours), &mut rand::rng());
            sessions.record = sessions.record.initiate(&local, &theirs, bundle, POLICY, now, rng).unwrap();
            tx.store_sessions(&mut sessions)
        })
        .await;
    }

    /// Starts sessions with these people, who have the keys of one.
    async fn meet_many(&self, users: &[UserId], keys: &Self) {
        for other in users {
            let named = Self { user: *other, ..keys.shallow() };
            self.meet(&named).await;
        }
    }

    /// The same one, without the folder.
    fn shallow(&self) -> Self {
        Self { _dir: None, ctx: self.ctx.clone(), user: self.user, identity: self.identity }
    }

    /// Learns of the roster: its members, and the version of the last removal.
    async fn learn(&self, version: u64, removal_version: u64, members: &[UserId]) {
        let members = members.to_vec();
        self.write(move |tx| {
            tx.put_thread(Thread { id: GROUP, peer: None, roster_version: version }, 1)?;
            for known in tx.others(GROUP)?.into_iter().filter(|known| !members.contains(known)) {
                tx.remove_member(GROUP, known)?;
            }
            for member in members {
                if !tx.is_member(GROUP, member)? {
                    tx.add_member(GROUP, member)?;
                }
            }
            let hash = [u8::try_from(version).unwrap(); 32];
            tx.set_group_head(GROUP, &GroupHead { version, hash, removal_version })?;
            tx.roster_changed(GROUP, 1)
        })
        .await;
    }

    async fn say(&self, text: &str) -> Message {
        queue::send_text(&self.ctx, GROUP, text, Markup::default()).await.unwrap()
    }

    /// Everything that can leave now: mail, by its recipient, and messages. All of it is answered, the messages with the next numbers.
    async fn leaves(&self, seq: &mut u64) -> (Vec<(UserId, wire::DeliverMail)>, Vec<wire::Deliver>) {
        let (mut mails, mut posts) = (Vec::new(), Vec::new());
        loop {
            let (ctx, now_ms) = (self.ctx.clone(), self.ctx.env.now_ms());
            let work = move |tx: &mut Tx<'_>| mail::prepare::prepare(&ctx, tx, now_ms, &HashSet::new());
            let sealed = self.write(work).await.sealed;
            let post = prepare::prepare(&self.ctx, GROUP, None, 1).await.unwrap();
            if sealed.is_empty() && !matches!(post, Prepared::Submit(_) | Prepared::Distributing) {
                return (mails, posts);
            }
            for sealed in sealed {
                let sent: wire::Mail = wire::decode(sealed.parcel.get().bytes.clone()).unwrap();
                for copy in sent.copies {
                    let mail = wire::DeliverMail {
                        mail_seq: 1,
                        thread_id: sent.thread_id.clone(),
                        server_time_ms: self.ctx.server_now_ms(),
                        epoch: 1,
                        sender_user_id: self.user.to_wire(),
                        sender_device_id: 1,
                        client_msg_id: sent.client_msg_id.clone(),
                        envelope: copy.envelope,
                    };
                    mails.push((UserId::from_slice(&copy.user_id).unwrap(), mail));
                }
                let name = sealed.parcel.get().client_msg_id;
                let settled = move |tx: &mut Tx<'_>| {
                    let mut pieces = sealed.pieces.iter();
                    pieces.try_for_each(|piece| tx.settle_mail((piece.id, Some(name), MailOutcome::Done)))
                };
                self.write(settled).await;
            }
            let Prepared::Submit(sealed) = post else { continue };
            for sealed in sealed {
                let sent: wire::Send = wire::decode(sealed.parcel.get().bytes.clone()).unwrap();
                assert!(sent.copies.is_empty(), "one message for all");
                *seq += 1;
                posts.push(self.deliver(&sent, *seq));
                let (id, name) = (sealed.id, sealed.parcel.get().client_msg_id);
                let settlement =
                    Settlement::Accepted { epoch: 1, server_seq: *seq, server_ms: self.ctx.server_now_ms() };
                self.write(move |tx| tx.settle(id, Some(name), settlement)).await;
            }
        }
    }

    /// What waits for a moment leaves at once.
    async fn is_told_at_once(&self) {
        self.write(|tx| tx.newest_mail()?.map_or(Ok(()), |newest| tx.release_mail(newest))).await;
    }

    fn deliver(&self, sent: &wire::Send, server_seq: u64) -> wire::Deliver {
        wire::Deliver {
            key: Some(wire::InboxKey { thread_id: sent.thread_id.clone(), server_seq }),
            hlc: self.ctx.server_now_ms() << 16,
            epoch: 1,
            sender_user_id: self.user.to_wire(),
            sender_device_id: 1,
            client_msg_id: sent.client_msg_id.clone(),
            roster_version: sent.roster_version,
            envelope: sent.group.clone(),
            attempt: 1,
        }
    }

    async fn gets(&self, delivered: Vec<Delivered>) {
        drop(inbox::receive(&self.ctx, delivered, (queue_delivery_receipt, false)).await.unwrap());
        // What waits for a chain is tried again when the chain has come.
        crate::receive::retry::retry(&self.ctx).await.unwrap();
    }

    /// What waits for its chain has waited for long.
    async fn waits_long(&self) {
        self.write(|tx| tx.age_deferred(UNSEEN_MS)).await;
        crate::receive::retry::retry(&self.ctx).await.unwrap();
    }

    async fn gets_mail(&self, mails: &[(UserId, wire::DeliverMail)]) {
        let ours = mails.iter().filter(|(to, _)| *to == self.user);
        self.gets(ours.map(|(_, mail)| Delivered::Mail(mail.clone())).collect()).await;
    }

    async fn gets_posts(&self, posts: &[wire::Deliver]) {
        self.gets(posts.iter().cloned().map(Delivered::Post).collect()).await;
    }

    /// What is shown, the oldest first.
    async fn shown(&self) -> Vec<Message> {
        let page = self.ctx.store.read(|rows| rows.page(GROUP, None, 100)).await.unwrap();
        page.messages.into_iter().rev().collect()
    }

    async fn texts(&self) -> Vec<String> {
        let body = |message: Message| match message.body {
            MessageBody::Text(text) => text,
            MessageBody::Undecryptable(cause) => format!("{cause:?}"),
            other => format!("{other:?}"),
        };
        self.shown().await.into_iter().map(body).collect()
    }
}

/// People who have met each other, in a group.
async fn group(numbers: &[u8]) -> Vec<Side> {
    let mut sides = Vec::new();
    for number in numbers {
        sides.push(Side::new(*number).await);
    }
    let members: Vec<_> = sides.iter().map(|side| side.user).collect();
    for side in &sides {
        for other in sides.iter().filter(|other| other.user != side.user) {
            side.meet(other).await;
        }
        side.learn(1, 0, &members).await;
    }
    sides
}

/// Delivers what one of them sends to all others.
async fn spread(from: &Side, to: &[&Side], seq: &mut u64) -> Vec<wire::Deliver> {
    let (mails, posts) = from.leaves(seq).await;
    for side in to {
        side.gets_mail(&mails).await;
        side.gets_posts(&posts).await;
    }
    posts
}

#[tokio::test]
async fn a_message_is_encrypted_once_after_those_who_lack_the_chain_got_it() {
    let sides = group(&[1, 2, 3]).await;
    let [ada, ben, cam] = &sides[..] else { panic!() };
    let mut seq = 0;
    let name = Profile { name: "Ada".to_owned(), ..Profile::default() };
    ada.write(move |tx| tx.set_our_profile(user(1), name, 5)).await;
    ada.say("one").await;
    ada.say("two").await;
    let (mails, posts) = ada.leaves(&mut seq).await;
    assert_eq!(mails.iter().map(|(to, _)| *to).collect::<HashSet<_>>(), HashSet::from([ben.user, cam.user]));
    assert_eq!((mails.len(), posts.len()), (2, 2));
    assert!(mails.iter().all(|(_, mail)| mail.envelope.as_ref().unwrap().urgent), "before what waits");
    for side in [ben, cam] {
        side.gets_mail(&mails).await;
        side.gets_posts(&posts).await;
        assert_eq!(side.texts().await, ["one", "two"]);
        let senders: Vec<_> = side.shown().await.iter().map(|message| message.sender).collect();
        assert_eq!(senders, [ada.user; 2]);
    }
    // They learn who Ada is, although they have no thread with Ada alone.
    let name = ben.ctx.store.read(move |rows| rows.profile(user(1))).await.unwrap();
    assert_eq!(name.unwrap().profile.name, "Ada");
    // Nobody lacks it any more, so nothing but the message leaves.
    ada.say("three").await;
    let (mails, posts) = ada.leaves(&mut seq).await;
    assert_eq!((mails.len(), posts.len()), (0, 1));
    ben.gets_posts(&posts).await;
    // A second copy changes nothing, and neither does one that was changed.
    ben.gets_posts(&posts).await;
    assert_eq!(ben.texts().await, ["one", "two", "three"]);
    // Receipts go to the author, and the message is delivered when both have it.
    let message = ada.shown().await[2].clone();
    for (side, state) in [(ben, Delivery::Sent), (cam, Delivery::Delivered)] {
        side.gets_posts(&posts).await;
        side.is_told_at_once().await;
        let (receipts, _) = side.leaves(&mut seq).await;
        ada.gets_mail(&receipts).await;
        let id = message.id;
        let now = ada.ctx.store.read(move |rows| rows.message(id)).await.unwrap().unwrap();
        assert_eq!(now.direction, Direction::Outgoing(state));
    }
}

#[tokio::test]
async fn a_message_that_comes_before_its_chain_heals_when_that_comes() {
    let sides = group(&[1, 2, 3]).await;
    let [ada, ben, _] = &sides[..] else { panic!() };
    let mut seq = 0;
    ada.say("early").await;
    ada.say("later").await;
    let (mails, posts) = ada.leaves(&mut seq).await;
    ben.gets_posts(&posts[..1]).await;
    ben.waits_long().await;
    assert_eq!(ben.texts().await, ["AwaitsSenderKey"]);
    let early = ben.shown().await[0].id;
    ben.gets_mail(&mails).await;
    assert_eq!(ben.texts().await, ["early"]);
    assert_eq!(ben.shown().await[0].id, early, "it takes the place");
    // Out of order, too: the keys of those in between are kept.
    ada.say("last").await;
    let (_, more) = ada.leaves(&mut seq).await;
    ben.gets_posts(&more).await;
    ben.gets_posts(&posts[1..]).await;
    assert_eq!(ben.texts().await, ["early", "later", "last"]);
}

/// What one client submits as mail, with the ids and the ciphertexts for each person.
type Frames = Vec<(ClientMsgId, Vec<(UserId, bytes::Bytes)>)>;

impl Side {
    async fn frames(&self) -> Frames {
        let (ctx, now_ms) = (self.ctx.clone(), self.ctx.env.now_ms());
        let work = move |tx: &mut Tx<'_>| mail::prepare::prepare(&ctx, tx, now_ms, &HashSet::new());
        let sealed = self.write(work).await.sealed.into_iter();
        let frames = sealed.map(|sealed| {
            let Parcel { client_msg_id, bytes } = sealed.parcel.get();
            let mail: wire::Mail = wire::decode(bytes.clone()).unwrap();
            assert_eq!(ClientMsgId::from_slice(&mail.client_msg_id), Ok(*client_msg_id));
            assert_eq!(mail.copies.len(), sealed.pieces.len());
            let copy = |copy: wire::DeviceCopy| {
                (UserId::from_slice(&copy.user_id).unwrap(), copy.envelope.unwrap().ciphertext)
            };
            (*client_msg_id, mail.copies.into_iter().map(copy).collect())
        });
        frames.collect()
    }
}

#[tokio::test]
async fn distributions_leave_in_one_frame_and_are_repeated_with_the_same_bytes() {
    let sides = group(&[1, 2, 3, 4]).await;
    let ada = &sides[0];
    ada.say("hello").await;
    assert!(matches!(prepare::prepare(&ada.ctx, GROUP, None, 1).await.unwrap(), Prepared::Distributing));
    let frames = ada.frames().await;
    let [(_, copies)] = &frames[..] else { panic!("{} frames", frames.len()) };
    assert_eq!(copies.len(), 3);
    // The process ended before the answer, and one recipient was blocked since: they get nothing, and the others the same.
    assert_eq!(ada.frames().await, frames);
    ada.write(|tx| tx.set_blocked(user(3), true, 5)).await;
    let again = ada.frames().await;
    assert_eq!(again[0].0, frames[0].0, "if it was stored, the relay says that the bytes differ");
    let others: Vec<_> = copies.iter().filter(|(to, _)| *to != user(3)).cloned().collect();
    assert_eq!(again[0].1, others);
}

/// The chain is on its way behind the message, as when it was sent once more.
#[tokio::test]
async fn a_message_waits_unseen_for_its_chain_and_is_shown_once() {
    let sides = group(&[1, 2]).await;
    let [ada, ben] = &sides[..] else { panic!() };
    let mut seq = 0;
    for text in ["one", "two", "three"] {
        ada.say(text).await;
    }
    let (mails, posts) = ada.leaves(&mut seq).await;
    let mut events = ben.ctx.events.subscribe();
    let added = async |events: &mut crate::event::EventReceiver| {
        let told = std::iter::from_fn(|| events.try_next()).map(Result::unwrap);
        told.filter(|event| matches!(event, Event::MessageAdded(_) | Event::MessageChanged { .. })).count()
    };
    // The relay delivers each twice, because it has not seen that they are durable.
    ben.gets_posts(&[&posts[1..2], &posts[..2], &posts[..1]].concat()).await;
    assert!(ben.shown().await.is_empty());
    let missing = ben.ctx.store.read(|rows| rows.gaps()).await.unwrap();
    assert!(missing.is_empty(), "nothing is to be fetched");
    assert_eq!(added(&mut events).await, 0);
    ben.gets_mail(&mails).await;
    assert_eq!(ben.texts().await, ["one", "two"]);
    assert_eq!(added(&mut events).await, 2);
    ben.gets_posts(&posts).await;
    assert_eq!(ben.texts().await, ["one", "two", "three"]);
    ben.waits_long().await;
    assert_eq!((ben.texts().await.len(), added(&mut events).await), (3, 1));
    let left = ben.ctx.store.read(|rows| rows.has_deferred()).await.unwrap();
    assert!(!left);
}

#[tokio::test]
async fn what_waits_unseen_is_bounded_and_none_of_it_is_lost() {
    let sides = group(&[1, 2]).await;
    let [ada, ben] = &sides[..] else { panic!() };
    let mut seq = 0;
    for number in 0..40 {
        ada.say(&format!("{number}")).await;
    }
    let (mails, posts) = ada.leaves(&mut seq).await;
    ben.gets_posts(&posts[..32]).await;
    assert!(ben.shown().await.is_empty());
    ben.gets_posts(&posts[32..]).await;
    assert_eq!(ben.texts().await, vec!["AwaitsSenderKey"; 33], "the others wait alone");
    ben.gets_mail(&mails).await;
    assert_eq!(ben.texts().await, (0..40).map(|number| number.to_string()).collect::<Vec<_>>());
}

/// A message of somebody whose joining has not come yet: the roster is being fetched.
#[tokio::test]
async fn a_message_of_a_newcomer_waits_for_the_roster() {
    let sides = group(&[1, 2]).await;
    let [ada, ben] = &sides[..] else { panic!() };
    let cam = Side::new(3).await;
    cam.meet(ada).await;
    cam.meet(ben).await;
    let members = [ada.user, ben.user, cam.user];
    cam.learn(2, 0, &members).await;
    let mut seq = 0;
    cam.say("hello").await;
    let (mails, posts) = cam.leaves(&mut seq).await;
    ben.write(|tx| tx.set_roster_due(GROUP)).await;
    ben.gets_mail(&mails).await;
    ben.gets_posts(&posts).await;
    assert!(ben.shown().await.is_empty());
    ben.learn(2, 0, &members).await;
    ben.write(|tx| {
        tx.settle_roster_due(GROUP)?;
        tx.retry_deferred_of_group(GROUP)
    })
    .await;
    crate::receive::retry::retry(&ben.ctx).await.unwrap();
    assert_eq!(ben.texts().await, ["hello"]);
    // If there is none who explains it, it is shown as what it is.
    let stranger = Side::new(4).await;
    stranger.meet(ben).await;
    stranger.learn(2, 0, &[ben.user, stranger.user]).await;
    stranger.say("I am in, too").await;
    let (_, posts) = stranger.leaves(&mut seq).await;
    ben.write(|tx| tx.set_roster_due(GROUP)).await;
    ben.gets_posts(&posts).await;
    ben.waits_long().await;
    assert_eq!(ben.texts().await, ["hello", "AwaitsSenderKey"]);
    ben.write(|tx| {
        tx.settle_roster_due(GROUP)?;
        tx.retry_deferred_of_group(GROUP)
    })
    .await;
    crate::receive::retry::retry(&ben.ctx).await.unwrap();
    assert_eq!(ben.texts().await, ["hello", "Misrouted"]);
}

#[tokio::test]
async fn who_was_removed_reads_nothing_later_and_is_not_heard() {
    let sides = group(&[1, 2, 3]).await;
    let [ada, ben, cam] = &sides[..] else { panic!() };
    let mut seq = 0;
    for side in [ada, cam] {
        side.say("before").await;
        let others: Vec<_> = sides.iter().filter(|other| other.user != side.user).collect();
        spread(side, &others, &mut seq).await;
    }
    // Cam is removed. Ada and Ben know it; Cam goes on, and the relay is on Cam's side.
    for side in [ada, ben] {
        side.learn(2, 2, &[ada.user, ben.user]).await;
    }
    ada.say("without Cam").await;
    ada.is_told_at_once().await;
    let (mails, posts) = ada.leaves(&mut seq).await;
    assert_eq!(
        mails.iter().map(|(to, _)| *to).collect::<Vec<_>>(),
        [ben.user],
        "a new chain, and no receipt"
    );
    ben.gets_mail(&mails).await;
    ben.gets_posts(&posts).await;
    cam.gets_posts(&posts).await;
    cam.waits_long().await;
    assert_eq!(ben.texts().await, ["before", "before", "without Cam"]);
    assert_eq!(cam.texts().await, ["before", "before", "AwaitsSenderKey"]);
    cam.say("still here").await;
    let (mails, posts) = cam.leaves(&mut seq).await;
    assert!(mails.is_empty(), "Cam has distributed it before");
    for side in [ada, ben] {
        side.gets_posts(&posts).await;
        assert!(!side.texts().await.contains(&"still here".to_owned()));
        let chains = side
            .ctx
            .store
            .read(move |rows| Ok((rows.count_chains_in(user(1))?, rows.count_chains_in(user(3))?)));
        assert_eq!(chains.await.unwrap(), (if side.user == ada.user { 0 } else { 2 }, 0));
    }
}

#[tokio::test]
async fn who_is_added_reads_nothing_older_and_gets_the_chain_alone() {
    let sides = group(&[1, 2]).await;
    let [ada, ben] = &sides[..] else { panic!() };
    let mut seq = 0;
    ada.say("before").await;
    let old = spread(ada, &[ben], &mut seq).await;
    let cam = Side::new(3).await;
    ada.meet(&cam).await;
    ben.meet(&cam).await;
    let members = [ada.user, ben.user, cam.user];
    for side in [ada, ben, &cam] {
        side.learn(2, 0, &members).await;
    }
    ada.say("welcome").await;
    let (mails, posts) = ada.leaves(&mut seq).await;
    assert_eq!(mails.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [cam.user], "the others have it");
    cam.gets_mail(&mails).await;
    cam.gets_posts(&[&old[..], &posts[..]].concat()).await;
    ben.gets_posts(&posts).await;
    assert_eq!(ben.texts().await, ["before", "welcome"]);
    let read = cam.texts().await;
    assert_eq!(read.last().map(String::as_str), Some("welcome"));
    assert!(!read.contains(&"before".to_owned()), "{read:?}");
}

#[tokio::test]
async fn a_message_of_a_group_that_is_not_here_begins_no_thread() {
    let sides = group(&[1, 2]).await;
    let [ada, ben] = &sides[..] else { panic!() };
    let mut seq = 0;
    ada.say("hello").await;
    let (_, posts) = ada.leaves(&mut seq).await;
    let cam = Side::new(3).await;
    for side in [ben, &cam] {
        side.gets_posts(&posts).await;
        side.waits_long().await;
    }
    assert_eq!(ben.texts().await, ["AwaitsSenderKey"]);
    assert_eq!(cam.ctx.store.read(|rows| rows.thread(GROUP)).await.unwrap(), None);
}

#[tokio::test]
async fn a_chain_counts_in_its_group_and_for_its_device_only() {
    let sides = group(&[1, 2, 3]).await;
    let [ada, ben, cam] = &sides[..] else { panic!() };
    let mut seq = 0;
    ada.say("hello").await;
    let (mails, posts) = ada.leaves(&mut seq).await;
    // Cam has Ada's chain, and passes it on to Ben as Cam's own.
    cam.gets_mail(&mails).await;
    cam.gets_posts(&posts).await;
    cam.say("mine").await;
    let (of_cam, of_cam_posts) = cam.leaves(&mut seq).await;
    ben.gets_mail(&of_cam).await;
    ben.gets_posts(&of_cam_posts).await;
    // The relay says that Ada's message is Cam's: the chain is not of Cam's device.
    let swapped = |deliver: &wire::Deliver, sender: UserId, server_seq| {
        let key = deliver.key.clone().map(|key| wire::InboxKey { server_seq, ..key });
        wire::Deliver { key, sender_user_id: sender.to_wire(), ..deliver.clone() }
    };
    ben.gets_posts(&[swapped(&posts[0], cam.user, 50)]).await;
    ben.waits_long().await;
    assert_eq!(ben.texts().await, ["mine", "AwaitsSenderKey"]);
    // In another group, a distribution means nothing, because the content says in which it is.
    let elsewhere = mails.iter().map(|(to, mail)| {
        let mail = wire::DeliverMail { thread_id: ThreadId::from_bytes([77; 16]).to_wire(), ..mail.clone() };
        (*to, mail)
    });
    ben.gets_mail(&elsewhere.collect::<Vec<_>>()).await;
    ben.gets_posts(&posts).await;
    assert!(!ben.texts().await.contains(&"hello".to_owned()));
    ben.gets_mail(&mails).await;
    assert!(ben.texts().await.contains(&"hello".to_owned()), "{:?}", ben.texts().await);
    let causes = ben.shown().await.into_iter().filter_map(|message| match message.body {
        MessageBody::Undecryptable(cause) => Some(cause),
        _ => None,
    });
    assert!(causes.into_iter().all(|cause| cause == Undecryptable::AwaitsSenderKey));
}

/// The relay and a member are dishonest together: devices decide.
#[tokio::test]
async fn who_may_not_write_is_not_heard_whatever_the_relay_delivers() {
    let sides = group(&[1, 2, 3]).await;
    let [ada, ben, cam] = &sides[..] else { panic!() };
    let (members, mut seq) = ([ada.user, ben.user, cam.user], 0);
    ben.say("early").await;
    let (mails, early) = ben.leaves(&mut seq).await;
    ada.gets_mail(&mails).await;
    // From version 2 on, only admins write, and Cam is one. Ben's device does not care.
    for side in [ada, ben, cam] {
        side.learn(2, 0, &members).await;
    }
    let restrict = |tx: &mut Tx<'_>| tx.set_writers(GROUP, (true, 2), user(3));
    ada.write(restrict).await;
    cam.write(restrict).await;
    ben.say("against the rules").await;
    let (_, against) = ben.leaves(&mut seq).await;
    ada.gets_posts(&[&early[..], &against[..]].concat()).await;
    spread(cam, &[ada], &mut seq).await;
    cam.say("as an admin").await;
    spread(cam, &[ada], &mut seq).await;
    // What was written before was on its way.
    assert_eq!(ada.texts().await, ["early", "Misrouted", "as an admin"]);
    // A later roster lets Ben write again, and comes after the message.
    ben.learn(3, 0, &members).await;
    ben.say("again").await;
    let (_, again) = ben.leaves(&mut seq).await;
    ada.gets_posts(&again).await;
    assert_eq!(ada.texts().await.len(), 3);
    ada.learn(3, 0, &members).await;
    ada.write(|tx| {
        tx.set_writers(GROUP, (false, 2), user(3))?;
        tx.retry_deferred_of_group(GROUP)
    })
    .await;
    crate::receive::retry::retry(&ada.ctx).await.unwrap();
    assert_eq!(ada.texts().await, ["early", "Misrouted", "as an admin", "again"]);
}

#[tokio::test]
async fn somebody_who_is_blocked_reads_what_is_written_and_learns_no_name() {
    let sides = group(&[1, 2, 3]).await;
    let [ada, ben, cam] = &sides[..] else { panic!() };
    let name = Profile { name: "Ada".to_owned(), ..Profile::default() };
    ada.write(move |tx| {
        tx.set_blocked(user(3), true, 5)?;
        tx.set_our_profile(user(1), name, 5)
    })
    .await;
    ada.say("hello").await;
    spread(ada, &[ben, cam], &mut 0).await;
    for (side, expected) in [(ben, Some("Ada".to_owned())), (cam, None)] {
        assert_eq!(side.texts().await, ["hello"]);
        let known = side.ctx.store.read(move |rows| rows.profile(user(1))).await.unwrap();
        assert_eq!(known.map(|known| known.profile.name), expected);
    }
}

/// As many people react as are members, and not more.
#[tokio::test]
async fn nobody_but_members_reacts() {
    let sides = group(&[1, 2, 3]).await;
    let [ada, ben, cam] = &sides[..] else { panic!() };
    let mut seq = 0;
    ada.say("hello").await;
    spread(ada, &[ben, cam], &mut seq).await;
    let react = async |side: &Side, emoji: &str| {
        let to = side.shown().await[0].id;
        change::react(&side.ctx, GROUP, to, Some(emoji.to_owned())).await.unwrap();
    };
    react(ben, "👍").await;
    spread(ben, &[ada, cam], &mut seq).await;
    react(cam, "🎈").await;
    let (mails, before) = cam.leaves(&mut seq).await;
    ada.gets_mail(&mails).await;
    ada.gets_posts(&before).await;
    let counts = async || {
        let shown = ada.shown().await;
        shown[0].reactions.iter().map(|reaction| (reaction.emoji.clone(), reaction.count)).collect::<Vec<_>>()
    };
    assert_eq!(counts().await, [("🎈".to_owned(), 1), ("👍".to_owned(), 1)]);
    ada.learn(2, 2, &[ada.user, ben.user]).await;
    react(cam, "👍").await;
    let (_, after) = cam.leaves(&mut seq).await;
    ada.gets_posts(&after).await;
    ada.waits_long().await;
    assert_eq!(counts().await, [("🎈".to_owned(), 1), ("👍".to_owned(), 1)]);
}

/// Who is told that Ada writes, and nothing else of it remains.
async fn told(ada: &Side) -> Vec<UserId> {
    let (ctx, sent_ms, mut rng) = (ada.ctx.clone(), ada.ctx.server_now_ms(), ada.ctx.env.rng());
    let passing = Passing { body: Body::Typing { is_typing: true }, ttl_s: 5, sent_ms };
    let work =
        move |tx: &mut Tx<'_>| ephemeral::seal(&ctx, tx, (GROUP, ephemeral::To::Others), &passing, &mut rng);
    let Some(parcel) = ada.write(work).await else { return Vec::new() };
    let mail: wire::Mail = wire::decode(parcel.get().bytes.clone()).unwrap();
    assert!(mail.client_msg_id.is_empty(), "it is never repeated");
    assert!(mail.copies.iter().all(|copy| copy.envelope.as_ref().unwrap().ephemeral));
    assert_eq!(ada.ctx.store.read(|rows| rows.newest_mail()).await.unwrap(), None);
    mail.copies.iter().map(|copy| UserId::from_slice(&copy.user_id).unwrap()).collect()
}

#[tokio::test]
async fn typing_is_told_in_a_group_to_those_who_are_there_and_to_few() {
    let (ada, keys) = (Side::new(1).await, Side::new(99).await);
    let others: Vec<_> = (2..42).map(user).collect();
    ada.meet_many(&others[..36], &keys).await;
    // In a small group, all are told with whom there are sessions: one who has none delays nobody.
    let small = [&[ada.user], &others[..8], &others[36..38]].concat();
    ada.learn(1, 0, &small).await;
    assert_eq!(told(&ada).await, others[..8]);
    ada.write(|tx| tx.set_blocked(user(3), true, 5)).await;
    assert!(!told(&ada).await.contains(&user(3)));
    ada.write(|tx| tx.set_privacy(Some(GROUP), PrivacySetting::Typing, false)).await;
    assert_eq!(told(&ada).await, []);
    ada.write(|tx| tx.set_privacy(Some(GROUP), PrivacySetting::Typing, true)).await;
    // In a larger one, those who are there.
    ada.learn(2, 0, &[&[ada.user], &others[..]].concat()).await;
    assert_eq!(told(&ada).await, []);
    ada.ctx.ephemeral.has_written(GROUP, user(5), 1);
    ada.ctx.ephemeral.set_present(user(7), true);
    ada.ctx.ephemeral.set_typing((GROUP, user(9)), true, 1);
    ada.ctx.ephemeral.has_written(ThreadId::from_bytes([8; 16]), user(11), 1);
    ada.ctx.ephemeral.set_present(user(77), true);
    assert_eq!(told(&ada).await, [5, 7, 9].map(user));
    // And of very many of these, a few.
    others.iter().for_each(|other| ada.ctx.ephemeral.set_present(*other, true));
    assert_eq!(told(&ada).await.len(), 16);
}

#[tokio::test]
async fn nothing_is_sent_while_a_member_was_shown_another_roster() {
    let sides = group(&[1, 2]).await;
    let [ada, ben] = &sides[..] else { panic!() };
    let mut seq = 0;
    ada.say("hello").await;
    spread(ada, &[ben], &mut seq).await;
    // The relay has shown Ben another entry with the same version.
    let head = GroupHead { version: 2, hash: [77; 32], removal_version: 0 };
    ben.write(move |tx| tx.set_group_head(GROUP, &head)).await;
    ada.learn(2, 0, &[ada.user, ben.user]).await;
    let mut events = ben.ctx.events.subscribe();
    ada.say("which roster?").await;
    spread(ada, &[ben], &mut seq).await;
    assert_eq!(ben.texts().await, ["hello", "which roster?"]);
    let mut told = std::iter::from_fn(|| events.try_next());
    assert!(told.any(|event| matches!(event, Ok(Event::RosterContradicted(GROUP)))));
    ben.say("wait").await;
    let (_, posts) = ben.leaves(&mut seq).await;
    assert!(posts.is_empty());
    let post = prepare::prepare(&ben.ctx, GROUP, None, 1).await.unwrap();
    assert!(matches!(post, Prepared::Await { reason: WaitReason::RosterUnclear, .. }));
    let later_ms = ben.ctx.env.now_ms() + 1_000_000;
    ben.write(move |tx| tx.hold_lane_until(GROUP, later_ms)).await;
    // The same roster is shown to both in the end.
    ben.learn(3, 0, &[ada.user, ben.user]).await;
    ada.learn(3, 0, &[ada.user, ben.user]).await;
    ada.say("this one").await;
    spread(ada, &[ben], &mut seq).await;
    let now_ms = ben.ctx.env.now_ms();
    let due = ben.ctx.store.read(move |rows| rows.due_lanes(now_ms, 9)).await.unwrap();
    assert_eq!(due, [GROUP], "it goes on at once");
    let (mails, posts) = ben.leaves(&mut seq).await;
    ada.gets_mail(&mails).await;
    ada.gets_posts(&posts).await;
    assert_eq!(ada.texts().await, ["hello", "which roster?", "this one", "wait"]);
}
