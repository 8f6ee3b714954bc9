//! A companion that was linked gets what the primary device knows, however the transfer is cut, and whatever arrives meanwhile.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::collections::{BTreeMap, HashSet, VecDeque};

use bytes::Bytes;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sealpost_protocol::IdentityKeyPair;
use sealpost_protocol::device::{AccountKeyPair, DeviceBinding, DeviceEntry, DeviceList, SignedDeviceList};
use sealpost_wire as wire;
use sealpost_wire::id::ToWire as _;
use tempfile::TempDir;

use crate::account::bootstrap::{Made, apply_next, ask, make_piece, unfinished};
use crate::config::{ChangeLimits, DatabaseKey};
use crate::content::{
    AccountState, Body, Bootstrap, Choices, Content, Edit, EmojiSequence, Header, Item, Items, Markup,
    Number, Piece, Pin, Poll, Profile, Progress, Reaction, ReceiptKind, Revised, Run, Target, Timer,
    Transfer, TransferId, Vote,
};
use crate::event::{Event, EventBus, EventReceiver};
use crate::id::{ClientMsgId, DeviceId, MessageId, ThreadId, UserId};
use crate::message::{Delivery, Direction, Message, MessageBody, Position, Search};
use crate::receive::apply::{Applying, apply_change, apply_mail, apply_to};
use crate::receive::envelope::MailEnvelope;
use crate::store::{
    Arrived, Device, DueMail, Footprint, MailOutcome, NewIncoming, NewMail, NewOutgoing, Origin, Parcel,
    PrivacySetting, Registered, Rows, STATE_SLOT, Store, Thread, Tokens, TrustState, Tx, note_to_self,
    order_of,
};

const US: UserId = UserId::from_bytes([1; 16]);
const PEERS: [UserId; 3] =
    [UserId::from_bytes([2; 16]), UserId::from_bytes([3; 16]), UserId::from_bytes([4; 16])];
const THREADS: [ThreadId; 2] = [ThreadId::from_bytes([0x22; 16]), ThreadId::from_bytes([0x33; 16])];
const TRANSFER: TransferId = TransferId([7; 16]);
const NOW: u64 = 1_000_000;

fn device(number: u32) -> DeviceId {
    DeviceId::new(number).unwrap()
}

/// A device of ours.
struct Side {
    dir: TempDir,
    store: Option<Store>,
    events: EventBus,
    us: Registered,
}

/// A list of our devices 1, 2 and 3, of which the first is the primary.
fn own_list() -> sealpost_protocol::device::VerifiedDeviceList {
    list_of(US, 1, 3)
}

fn list_of(user: UserId, seed: u64, devices: u32) -> sealpost_protocol::device::VerifiedDeviceList {
    let rng = &mut StdRng::seed_from_u64(seed);
    let key = AccountKeyPair::generate(rng);
    let entries = (1..=devices).map(|number| {
        let (device, pair) =
            (sealpost_protocol::DeviceId::new(number).unwrap(), IdentityKeyPair::generate(rng));
        let binding = DeviceBinding::sign(user.as_bytes(), device, &pair, &key.public(), rng);
        DeviceEntry { device, identity: *pair.public(), added_ms: 1, is_primary: number == 1, binding }
    });
    let entries = entries.collect();
    let signed = DeviceList::new(3, entries).unwrap().sign(user.as_bytes(), &key, rng).serialize();
    SignedDeviceList::parse(&signed).unwrap().verify(user.as_bytes()).unwrap()
}

impl Side {
    async fn new(number: u32) -> Self {
        let (dir, events) = (tempfile::tempdir().unwrap(), EventBus::new());
        let us = Registered { user: US, device: device(number) };
        let mut side = Self { dir, store: None, events, us };
        side.open();
        side.write(move |tx| {
            tx.insert_account(&IdentityKeyPair::generate(&mut rand::rng()), 7)?;
            tx.set_registered(us, &Tokens::new("access".into(), 1, "refresh".into()))?;
            tx.set_device_list(US, &own_list())
        })
        .await;
        side
    }

    fn open(&mut self) {
        let path = self.dir.path().join("a.db");
        let store = Store::open(path, DatabaseKey::new([9; 32]), self.events.clone(), Footprint::Full);
        self.store = Some(store.unwrap());
    }

    /// What a process leaves behind that is killed.
    async fn restart(&mut self) {
        self.store.take().unwrap().close().await;
        self.open();
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> crate::Result<T> + Send + 'static,
    ) -> T {
        self.store().write(work).await.unwrap()
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Rows<'_>) -> crate::Result<T> + Send + 'static,
    ) -> T {
        self.store().read(work).await.unwrap()
    }

    /// Mail arrives from a device of a user, in a thread.
    async fn arrive_from(&self, (user, from): (UserId, u32), thread: ThreadId, (id, body): Mail) {
        let us = self.us;
        self.write(move |tx| {
            let content = Content {
                thread,
                id,
                sent_ms: NOW,
                timer: Timer::default(),
                header: Header::default(),
                body,
            };
            // As it comes out of its ciphertext.
            let content = Content::from_plaintext(&content.to_plaintext()).unwrap();
            apply_mail(tx, &envelope(thread, user, from), content, (us, false), (NOW, ChangeLimits::NONE))
        })
        .await;
    }

    async fn arrive(&self, from: u32, mail: Mail) {
        self.arrive_from((US, from), note_to_self(US), mail).await;
    }

