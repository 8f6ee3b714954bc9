//! A relay that changes bundles, messages, and their addressing. The client reports each error, keeps valid messages,
//! and continues.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use prost::Message as _;
use sealpost_core::{Delivery, Direction, Error, FailReason, MessageBody, Undecryptable};
use sealpost_testkit::{Interceptor, Party, Proxy, World, eventually, history, other};
use sealpost_wire::frame::Body;
use sealpost_wire::{Bundle, Bundles, Deliver, Frame, OneTimeKey};

/// Changes every bundle while it is enabled.
struct BadBundles {
    change: Spoil,
    on: Arc<AtomicBool>,
}

impl Interceptor for BadBundles {
    fn answer(&self, request: &str, body: Vec<u8>) -> Vec<u8> {
        if !request.contains("/prekeys") || !self.on.load(Ordering::SeqCst) {
            return body;
        }
        let mut bundles: Bundles = sealpost_wire::decode(body.into()).unwrap();
        bundles.bundles.iter_mut().for_each(self.change);
        bundles.encode_to_vec()
    }
}

/// A public key of low order: with it every shared secret is zero.
fn low_order() -> Vec<u8> {
    let mut key = vec![0; 33];
    key[0] = 5;
    key
}

/// A modification that makes a bundle invalid.
type Spoil = fn(&mut Bundle);

