//! `freeze FOLDER` saves the databases of clients and of a relay in the middle of a conversation, as this version
//! writes them. `tests/earlier_databases.rs` opens the databases of earlier versions and continues the conversation; it
//! also contains the expected contents of Ada's threads.
//!
//! Whenever the schema of the client or of the relay changes, the version before the change saves a new folder under
//! the next number.

#![expect(clippy::expect_used, reason = "a tool for developers, which fails with a message")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sealpost_core::{Delivery, FailReason, Message, MessageBody, Thread};
use sealpost_e2e::{FROZEN_MS, has_device_list, open_database, start_over, take_one_time_keys};
use sealpost_relay::Config;
use sealpost_testkit::{Interceptor, ManualClock, Party, Proxy, World, eventually, history, other};
use sealpost_wire::Frame;
use sealpost_wire::frame::Body;

/// The failures of Ada's network.
#[derive(Clone, Default)]
struct Network {
    /// The next message is damaged.
    damages: Arc<AtomicBool>,
    /// The next message is lost, and so are its repetitions.
    loses: Arc<AtomicBool>,
    lost: Arc<std::sync::Mutex<Option<Vec<u8>>>>,
    /// Answers to what she sends are lost.
    is_silent: Arc<AtomicBool>,
}

impl Interceptor for Network {
    fn down(&self, frame: Frame) -> Vec<Frame> {
        match frame.body {
            Some(Body::Deliver(mut deliver)) => {
                let mut lost = self.lost.lock().expect("nobody panics");
                if self.loses.swap(false, Ordering::SeqCst) {
                    *lost = Some(deliver.client_msg_id.to_vec());
                }
                if lost.as_deref() == Some(deliver.client_msg_id.as_ref()) {
                    return Vec::new();
                }
                if self.damages.swap(false, Ordering::SeqCst)
                    && let Some(envelope) = &mut deliver.envelope
                {
                    let mut bytes = envelope.ciphertext.to_vec();
                    bytes.iter_mut().rev().take(8).for_each(|byte| *byte ^= 0x5a);
                    envelope.ciphertext = bytes.into();
                }
                vec![Frame { body: Some(Body::Deliver(deliver)), ..frame }]
            }
            Some(Body::SendAck(_)) if self.is_silent.load(Ordering::SeqCst) => Vec::new(),
            body => vec![Frame { body, ..frame }],
        }
    }
}

#[tokio::main]
async fn main() {
    let folder = std::env::args().nth(1).expect("usage: freeze FOLDER");
    freeze(Path::new(&folder)).await;
}

async fn freeze(folder: &Path) {
    let clock = ManualClock::at(FROZEN_MS);
    let relays = clock.clone();
    let mut world =
        World::start_with(move |config| Config { clock: Arc::new(relays.clone()), ..config }).await;
    let network = Network::default();
    let proxy = Proxy::start(world.addr(), network.clone()).await;
    let disk = |name: &str| world.disk(name).with_clock(&clock);
    let ada = disk("ada").through(&proxy.url()).register().await;
    let (ben, cyd, dan, eve, mallory) = (
        disk("ben").register().await,
        disk("cyd").register().await,
        disk("dan").register().await,
        disk("eve").register().await,
        disk("mallory").register().await,
    );

    // A verified contact whose identity has changed since.
    let with_eve = say(&ada, &eve, "hello eve").await;
    let number = other(&with_eve).await.safety_number().await.expect("a safety number");
    assert!(other(&with_eve).await.verify(&number).await.expect("verified"));

    // Messages that were changed after they had been sent.
    change_messages(&ada, &with_eve, &eve).await;

    let with_dan = say(&ada, &dan, "hello dan").await;
    let number = other(&with_dan).await.safety_number().await.expect("a safety number");
    assert!(other(&with_dan).await.verify(&number).await.expect("verified"));
    // Dan starts again on another phone, which signs another list of devices.
    let user = dan.client.user_id();
    let again = start_over(&world, user, &disk("dan"), mallory).await.open().await;
    has_device_list(&world, user, 2).await;
    again.close().await;
    let secret = with_dan.send_text("a secret").await.expect("queued");
    let failed = Delivery::Failed(FailReason::IdentityChanged);
    ada.message_reaches(&with_dan, secret.id, failed).await;

    // A message to a user who is offline.
    let with_cyd = ada.thread_with(&cyd).await;
    cyd.close().await;
    let away = with_cyd.send_text("to cyd, who is away").await.expect("queued");
    ada.message_reaches(&with_cyd, away.id, Delivery::Sent).await;

    // Messages that were delivered and read, in both directions.
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    for text in ["one", "two", "three"] {
        let message = hers.send_text(text).await.expect("queued");
        ada.message_reaches(&hers, message.id, Delivery::Delivered).await;
    }
    let second = nth(&his, 1).await;
    his.mark_read(second).await.expect("marked");
    ada.message_reaches(&hers, nth(&hers, 1).await, Delivery::Read).await;
    for text in ["four", "five", "six"] {
        arrives(&ben, &his, &hers, text).await;
    }
    hers.mark_read(nth(&hers, 4).await).await.expect("marked");
    ben.message_reaches(&his, nth(&his, 4).await, Delivery::Read).await;

    // A message that cannot be decrypted, and one that is still missing while the next one has arrived.
    network.damages.store(true, Ordering::SeqCst);
    let shown = history(&hers).await.len();
    his.send_text("damaged").await.expect("queued");
    eventually("a damaged message", async || (history(&hers).await.len() > shown).then_some(())).await;
    network.loses.store(true, Ordering::SeqCst);
    let late = his.send_text("late").await.expect("queued");
    ben.message_reaches(&his, late.id, Delivery::Sent).await;
    arrives(&ben, &his, &hers, "after the late one").await;
    ben.close().await;

    // A message whose answer is lost, and two queued behind it.
    network.is_silent.store(true, Ordering::SeqCst);
    hers.send_text("unanswered").await.expect("queued");
    let file = open_database(disk("ada").database(), &disk("ada").key());
    eventually("the relay has it", async || {
        let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).expect("the relay's file");
        let waits: i64 =
            relay.query_row("SELECT count(*) FROM inbox", [], |row| row.get(0)).expect("a count");
        // The message for Cyd, the late one, and this one.
        (waits == 3).then_some(())
    })
    .await;
    hers.send_text("queued").await.expect("queued");
    hers.send_text("queued behind it").await.expect("queued");
    let ahead: i64 =
        file.query_row("SELECT count(*) FROM seen_ahead", [], |row| row.get(0)).expect("a count");
    assert!(ahead > 0, "too slow: the late message was given up. Try again");
    drop(file);
    for party in [ada, dan, eve] {
        party.close().await;
    }
    world.stop_relay().await;

    let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).expect("the relay's file");
    for name in ["ada", "ben", "cyd"] {
        let disk = world.disk(name);
        shrink(&open_database(disk.database(), &disk.key()), &relay);
    }
    take_one_time_keys(&relay, "true", []);
    relay.execute_batch("VACUUM; PRAGMA wal_checkpoint(truncate);").expect("a smaller file");
    drop(relay);
    fs::create_dir_all(folder.join("relay")).expect("a folder");
    for file in ["ada.db", "ben.db", "cyd.db", "relay/relay.db", "relay/signing.key"] {
        fs::copy(world.dir().join(file), folder.join(file)).expect("a copy");
    }
}