    /// Applies what has come, and returns what is sent to the primary.
    async fn apply(&self) -> Option<Vec<Mail>> {
        let us = self.us;
        self.write(move |tx| {
            let Some(applied) = apply_next(tx, us, NOW)? else { return Ok(None) };
            for origin in &applied.added {
                apply_to(tx, origin, (NOW, ChangeLimits::NONE))?;
            }
            Ok(Some(applied.answer.map(mail).into_iter().collect()))
        })
        .await
    }

    /// Makes the next piece for the companion.
    async fn make(&self) -> Made {
        self.write(|tx| make_piece(tx, device(2), NOW)).await
    }

    /// Everything that there is to send now, until the companion has to answer.
    async fn make_window(&self) -> Vec<Mail> {
        let mut made = Vec::new();
        loop {
            match self.make().await {
                Made::Piece(body) => made.push(mail(body)),
                Made::NotYet => {}
                Made::Wait => return made,
            }
        }
    }

    async fn is_done(&self) -> bool {
        self.read(|rows| Ok(rows.incoming_bootstrap()?.is_some_and(|incoming| incoming.is_done))).await
    }
}

/// Mail: the id of its content, and its body.
type Mail = (ClientMsgId, Body);

fn mail(body: Body) -> Mail {
    (fresh_id(), body)
}

