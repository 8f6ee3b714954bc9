//! Messages that were sealed in a session and arrive after another session has replaced it.

#![cfg(test)]

use std::mem::take;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use prost::Message as _;
use sealpost_core::{Delivery, SessionPolicy};
use sealpost_testkit::{
    Interceptor, Pair, Party, PartyDisk, Proxy, World, history, open_database, texts, when, within,
};
use sealpost_wire::frame::Body;
use sealpost_wire::{Bundles, Frame};

/// Removes KEM pre-keys from bundles while it is enabled, as if devices had none.
#[derive(Clone, Default)]
struct WithoutKem(Arc<AtomicBool>);

impl Interceptor for WithoutKem {
    fn answer(&self, request: &str, body: Vec<u8>) -> Vec<u8> {
        if !self.0.load(Ordering::SeqCst) || !request.contains("/prekeys") {
            return body;
        }
        let mut bundles = sealpost_wire::decode::<Bundles>(body.into()).unwrap();
        bundles.bundles.iter_mut().for_each(|bundle| bundle.kem = None);
        bundles.encode_to_vec()
    }
}

/// Holds back frames of a client while it is enabled, and releases them with the next frame.
#[derive(Clone, Default)]
struct Slow {
    holds: Arc<AtomicBool>,
    held: Arc<Mutex<Vec<Frame>>>,
}

impl Interceptor for Slow {
    fn up(&self, frame: Frame) -> Vec<Frame> {
        let mut held = self.held.lock().unwrap();
        if self.holds.load(Ordering::SeqCst) {
            if matches!(frame.body, Some(Body::Send(_))) {
                held.push(frame);
                return Vec::new();
            }
            return vec![frame];
        }
        let mut frames = take(&mut *held);
        frames.push(frame);
        frames
    }
}

/// The sessions in a closed database: for each its version, and whether it is the active one.
fn sessions(disk: &PartyDisk) -> Vec<(u8, bool)> {
    let database = open_database(disk.database(), &disk.key());
    let mut rows = database.prepare("SELECT session_id, active FROM session ORDER BY rank").unwrap();
    let sessions = rows.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?[0], row.get(1)?))).unwrap();
    sessions.map(Result::unwrap).collect()
}

/// Sends a text and waits until it is delivered.
async fn tell(from: &Party, to: &Party, text: &str) {
    let thread = from.thread_with(to).await;
    let sent = thread.send_text(text).await.unwrap();
    from.message_reaches(&thread, sent.id, Delivery::Delivered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_message_of_a_replaced_session_is_read_and_does_not_reactivate_it() {
    let world = World::start().await;
    let (without_kem, slow) = (WithoutKem::default(), Slow::default());
    without_kem.0.store(true, Ordering::SeqCst);
    let before_ada = Proxy::start(world.addr(), without_kem.clone()).await;
    let before_ben = Proxy::start(world.addr(), slow.clone()).await;
    let ada = world.disk("ada").through(&before_ada.url()).with_policy(SessionPolicy::X3dh);
    let ben = world.disk("ben").through(&before_ben.url()).with_policy(SessionPolicy::X3dh);
    let (ada, ben) = (ada.register().await, ben.register().await);
    ada.live().await;
    ben.live().await;
    tell(&ada, &ben, "hello").await;
    tell(&ben, &ada, "hello to you").await;

    // He seals a message that is held back.
    slow.holds.store(true, Ordering::SeqCst);
    let late = ben.thread_with(&ada).await.send_text("late").await.unwrap();
    let is_held = async {
        while slow.held.lock().unwrap().is_empty() {
            tokio::task::yield_now().await
        }
    };
    within("the message is held", is_held).await;

    // Her updated client requires a stronger session, and starts one.
    without_kem.0.store(false, Ordering::SeqCst);
    let ada = ada.close().await;
    assert_eq!(sessions(&ada), [(3, true)]);
    let ada = ada.with_policy(SessionPolicy::TripleRatchet).open().await;
    let hers = ada.thread_with(&ben).await;
    hers.send_text("better").await.unwrap();
    ben.texts_when(&ben.thread_with(&ada).await, 4).await;

    // The held message is released with the acknowledgement of her next one, followed by a message in the new session.
    slow.holds.store(false, Ordering::SeqCst);
    hers.send_text("are you there?").await.unwrap();
    tell(&ben, &ada, "in time").await;
    let his = ben.thread_with(&ada).await;
    ben.message_reaches(&his, late.id, Delivery::Delivered).await;
    let read = texts(&hers).await;
    assert!(["late", "in time"].iter().all(|text| read.contains(&(*text).to_owned())), "{read:?}");
    assert_eq!(history(&hers).await.len(), 6);

    // Her messages still use the new session, and no third one is started.
    tell(&ada, &ben, "that was late").await;
    let (ada, ben) = (ada.close().await, ben.close().await);
    for disk in [ada, ben] {
        assert_eq!(sessions(&disk), [(3, false), (4, true)], "{disk:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_written_offline_says_nothing_about_what_was_sent_since() {
    let mut pair = Pair::new().await;
    pair.say("hello").await;
    pair.world.stop_relay().await;
    let written = pair.his.send_text("written offline").await.unwrap();
    pair.world.start_relay().await;
    when("the message", &pair.hers, |message| message.text() == Some("written offline")).await;
    drop(pair.hers);
    let disk = pair.ada.close().await;
    let database = open_database(disk.database(), &disk.key());
    let told: u64 = database.query_row("SELECT told FROM mark WHERE kind = 3", [], |row| row.get(0)).unwrap();
    assert_eq!(told, written.sent_ms, "not when the relay stored it");
}