/// Removes unused one-time keys, which are most of a client's file.
fn shrink(client: &rusqlite::Connection, relay: &rusqlite::Connection) {
    let user: Vec<u8> =
        client.query_row("SELECT user_id FROM account", [], |row| row.get(0)).expect("an account");
    let mut held =
        relay.prepare("SELECT key_id FROM one_time_pre_key WHERE user_id = ?1").expect("a statement");
    let held: Result<Vec<i64>, _> = held.query_map([user], |row| row.get(0)).expect("keys").collect();
    for id in held.expect("ids") {
        client.execute("DELETE FROM kem_pre_key WHERE id = ?1", [id]).expect("one key less");
        client.execute("DELETE FROM one_time_pre_key WHERE id = ?1", [id]).expect("one key less");
    }
    client.execute_batch("VACUUM; PRAGMA wal_checkpoint(truncate);").expect("a smaller file");
}

/// Two messages: the first is edited and gets a reaction, and the second is deleted for everyone.
async fn change_messages(ada: &Party, hers: &Thread, eve: &Party) {
    let theirs = eve.thread_with(ada).await;
    let message = hers.send_text("an eror").await.expect("queued");
    hers.edit(message.id, "an error").await.expect("queued");
    let edited = newest_when(&theirs, |message| message.edited_ms.is_some()).await;
    theirs.react(edited.id, "👍").await.expect("queued");
    newest_when(hers, |message| !message.reactions.is_empty()).await;
    let wrong = hers.send_text("to be deleted").await.expect("queued");
    ada.message_reaches(hers, wrong.id, Delivery::Delivered).await;
    hers.delete_for_everyone(wrong.id).await.expect("queued");
    newest_when(&theirs, |message| message.body == MessageBody::Deleted).await;
}

/// Waits until the newest message of a thread fulfils a condition.
async fn newest_when(thread: &Thread, is_so: impl Fn(&Message) -> bool) -> Message {
    eventually("a change", async || history(thread).await.pop().filter(&is_so)).await
}

/// Sends a text and waits until it is delivered.
async fn say(from: &Party, to: &Party, text: &str) -> Thread {
    let thread = from.thread_with(to).await;
    let message = thread.send_text(text).await.expect("queued");
    from.message_reaches(&thread, message.id, Delivery::Delivered).await;
    thread
}

/// Sends a text and waits until the other side shows it.
async fn arrives(from: &Party, theirs: &Thread, ours: &Thread, text: &str) {
    let message = theirs.send_text(text).await.expect("queued");
    eventually("it arrives", async || {
        let all = history(ours).await;
        all.into_iter().find(|message| message.body == MessageBody::Text(text.to_owned()))
    })
    .await;
    from.message_reaches(theirs, message.id, Delivery::Delivered).await;
}

/// The n-th message of a thread, oldest first.
async fn nth(thread: &Thread, n: usize) -> sealpost_core::MessageId {
    history(thread).await.get(n).expect("a message").id
}