fn fresh_id() -> ClientMsgId {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut random = [0; 10];
    random[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    ClientMsgId::new(NOW, &random)
}

fn envelope(thread: ThreadId, user: UserId, from: u32) -> MailEnvelope {
    let deliver = wire::DeliverMail {
        mail_seq: 1,
        server_time_ms: 2 * NOW,
        thread_id: thread.to_wire(),
        sender_user_id: user.to_wire(),
        sender_device_id: from,
        ..wire::DeliverMail::default()
    };
    MailEnvelope::parse(deliver).unwrap()
}

/// What happens on the primary device before or during the transfer.
#[derive(Debug, Clone)]
enum Did {
    /// A message of the peer, or of ours, with so many words, and perhaps a timer.
    Message {
        thread: usize,
        is_ours: bool,
        words: usize,
        timer: u32,
    },
    Poll {
        thread: usize,
    },
    Note {
        words: usize,
    },
    /// Changes one of the messages, by us or by the peer.
    Change {
        of: usize,
        is_ours: bool,
        kind: usize,
    },
    /// Marks a thread as read up to one of its messages.
    Read {
        of: usize,
    },
    Hide {
        of: usize,
    },
    Setting {
        thread: usize,
        kind: usize,
    },
}

fn did() -> impl Strategy<Value = Did> {
    let words = prop_oneof![6 => 1..30_usize, 1 => 3_000..6_000_usize];
    prop_oneof![
        8 => (0..2_usize, any::<bool>(), words, prop_oneof![3 => Just(0), 1 => Just(6_000_u32)])
            .prop_map(|(thread, is_ours, words, timer)| Did::Message { thread, is_ours, words, timer }),
        1 => (0..2_usize).prop_map(|thread| Did::Poll { thread }),
        1 => (1..9_usize).prop_map(|words| Did::Note { words }),
        6 => (any::<usize>(), any::<bool>(), 0..7_usize)
            .prop_map(|(of, is_ours, kind)| Did::Change { of, is_ours, kind }),
        2 => any::<usize>().prop_map(|of| Did::Read { of }),
        1 => any::<usize>().prop_map(|of| Did::Hide { of }),
        2 => (0..2_usize, 0..7_usize).prop_map(|(thread, kind)| Did::Setting { thread, kind }),
    ]
}

/// A message that was sent, for changes of it.
#[derive(Clone, Copy)]
struct Sent {
    thread: ThreadId,
    target: Target,
    is_poll: bool,
}

/// What has been sent so far, the same for all devices.
#[derive(Default)]
struct World {
    sent: Vec<Sent>,
    places: BTreeMap<ThreadId, u64>,
}

/// A content with its place in a thread, as each device of ours receives it.
#[derive(Clone)]
struct Post {
    origin: Origin,
    place: u64,
    body: Body,
    timer: u32,
}

impl World {
    fn next(&mut self, thread: ThreadId, is_ours: bool, body: Body, timer: u32) -> Post {
        let place = self.places.entry(thread).or_default();
        *place += 1;
        let peer = PEERS[THREADS.iter().position(|known| *known == thread).unwrap()];
        let author = if is_ours { US } else { peer };
        let (content_id, sent_ms) = (fresh_id(), 1_000 * *place);
        let order = order_of(1, *place).unwrap();
        Post { origin: Origin { thread, author, content_id, sent_ms, order }, place: *place, body, timer }
    }

    fn message(&mut self, thread: ThreadId, is_ours: bool, body: Body, timer: u32) -> Post {
        let is_poll = matches!(body, Body::Poll(_));
        let post = self.next(thread, is_ours, body, timer);
        let target = Target { author: post.origin.author, id: post.origin.content_id };
        self.sent.push(Sent { thread, target, is_poll });
        post
    }

    fn change(&mut self, of: usize, is_ours: bool, kind: usize) -> Option<Post> {
        let Sent { thread, target, is_poll } = *self.sent.get(of % self.sent.len().max(1))?;
        let is_author = (target.author == US) == is_ours;
        let emoji = |text: &str| EmojiSequence::new(text.to_owned());
        let body = match kind {
            0 => Body::Reaction(Reaction { target, emoji: emoji("👍") }),
            1 => Body::Reaction(Reaction { target, emoji: None }),
            2 => Body::Pin(Pin { target, is_pinned: true }),
            3 => Body::Pin(Pin { target, is_pinned: false }),
            4 if is_poll => Body::Vote(Vote { target, choices: Choices::new(vec![1]).unwrap() }),
            5 if is_author && !is_poll => {
                let text = words(self.sent.len(), if of.is_multiple_of(5) { 7_000 } else { 4 });
                Body::Edit(Edit { message: target.id, text, markup: Markup::default() })
            }
            6 if is_author => Body::Delete(target.id),
            _ => return None,
        };
        Some(self.next(thread, is_ours, body, 0))
    }
}

/// A text that is found by the first of its words.
fn words(seed: usize, count: usize) -> String {
    (0..count).map(|n| format!("word{} ", (seed * 7 + n) % 23)).collect()
}

/// A device of ours receives a post, or has sent it.
fn receive(tx: &mut Tx<'_>, post: Post) -> crate::Result<()> {
    let Post { origin, place, body, timer } = post;
    let thread = origin.thread;
    let peer = PEERS[THREADS.iter().position(|known| *known == thread).unwrap()];
    tx.put_thread(Thread { id: thread, peer: Some(peer), roster_version: 1 }, 1)?;
    if tx.was_applied(origin.author, origin.content_id)? {
        return Ok(());
    }
    if !body.kind().is_shown() {
        tx.account_for(thread, 1, place)?;
        tx.set_applied(origin.author, origin.content_id, NOW)?;
        let applying = Applying { origin, now_ms: NOW, limits: ChangeLimits::NONE };
        return apply_change(tx, &applying, body);
    }
    let number = Number { run: Run([origin.author.as_bytes()[0]; 8]), count: place };
    tx.insert_incoming(&NewIncoming {
        thread,
        author: origin.author,
        device: DeviceId::PRIMARY,
        is_ours: origin.author == US,
        what: Arrived::Content(origin.content_id, body),
        sent_ms: origin.sent_ms,
        timer: Timer::new(timer).unwrap(),
        server_ms: origin.sent_ms + 1,
        epoch: 1,
        server_seq: place,
        number: Some(number),
        after: None,
        roster: None,
    })?;
    tx.account_for(thread, 1, place)?;
    apply_to(tx, &origin, (NOW, ChangeLimits::NONE))
}

/// What happens on the primary. Returns the post that others receive, too.
async fn happen(primary: &Side, world: &mut World, did: Did) -> Option<Post> {
    let post = match did {
        Did::Message { thread, is_ours, words: count, timer } => {
            let body = Body::text(words(world.sent.len(), count));
            world.message(THREADS[thread], is_ours, body, timer)
        }
        Did::Poll { thread } => {
            let options = ["a", "b"].map(str::to_owned).to_vec();
            let poll = Poll::new("where?".to_owned(), options, true).unwrap();
            world.message(THREADS[thread], false, Body::Poll(poll), 0)
        }
        Did::Note { words: count } => {
            let body = Body::text(words(world.sent.len(), count));
            let us = (US, DeviceId::PRIMARY);
            primary
                .write(move |tx| {
                    let thread = tx.open_note_to_self(US, 1)?;
                    let new = NewOutgoing { thread, us, content_id: fresh_id(), sent_ms: NOW, body };
                    let queued = tx.enqueue(new)?;
                    tx.settle_alone(thread, queued).map(drop)
                })
                .await;
            return None;
        }
        Did::Change { of, is_ours, kind } => world.change(of, is_ours, kind)?,
        Did::Read { of } | Did::Hide { of } => {
            let sent = *world.sent.get(of % world.sent.len().max(1))?;
            let is_read = matches!(did, Did::Read { .. });
            primary
                .write(move |tx| {
                    let Some(id) = tx.message_of(sent.target.author, sent.target.id)? else { return Ok(()) };
                    if is_read {
                        let moment = tx.moment(sent.thread)?;
                        return tx.mark_read(sent.thread, id, moment, 500).map(drop);
                    }
                    tx.hide(sent.thread, id, NOW).map(drop)
                })
                .await;
            return None;
        }
        Did::Setting { thread, kind } => {
            decide(primary, thread, kind, true).await;
            return None;
        }
    };
    let copy = post.clone();
    primary.write(move |tx| receive(tx, copy)).await;
    Some(post)
}

/// The person decides something about a thread or its other member on a device.
async fn decide(side: &Side, thread: usize, kind: usize, is_on: bool) {
    let (thread, peer, number) = (THREADS[thread], PEERS[thread], side.us.device.get());
    let work = move |tx: &mut Tx<'_>| {
        if tx.kind(thread)?.is_none() {
            return Ok(());
        }
        match kind {
            0 => tx.set_draft(thread, is_on.then_some(format!("a draft on {number}").as_str())),
            1 => tx.set_muted_until(thread, if is_on { NOW * u64::from(number + 1) } else { 0 }),
            2 => tx.set_archived(thread, is_on),
            3 => tx.set_pinned(thread, is_on),
            4 => tx.set_marked_unread(thread, is_on),
            5 => tx.set_blocked(peer, is_on, NOW).map(drop),
            6 => tx.set_trust(peer, if is_on { TrustState::Verified } else { TrustState::FirstUse }),
            _ => tx.set_privacy(Some(thread), PrivacySetting::ReadReceipts, !is_on),
        }
    };
    side.write(work).await;
}