const BAD_BUNDLES: &[(&str, Spoil)] = &[
    ("a bad signature", |bundle| {
        let key = bundle.signed_pre_key.as_mut().unwrap();
        key.signature = flipped(&key.signature, 40);
    }),
    ("a bad signature on the KEM key", |bundle| {
        let key = bundle.kem.as_mut().unwrap();
        key.signature = flipped(&key.signature, 3);
    }),
    ("another signed key", |bundle| {
        let key = bundle.signed_pre_key.as_mut().unwrap();
        key.public_key = flipped(&key.public_key, 20);
    }),
    ("a short key", |bundle| {
        let key = bundle.signed_pre_key.as_mut().unwrap();
        key.public_key = key.public_key.slice(..32);
    }),
    ("no signed key", |bundle| bundle.signed_pre_key = None),
    ("no KEM key", |bundle| bundle.kem = None),
    ("a short KEM key", |bundle| {
        let key = bundle.kem.as_mut().unwrap();
        key.public_key = key.public_key.slice(..1000);
    }),
    ("a short identity key", |bundle| bundle.identity_key = bundle.identity_key.slice(..5)),
    ("an identity key of low order", |bundle| bundle.identity_key = low_order().into()),
    ("a one-time key of low order", |bundle| {
        bundle.one_time = Some(OneTimeKey { id: 1, public_key: low_order().into() });
    }),
    ("an impossible device number", |bundle| bundle.device_id = 200),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_bundle_fails_the_message_and_stores_nothing() {
    let world = World::start().await;
    for (number, (name, change)) in BAD_BUNDLES.iter().enumerate() {
        let on = Arc::new(AtomicBool::new(true));
        let proxy = Proxy::start(world.addr(), BadBundles { change: *change, on: Arc::clone(&on) }).await;
        let ada = world.disk(&format!("ada {number}")).through(&proxy.url()).open_or_register().await;
        let ben = world.party(&format!("ben {number}")).await;
        let hers = ada.thread_with(&ben).await;
        let message = hers.send_text("to whom?").await.unwrap();
        let failed =
            |direction: &Direction| *direction == Direction::Outgoing(Delivery::Failed(FailReason::BadKeys));
        let failed = eventually(name, async || {
            history(&hers).await.into_iter().find(|message| failed(&message.direction))
        });
        failed.await;
        assert_eq!(other(&hers).await.safety_number().await, Err(Error::NotFound), "{name}");
        on.store(false, Ordering::SeqCst);
        hers.retry(message.id).await.unwrap();
        ada.message_reaches(&hers, message.id, Delivery::Delivered).await;
        ada.close().await;
        ben.close().await;
    }
}

/// A modification of an envelope from the relay.
type Change = fn(Deliver) -> Vec<Deliver>;

/// Changes the next envelope after it is armed.
#[derive(Clone, Default)]
struct NextEnvelope(Arc<Mutex<Option<Change>>>);

impl NextEnvelope {
    fn arm(&self, change: Change) {
        *self.0.lock().unwrap() = Some(change);
    }
}

impl Interceptor for NextEnvelope {
    fn down(&self, frame: Frame) -> Vec<Frame> {
        let Some(Body::Deliver(deliver)) = &frame.body else { return vec![frame] };
        let Some(change) = self.0.lock().unwrap().take() else { return vec![frame] };
        let changed = change(deliver.clone()).into_iter();
        changed.map(|deliver| Frame { body: Some(Body::Deliver(deliver)), ..frame.clone() }).collect()
    }
}

fn with_ciphertext(mut deliver: Deliver, change: impl FnOnce(&mut Vec<u8>)) -> Vec<Deliver> {
    let envelope = deliver.envelope.as_mut().unwrap();
    let mut ciphertext = envelope.ciphertext.to_vec();
    change(&mut ciphertext);
    envelope.ciphertext = ciphertext.into();
    vec![deliver]
}

const CHANGES: &[(&str, Change, Undecryptable)] = &[
    (
        "an unknown kind",
        |mut deliver| {
            deliver.envelope.as_mut().unwrap().kind = 11;
            vec![deliver]
        },
        Undecryptable::UnsupportedVersion,
    ),
    (
        "an unknown version",
        |deliver| with_ciphertext(deliver, |bytes| bytes[0] = 0x99),
        Undecryptable::UnsupportedVersion,
    ),
    ("nothing", |deliver| with_ciphertext(deliver, Vec::clear), Undecryptable::Malformed),
    (
        "half a message",
        |deliver| with_ciphertext(deliver, |bytes| bytes.truncate(20)),
        Undecryptable::Malformed,
    ),
    ("garbage", |deliver| with_ciphertext(deliver, |bytes| bytes[1..].fill(0xa5)), Undecryptable::Malformed),
    (
        "a flipped bit",
        |deliver| {
            with_ciphertext(deliver, |bytes| {
                let middle = bytes.len() - 30;
                bytes[middle] ^= 1;
            })
        },
        Undecryptable::NotDecryptable,
    ),
    (
        "a sender who is not a member of the thread",
        |mut deliver| {
            deliver.sender_user_id = flipped(&deliver.sender_user_id, 0);
            vec![deliver]
        },
        Undecryptable::Misrouted,
    ),
    ("no envelope", |deliver| vec![Deliver { envelope: None, ..deliver }], Undecryptable::UnsupportedVersion),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_message_becomes_a_row_with_its_cause_and_the_next_is_read() {
    let world = World::start().await;
    let next = NextEnvelope::default();
    let proxy = Proxy::start(world.addr(), next.clone()).await;
    let ada = world.party("ada").await;
    let ben = world.disk("ben").through(&proxy.url()).open_or_register().await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    let mut expected = Vec::new();
    for (name, change, cause) in CHANGES {
        // No other envelope is in flight, so the message is changed.
        nothing_waits(&world).await;
        next.arm(*change);
        hers.send_text(name).await.unwrap();
        expected.push(MessageBody::Undecryptable(*cause));
        bodies(&ben, &his, &expected, name).await;
        let after = hers.send_text("after").await.unwrap();
        ada.message_reaches(&hers, after.id, Delivery::Delivered).await;
        expected.push(MessageBody::Text("after".to_owned()));
        bodies(&ben, &his, &expected, name).await;
    }
    nothing_waits(&world).await;
}

/// The message, moved to a thread that does not exist.
fn moved(deliver: &Deliver) -> Deliver {
    let mut moved = deliver.clone();
    let key = moved.key.as_mut().unwrap();
    key.thread_id = flipped(&key.thread_id, 7);
    moved
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_the_wrong_thread_creates_none_and_can_still_be_opened_in_its_own() {
    let world = World::start().await;
    let next = NextEnvelope::default();
    let proxy = Proxy::start(world.addr(), next.clone()).await;
    let ada = world.party("ada").await;
    let ben = world.disk("ben").through(&proxy.url()).open_or_register().await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    // The first message of a session, one of an existing session, and one that was opened before.
    let changes: [(&str, Change); 3] = [
        ("first", |deliver| vec![moved(&deliver), deliver]),
        ("second", |deliver| vec![moved(&deliver), deliver]),
        ("third", |deliver| vec![deliver.clone(), moved(&deliver)]),
    ];
    for (text, change) in changes {
        nothing_waits(&world).await;
        next.arm(change);
        let message = hers.send_text(text).await.unwrap();
        ada.message_reaches(&hers, message.id, Delivery::Delivered).await;
    }
    // Envelopes are handled in order, so the moved ones were handled before this one.
    nothing_waits(&world).await;
    hers.send_text("fourth").await.unwrap();
    let texts = ["first", "second", "third", "fourth"].map(|text| MessageBody::Text(text.to_owned()));
    bodies(&ben, &his, &texts, "in its place").await;
    let threads: Vec<_> = ben.client.threads().await.unwrap().iter().map(|thread| thread.id()).collect();
    assert_eq!(threads, [his.id()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_may_begin_with_an_undecryptable_message() {
    let world = World::start().await;
    let next = NextEnvelope::default();
    let proxy = Proxy::start(world.addr(), next.clone()).await;
    let ada = world.party("ada").await;
    let ben = world.disk("ben").through(&proxy.url()).open_or_register().await;
    let hers = ada.thread_with(&ben).await;
    next.arm(|deliver| with_ciphertext(deliver, |bytes| bytes[1..].fill(0xa5)));
    hers.send_text("the first of all").await.unwrap();
    let his = eventually("a thread", async || ben.client.threads().await.unwrap().pop()).await;
    assert_eq!(his.id(), hers.id());
    bodies(&ben, &his, &[MessageBody::Undecryptable(Undecryptable::Malformed)], "its cause").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_delivered_repeatedly_is_shown_once() {
    let world = World::start().await;
    let next = NextEnvelope::default();
    let proxy = Proxy::start(world.addr(), next.clone()).await;
    let ada = world.party("ada").await;
    let ben = world.disk("ben").through(&proxy.url()).open_or_register().await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    for text in ["first", "second", "third"] {
        nothing_waits(&world).await;
        next.arm(|deliver| vec![deliver; 20]);
        let message = hers.send_text(text).await.unwrap();
        ada.message_reaches(&hers, message.id, Delivery::Delivered).await;
    }
    let texts = ["first", "second", "third"].map(|text| MessageBody::Text(text.to_owned()));
    bodies(&ben, &his, &texts, "once each").await;
}

/// The message with some bits changed, under the same id.
fn damaged(deliver: Deliver) -> Deliver {
    let changed = with_ciphertext(deliver, |bytes| {
        let middle = bytes.len() - 30;
        bytes[middle] ^= 1;
    });
    changed.into_iter().next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_copy_is_replaced_by_the_intact_message() {
    let world = World::start().await;
    let next = NextEnvelope::default();
    let proxy = Proxy::start(world.addr(), next.clone()).await;
    let ada = world.party("ada").await;
    let ben = world.disk("ben").through(&proxy.url()).open_or_register().await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    let changes: [(&str, Change); 3] = [
        ("after one", |deliver| vec![damaged(deliver.clone()), deliver]),
        ("after several", |deliver| {
            vec![damaged(deliver.clone()), moved(&deliver), damaged(deliver.clone()), deliver]
        }),
        ("before one", |deliver| vec![deliver.clone(), damaged(deliver)]),
    ];
    for (text, change) in changes {
        nothing_waits(&world).await;
        next.arm(change);
        let message = hers.send_text(text).await.unwrap();
        ada.message_reaches(&hers, message.id, Delivery::Delivered).await;
    }
    nothing_waits(&world).await;
    let texts = changes.map(|(text, _)| MessageBody::Text(text.to_owned()));
    bodies(&ben, &his, &texts, "the intact messages").await;
    eventually("it is found", async || {
        (ben.client.search("after", 5).await.unwrap().len() == 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_id_that_the_relay_states_is_not_trusted() {
    let world = World::start().await;
    let next = NextEnvelope::default();
    let proxy = Proxy::start(world.addr(), next.clone()).await;
    let ada = world.party("ada").await;
    let ben = world.disk("ben").through(&proxy.url()).open_or_register().await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    // Each message under the same id, as if it were a repetition of the previous one.
    for text in ["first", "second", "third"] {
        nothing_waits(&world).await;
        next.arm(|deliver| vec![Deliver { client_msg_id: vec![7; 16].into(), ..deliver }]);
        let message = hers.send_text(text).await.unwrap();
        ada.message_reaches(&hers, message.id, Delivery::Delivered).await;
    }
    let texts = ["first", "second", "third"].map(|text| MessageBody::Text(text.to_owned()));
    bodies(&ben, &his, &texts, "each of them").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn implausibly_large_numbers_from_the_relay_are_refused() {
    let world = World::start().await;
    let next = NextEnvelope::default();
    let proxy = Proxy::start(world.addr(), next.clone()).await;
    let ada = world.party("ada").await;
    let ben = world.disk("ben").through(&proxy.url()).open_or_register().await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    next.arm(|deliver| {
        let mut lie = deliver.clone();
        lie.key.as_mut().unwrap().server_seq = u64::MAX;
        let nowhere = Deliver { key: None, ..deliver.clone() };
        let epoch = Deliver { epoch: u64::MAX, ..deliver.clone() };
        vec![lie, nowhere, epoch, deliver]
    });
    let message = hers.send_text("true").await.unwrap();
    ada.message_reaches(&hers, message.id, Delivery::Delivered).await;
    bodies(&ben, &his, &[MessageBody::Text("true".to_owned())], "the valid message").await;
}

/// Waits until a thread has these bodies, in this order.
async fn bodies(party: &Party, thread: &sealpost_core::Thread, expected: &[MessageBody], what: &str) {
    let of_thread = async || {
        let messages = history(thread).await;
        messages.into_iter().map(|message| message.body).collect::<Vec<_>>()
    };
    party.texts_when(thread, expected.len()).await;
    assert_eq!(of_thread().await, expected, "{what}");
}

/// Waits until all rows at the relay were acknowledged.
async fn nothing_waits(world: &World) {
    eventually("an empty mailbox", async || {
        let db = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
        let rows: i64 = db.query_row("SELECT count(*) FROM inbox", [], |row| row.get(0)).unwrap();
        (rows == 0).then_some(())
    })
    .await;
}

fn flipped(bytes: &[u8], at: usize) -> prost::bytes::Bytes {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes.into()
}