/// A device tells the other one what was decided on it.
async fn tell(from: &Side, to: &Side, at_ms: u64) {
    let us = from.us.device;
    let told = from.write(move |tx| {
        if !tx.is_state_due()? {
            return Ok(None);
        }
        let new = NewMail {
            thread: note_to_self(US),
            to: US,
            slot: Some(STATE_SLOT),
            content_id: fresh_id(),
            sent_ms: at_ms,
            body: Body::AccountState(AccountState::default()),
            due_ms: 0,
        };
        tx.queue_mail(&new)?;
        let due = tx.due_mail(at_ms, &HashSet::new(), (100, usize::MAX))?;
        let is_ours = |due: DueMail| match due {
            DueMail::Readable(mail) if mail.sealed.is_none() => Some(mail.id),
            _ => None,
        };
        let Some(mail) = due.into_iter().find_map(is_ours) else { return Ok(None) };
        let items = tx.take_due_state(mail, (us, at_ms))?;
        let parcel = Parcel { client_msg_id: fresh_id(), bytes: Bytes::new() };
        let name = parcel.client_msg_id;
        let _ = tx.set_mail_sealed(mail, parcel, at_ms)?;
        tx.settle_mail((mail, Some(name), MailOutcome::Done))?;
        Ok(Some(Body::AccountState(AccountState { items })))
    });
    if let Some(body) = told.await {
        to.arrive(us.get(), mail(body)).await;
    }
}

/// A message without what is different on each device.
fn plain(message: Message) -> Message {
    let position = Position { order: message.position.order, id: 0 };
    Message { id: MessageId(0), position, ..message }
}

/// What people see of a thread.
#[derive(Debug, PartialEq)]
struct Seen {
    messages: Vec<Message>,
    belongings: Vec<String>,
    pinned: Vec<Message>,
    listed: String,
}

/// What people see on a device.
async fn seen(side: &Side) -> (Vec<Seen>, Vec<Vec<Message>>, String) {
    while side.read(|rows| rows.index_is_behind()).await {
        side.write(|tx| tx.feed_index(100)).await;
    }
    side.read(|rows| {
        let mut all = Vec::new();
        for thread in THREADS.into_iter().chain([note_to_self(US)]) {
            let Some(listed) = rows.listed_thread(thread)? else { continue };
            let page = rows.page(thread, None, 500)?;
            assert!(page.older.is_none());
            let is_common = |message: &Message| {
                !matches!(message.direction, Direction::Outgoing(Delivery::Queued | Delivery::Failed(_)))
                    && !matches!(message.body, MessageBody::Undecryptable(_))
            };
            let (mut messages, mut belongings) = (Vec::new(), Vec::new());
            for message in page.messages.into_iter().filter(is_common) {
                let of = (thread, message.id);
                let versions = rows.versions(thread, message.id)?.map(|versions| {
                    versions.into_iter().map(|version| (version.text, version.sent_ms)).collect::<Vec<_>>()
                });
                let votes: Vec<_> =
                    rows.votes(of, None, 100)?.into_iter().map(|vote| (vote.author, vote.choices)).collect();
                belongings.push(format!(
                    "{versions:?} {votes:?} {:?} {:?}",
                    rows.reactions(of, None, 100)?,
                    rows.details(thread, message.id)?
                ));
                messages.push(plain(message));
            }
            let others: Vec<_> = listed
                .others
                .iter()
                .map(|other| (other.user, other.trust, other.is_blocked, other.name.clone()))
                .collect();
            let listed = format!(
                "{:?} {:?} {} {} {} {:?} {:?} {} {} {others:?} {} {:?} {:?}",
                listed.kind,
                listed.folder,
                listed.unread,
                listed.mentions,
                listed.is_marked_unread,
                listed.muted_until_ms,
                listed.draft,
                listed.is_request,
                listed.place.is_pinned(),
                listed.activity_ms,
                rows.timer(thread)?,
                rows.privacy(Some(thread), PrivacySetting::ReadReceipts)?,
            );
            let pinned = rows.pinned(thread)?.into_iter().map(plain).collect();
            all.push(Seen { messages, belongings, pinned, listed });
        }
        let mut found = Vec::new();
        for word in ["word1", "word7", "wor"] {
            let hits = rows.find_messages(&Search::new(word), 100)?.hits;
            let common = hits.into_iter().filter(|hit| hit.message.server_seq.is_some());
            found.push(common.map(|hit| plain(hit.message)).collect());
        }
        let mut people = String::new();
        for user in PEERS.into_iter().chain([US]) {
            let (profile, key) =
                (rows.profile(user)?.map(|profile| profile.profile.name), rows.account_key_of(user)?);
            people += &format!("{:?} {profile:?} {} ", rows.trust(user)?, key.is_some() || user == US);
            if user != US {
                people +=
                    &format!("{:?} {:?}", key.map(|key| key.serialize()), rows.device_list_bytes(user)?);
            }
        }
        Ok((all, found, people))
    })
    .await
}

/// Two devices of ours, of which the second was linked and has asked. What has happened before is only known to the first.
async fn linked(before: &[Did], since: Option<u64>) -> (Side, Side, World, VecDeque<Mail>) {
    let (primary, companion, mut world) = (Side::new(1).await, Side::new(2).await, World::default());
    primary
        .write(|tx| {
            // One contact has signed a list and was verified, and one is from before lists.
            let list = list_of(PEERS[0], 9, 2);
            tx.adopt_list(PEERS[0], None, &list)?;
            tx.set_trust(PEERS[0], TrustState::Verified)?;
            let identity = *IdentityKeyPair::generate(&mut StdRng::seed_from_u64(4)).public();
            let old = Device { user: PEERS[1], device: DeviceId::PRIMARY, registration_id: 1, identity };
            tx.see_devices(PEERS[1], &[old])?;
            tx.set_trust(PEERS[1], TrustState::Verified)?;
            let name = |name: &str| Profile { name: name.to_owned(), ..Profile::default() };
            tx.set_profile(PEERS[1], &Revised { profile: name("Cam"), revision: 3 })?;
            tx.ensure_contact(PEERS[2])?;
            tx.set_our_profile(US, name("Ada"), 5)
        })
        .await;
    for did in before {
        happen(&primary, &mut world, did.clone()).await;
    }
    primary.write(move |tx| tx.offer_bootstrap(device(2), since)).await;
    companion.write(|tx| tx.ask_for_bootstrap(TRANSFER)).await;
    companion.ask(&primary).await;
    (primary, companion, world, VecDeque::new())
}

/// Lets the transfer run to its end, and returns how many pieces there were.
async fn finish(primary: &Side, companion: &Side) -> usize {
    let mut count = 0;
    for _ in 0..100 {
        for piece in primary.make_window().await {
            count += 1;
            companion.arrive(1, piece).await;
        }
        while let Some(answers) = companion.apply().await {
            for answer in answers {
                primary.arrive(2, answer).await;
            }
        }
        if companion.is_done().await {
            return count;
        }
    }
    panic!("the transfer does not end");
}

/// What happens to the transfer, besides its going on.
#[derive(Debug, Clone, Copy)]
enum Step {
    Make,
    Deliver(usize),
    Twice(usize),
    Lose(usize),
    Apply,
    AskAgain,
    Kill(bool),
    Live,
    /// The person decides something about a thread, on the companion or on the primary.
    Decide(bool, usize, usize, bool),
    /// The companion tells the primary what was decided, or the other way round.
    Tell(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Make),
        6 => any::<usize>().prop_map(Step::Deliver),
        2 => any::<usize>().prop_map(Step::Twice),
        1 => any::<usize>().prop_map(Step::Lose),
        6 => Just(Step::Apply),
        1 => Just(Step::AskAgain),
        1 => any::<bool>().prop_map(Step::Kill),
        2 => Just(Step::Live),
        2 => (any::<bool>(), 0..2_usize, 0..8_usize, any::<bool>())
            .prop_map(|(on_companion, thread, kind, is_on)| Step::Decide(on_companion, thread, kind, is_on)),
        1 => any::<bool>().prop_map(Step::Tell),
    ]
}

async fn check(before: Vec<Did>, steps: Vec<Step>, live: Vec<Did>) {
    let (mut primary, mut companion, mut world, mut on_the_way) = linked(&before, Some(0)).await;
    let mut live = live.into_iter();
    let mut again = Vec::new();
    let mut clock_ms = NOW;
    for step in steps {
        clock_ms += 1_000;
        let pick = |n: usize, all: &VecDeque<Mail>| n % all.len().max(1);
        match step {
            Step::Make => {
                if let Made::Piece(body) = primary.make().await {
                    on_the_way.push_back(mail(body));
                }
            }
            Step::Deliver(n) | Step::Twice(n) => {
                let at = pick(n, &on_the_way);
                let Some(piece) = on_the_way.remove(at) else { continue };
                companion.arrive(1, piece.clone()).await;
                if matches!(step, Step::Twice(_)) {
                    companion.arrive(1, piece.clone()).await;
                    again.push(piece);
                }
            }
            Step::Lose(n) => drop(on_the_way.remove(pick(n, &on_the_way))),
            Step::Apply => {
                for answer in companion.apply().await.unwrap_or_default() {
                    primary.arrive(2, answer).await;
                }
            }
            Step::AskAgain => {
                if let Some(body) = companion.write(|tx| ask(tx, device(2), NOW)).await {
                    primary.arrive(2, mail(body)).await;
                }
            }
            Step::Decide(on_companion, thread, kind, is_on) => {
                decide(if on_companion { &companion } else { &primary }, thread, kind, is_on).await;
            }
            Step::Tell(true) => tell(&companion, &primary, clock_ms).await,
            Step::Tell(false) => tell(&primary, &companion, clock_ms).await,
            Step::Kill(true) => primary.restart().await,
            Step::Kill(false) => companion.restart().await,
            Step::Live => {
                let did = live.next();
                let happened = match did {
                    Some(did @ (Did::Message { .. } | Did::Poll { .. } | Did::Change { .. })) => {
                        happen(&primary, &mut world, did).await
                    }
                    _ => None,
                };
                if let Some(post) = happened {
                    companion.write(move |tx| receive(tx, post)).await;
                }
            }
        }
    }
    // What was lost is asked for again, and then nothing more happens.
    if let Some(body) = companion.write(|tx| ask(tx, device(2), NOW)).await {
        primary.arrive(2, mail(body)).await;
        finish(&primary, &companion).await;
    }
    // What follows from what was told is told, too.
    for _ in 0..3 {
        clock_ms += 1_000;
        tell(&companion, &primary, clock_ms).await;
        tell(&primary, &companion, clock_ms).await;
    }
    let (expected, got) = (seen(&primary).await, seen(&companion).await);
    assert_eq!(got, expected);
    // Old pieces change nothing.
    for (_, body) in again {
        companion.arrive(1, mail(body)).await;
        assert!(companion.apply().await.is_none());
    }
    assert!(primary.read(|rows| rows.outgoing_bootstraps()).await.is_empty());
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_companion_shows_the_same_as_the_primary(
        before in proptest::collection::vec(did(), 0..60),
        steps in proptest::collection::vec(step(), 0..60),
        live in proptest::collection::vec(did(), 10),
    ) {
        runtime().block_on(check(before, steps, live));
    }
}

#[test]
fn an_edit_that_came_before_its_message_has_its_versions_once() {
    let message = Did::Message { thread: 0, is_ours: true, words: 1, timer: 0 };
    for kind in 0..7 {
        let change = Did::Change { of: 0, is_ours: true, kind };
        runtime().block_on(check(vec![message.clone()], vec![Step::Live], vec![change]));
    }
}

fn texts(count: usize, words: usize) -> Vec<Did> {
    (0..count).map(|n| Did::Message { thread: n % 2, is_ours: n % 3 == 0, words, timer: 0 }).collect()
}

#[tokio::test]
async fn one_window_at_a_time_is_on_its_way() {
    // 120 texts of 42 kB are 5 MB.
    let (primary, companion, ..) = linked(&texts(120, 6_500), Some(0)).await;
    let going_on = async |side: &Side| {
        let all = side.read(unfinished).await;
        all.into_iter().map(|progress| (progress.device, progress.sent, progress.total)).collect::<Vec<_>>()
    };
    assert_eq!(going_on(&companion).await, [(device(2), 0, 0)]);
    let first = primary.make_window().await;
    let [(to, sent, total)] = going_on(&primary).await[..] else { panic!("one transfer goes on") };
    assert!(to == device(2) && (1..120).contains(&sent) && total >= sent, "{sent} of {total}");
    let size = |window: &[Mail]| window.iter().map(|(_, body)| body.to_bytes().len()).sum::<usize>();
    assert!((3 << 20..=4 << 20).contains(&size(&first)), "{}", size(&first));
    assert!(primary.make_window().await.is_empty());
    for piece in first {
        companion.arrive(1, piece).await;
    }
    let mut answers = Vec::new();
    while let Some(answer) = companion.apply().await {
        answers.extend(answer);
    }
    assert_eq!(answers.len(), 1);
    assert_eq!(going_on(&companion).await, [(device(2), sent, total)]);
    primary.arrive(2, answers.remove(0)).await;
    assert!(finish(&primary, &companion).await > 10);
    assert!(going_on(&primary).await.is_empty() && going_on(&companion).await.is_empty());
    assert_eq!(seen(&companion).await, seen(&primary).await);
}

#[tokio::test]
async fn the_person_chooses_how_many_messages_are_sent() {
    // The relay has stored the messages of each thread at 1,001, 2,001 and so on.
    for (since, expected) in [(None, 0), (Some(4_000), 4), (Some(0), 10)] {
        let (primary, companion, ..) = linked(&texts(10, 3), since).await;
        finish(&primary, &companion).await;
        let (all, ..) = seen(&companion).await;
        assert_eq!(all.len(), 2, "the threads are there");
        assert_eq!(all.iter().map(|thread| thread.messages.len()).sum::<usize>(), expected, "{since:?}");
    }
}

#[tokio::test]
async fn versions_that_do_not_fit_beside_their_message_follow_it() {
    let message = Did::Message { thread: 0, is_ours: false, words: 5_000, timer: 0 };
    // A short edit, and then three of 46 kB each.
    let edit = |of| Did::Change { of, is_ours: false, kind: 5 };
    for edits in [vec![], vec![1], vec![0], vec![1, 0, 0, 0]] {
        let before: Vec<_> =
            [message.clone(), message.clone()].into_iter().chain(edits.into_iter().map(edit)).collect();
        let (primary, companion, ..) = linked(&before, Some(0)).await;
        finish(&primary, &companion).await;
        assert_eq!(seen(&companion).await, seen(&primary).await);
    }
}

#[tokio::test]
async fn what_was_deleted_or_has_expired_does_not_travel() {
    let message = |timer| Did::Message { thread: 0, is_ours: false, words: 2, timer };
    let mut before = vec![message(0), message(0), message(5)];
    before.extend([Did::Change { of: 0, is_ours: false, kind: 6 }, Did::Hide { of: 1 }]);
    let (primary, companion, world, _) = linked(&before, Some(0)).await;
    primary
        .write(move |tx| {
            let id = tx.message_of(world.sent[2].target.author, world.sent[2].target.id)?.unwrap();
            let moment = tx.moment(THREADS[0])?;
            tx.mark_read(THREADS[0], id, moment, 500)?;
            // It disappears at 6,000.
            tx.start_timers(1_000, 10)
        })
        .await;
    let sent: Vec<u8> =
        primary.make_window().await.into_iter().flat_map(|(_, body)| body.to_bytes()).collect();
    assert!(!sent.windows(4).any(|part| part == b"word"), "no text is left to send");
    companion.ask(&primary).await;
    finish(&primary, &companion).await;
    let (all, ..) = seen(&companion).await;
    let bodies: Vec<_> = all[0].messages.iter().map(|message| message.body.clone()).collect();
    assert_eq!(bodies, [MessageBody::Deleted]);
}

#[tokio::test]
async fn what_is_read_first_on_the_companion_is_confirmed_by_it() {
    let message = || Did::Message { thread: 0, is_ours: false, words: 2, timer: 0 };
    let read_one = Did::Read { of: 0 };
    let (primary, companion, world, _) = linked(&[message(), message(), message(), read_one], Some(0)).await;
    finish(&primary, &companion).await;
    let second = world.sent[1].target;
    let receipts = |rows: &Rows<'_>| {
        let of = |kind| rows.receipt(THREADS[0], PEERS[0], kind);
        crate::Result::Ok((of(ReceiptKind::Delivered)?, of(ReceiptKind::Read)?))
    };
    assert_eq!(companion.read(receipts).await, (None, None));
    companion
        .write(move |tx| {
            let id = tx.message_of(second.author, second.id)?.unwrap();
            let moment = tx.moment(THREADS[0])?;
            let read = tx.mark_read(THREADS[0], id, moment, 500)?;
            tx.note_read(&read.to_confirm).map(drop)
        })
        .await;
    // That it was delivered, and that the first one was read, the primary has said.
    let (delivered, read) = companion.read(receipts).await;
    assert_eq!(delivered, None);
    let marks = read.unwrap().marks;
    let [mark] = &marks[..] else { panic!("{marks:?}") };
    // The second message has the number 2.
    assert_eq!(mark.counts.ranges(), [(2, 2)]);
}

impl Side {
    /// Asks for what has not come.
    async fn ask(&self, primary: &Self) {
        let body = self.write(|tx| ask(tx, device(2), NOW)).await.unwrap();
        primary.arrive(2, mail(body)).await;
    }

    fn refused(events: &mut EventReceiver) -> Vec<UserId> {
        let mut refused = Vec::new();
        while let Some(event) = events.try_next() {
            if let Ok(Event::BootstrapRefused(user)) = event {
                refused.push(user);
            }
        }
        refused
    }
}

fn piece_of(transfer: Transfer, number: u64, items: &[Item]) -> Body {
    let mut list = Items::default();
    assert!(items.iter().all(|item| list.add(item)));
    Body::History(Box::new(Piece {
        transfer,
        number,
        ends_window: false,
        is_last: false,
        progress: Progress::default(),
        items: list,
    }))
}

#[tokio::test]
async fn what_nobody_has_asked_for_is_refused() {
    let (primary, companion, ..) = linked(&texts(3, 2), Some(0)).await;
    let pieces = primary.make_window().await;
    let (note, mut events) = (note_to_self(US), companion.events.subscribe());
    let good = || mail(pieces[0].1.clone());
    let refused_one = |events: &mut EventReceiver, who| assert_eq!(Side::refused(events), [who]);
    // From another person, in a thread with them and in the note to self; from another companion; in another thread.
    companion.arrive_from((PEERS[0], 1), THREADS[0], good()).await;
    refused_one(&mut events, PEERS[0]);
    companion.arrive_from((PEERS[0], 1), note, good()).await;
    refused_one(&mut events, PEERS[0]);
    companion.arrive(3, good()).await;
    refused_one(&mut events, US);
    companion.arrive_from((US, 1), THREADS[0], good()).await;
    refused_one(&mut events, US);
    // Another transfer, a round and a window that were not asked for.
    let transfer = Transfer { id: TRANSFER, device: device(2), round: 1 };
    let others = [
        (Transfer { id: TransferId([8; 16]), ..transfer }, 1),
        (Transfer { round: 2, ..transfer }, 1),
        (transfer, 5_000),
    ];
    for (transfer, number) in others {
        companion.arrive(1, mail(piece_of(transfer, number, &[]))).await;
        refused_one(&mut events, US);
    }
    // What is for another device has no effect.
    companion.arrive(1, mail(piece_of(Transfer { device: device(3), ..transfer }, 1, &[]))).await;
    assert_eq!(Side::refused(&mut events), []);
    assert!(companion.apply().await.is_none(), "nothing of it was kept");
    // A device that has not asked, and one that was not offered anything.
    let other = Side::new(3).await;
    let mut of_other = other.events.subscribe();
    other.arrive(1, mail(piece_of(Transfer { device: device(3), ..transfer }, 1, &[]))).await;
    refused_one(&mut of_other, US);
    let mut of_primary = primary.events.subscribe();
    let asked = |transfer, number| mail(Body::Bootstrap(Box::new(Bootstrap::Received { transfer, number })));
    primary.arrive(3, asked(Transfer { device: device(3), ..transfer }, 0)).await;
    refused_one(&mut of_primary, US);
    primary.arrive(2, asked(transfer, 99)).await;
    refused_one(&mut of_primary, US);
    // The transfer itself goes on.
    for piece in pieces {
        companion.arrive(1, piece).await;
    }
    while let Some(answers) = companion.apply().await {
        for answer in answers {
            primary.arrive(2, answer).await;
        }
    }
    finish_or_done(&primary, &companion).await;
    assert_eq!(seen(&companion).await, seen(&primary).await);
    assert_eq!(Side::refused(&mut events), []);
}

async fn finish_or_done(primary: &Side, companion: &Side) {
    if !companion.is_done().await {
        finish(primary, companion).await;
    }
}

#[tokio::test]
async fn rows_of_another_thread_are_refused_one_by_one() {
    let (primary, companion, ..) = linked(&texts(4, 2), Some(0)).await;
    let mut messages = Vec::new();
    for (_, body) in primary.make_window().await {
        if let Body::History(piece) = body {
            messages.extend(piece.items.iter().map(Result::unwrap));
        }
    }
    let change = |at: usize, change: &dyn Fn(&mut crate::content::MessageItem)| {
        let Item::Message(mut message) = messages[at].clone() else { panic!() };
        message.of = Some(message.of.unwrap_or_else(|| {
            let thread = if message.target.author == PEERS[1] { 1 } else { 0 };
            crate::content::InThread { thread: THREADS[thread], peer: Some(PEERS[thread]), roster_version: 1 }
        }));
        change(&mut message);
        Item::Message(message)
    };
    let theirs =
        messages.iter().position(|item| matches!(item, Item::Message(m) if m.target.author != US)).unwrap();
    let items = [
        // By somebody who is not in the thread; of a thread with somebody else; in the note to self; of ours, by another.
        change(theirs, &|message| message.target.author = PEERS[2]),
        change(theirs, &|message| {
            message.of.as_mut().unwrap().thread = THREADS[usize::from(message.target.author == PEERS[0])]
        }),
        change(theirs, &|message| message.of.as_mut().unwrap().thread = note_to_self(US)),
        change(theirs, &|message| message.state = crate::content::ItemState::Sent),
        // This one is right.
        change(theirs, &|_| {}),
    ];
    companion
        .write(|tx| {
            for (thread, peer) in THREADS.into_iter().zip(PEERS) {
                tx.put_thread(Thread { id: thread, peer: Some(peer), roster_version: 1 }, 1)?;
            }
            Ok(())
        })
        .await;
    let mut events = companion.events.subscribe();
    let transfer = Transfer { id: TRANSFER, device: device(2), round: 1 };
    companion.arrive(1, mail(piece_of(transfer, 1, &items))).await;
    assert!(companion.apply().await.is_some());
    assert_eq!(Side::refused(&mut events), [US]);
    let (all, ..) = seen(&companion).await;
    assert_eq!(all.iter().map(|thread| thread.messages.len()).sum::<usize>(), 1);
}

#[tokio::test]
async fn a_group_is_passed_on_with_what_everybody_in_it_has_written() {
    const GROUP: ThreadId = ThreadId::from_bytes([77; 16]);
    let (primary, companion, ..) = linked(&[], Some(0)).await;
    primary
        .write(|tx| {
            tx.put_thread(Thread { id: GROUP, peer: None, roster_version: 3 }, 1)?;
            for (author, seq) in [US, PEERS[0], PEERS[1], PEERS[2]].into_iter().zip(1..) {
                let what = Arrived::Content(fresh_id(), Body::text(format!("{seq}")));
                tx.insert_incoming(&NewIncoming {
                    thread: GROUP,
                    author,
                    device: device(1),
                    is_ours: author == US,
                    what,
                    sent_ms: 1_000,
                    timer: Timer::default(),
                    server_ms: 1_000,
                    epoch: 1,
                    server_seq: seq,
                    number: None,
                    after: None,
                    roster: None,
                })?;
            }
            Ok(())
        })
        .await;
    // The messages came before the transfer began, so they are part of it.
    finish(&primary, &companion).await;
    let read = companion.read(|rows| Ok((rows.thread(GROUP)?.unwrap(), rows.page(GROUP, None, 9)?.messages)));
    let (thread, messages) = read.await;
    assert_eq!((thread.peer, thread.roster_version), (None, 3));
    let authors: Vec<_> = messages.iter().rev().map(|message| message.sender).collect();
    assert_eq!(authors, [US, PEERS[0], PEERS[1], PEERS[2]]);
    let due = companion.read(|rows| rows.next_due_roster()).await;
    assert_eq!(due.map(|(thread, ..)| thread), Some(GROUP), "its members are in its chain");
}

#[tokio::test]
async fn a_contact_whose_key_is_not_the_compared_one_is_not_verified() {
    let (primary, companion, ..) = linked(&[], Some(0)).await;
    // The relay has shown the companion another list of Ben, and another key of Cam.
    companion
        .write(|tx| {
            tx.adopt_list(PEERS[0], None, &list_of(PEERS[0], 10, 1))?;
            let identity = *IdentityKeyPair::generate(&mut StdRng::seed_from_u64(5)).public();
            tx.see_devices(
                PEERS[1],
                &[Device { user: PEERS[1], device: DeviceId::PRIMARY, registration_id: 1, identity }],
            )
            .map(drop)
        })
        .await;
    let known = companion.read(|rows| rows.device_list_bytes(PEERS[0])).await;
    finish(&primary, &companion).await;
    let trust = companion.read(|rows| Ok([rows.trust(PEERS[0])?, rows.trust(PEERS[1])?])).await;
    let changed = Some(TrustState::ChangedSinceVerified);
    assert!(trust[1] == changed && known.is_some(), "{trust:?}");
    // Ben's list is signed by another account key, which replaces the one that was shown.
    let key = companion.read(|rows| rows.account_key_of(PEERS[0])).await;
    assert_eq!(key, primary.read(|rows| rows.account_key_of(PEERS[0])).await);
}

#[test]
fn a_companion_asks_again_after_an_hour_whatever_the_clock_was_before() {
    let hour_ms = 3_600_000;
    let asks = |asked_ms| super::is_time_to_ask(asked_ms, NOW + hour_ms);
    assert!(!asks(NOW + 1));
    assert!(asks(NOW));
    // It was set back since.
    assert!(!asks(NOW + hour_ms + 5_000));
    assert!(asks(NOW + 25 * hour_ms));
}
