//! Tests of the store with a real encrypted file.

mod changes;
mod chats;
mod commits;
mod deferred;
mod deletion;
mod expiry;
mod generation;
mod groups;
mod log;
mod mail;
mod messages;
mod news;
mod note;
mod notices;
mod numbers;
mod outgoing;
mod own_devices;
mod pages;
mod parked;
mod pins;
mod plans;
mod positions;
mod pre_keys;
mod privacy;
mod profiles;
mod reactions;
mod reading;
mod receipts;
mod refused_changes;
mod requests;
mod search;
mod sessions;
mod threads;
mod timers;
mod transactions;
mod views;
mod votes;

use std::sync::atomic::{AtomicU64, Ordering};

use sealpost_protocol::IdentityKeyPair;
use tempfile::TempDir;

use super::reading::Moment;
use super::{Folder, Footprint, NewOutgoing, OutgoingId, Registered, Store, Thread, Tokens};
use crate::config::DatabaseKey;
use crate::content::{Body, Receipt, ReceiptKind};
use crate::event::{Event, EventBus, EventReceiver};
use crate::id::{ClientMsgId, DeviceId, ThreadId, UserId};

const US: UserId = UserId::from_bytes([1; 16]);
const PEER: UserId = UserId::from_bytes([2; 16]);
const THREAD: ThreadId = ThreadId::from_bytes([3; 16]);
/// A moment after the arrival of every message.
const AFTER_ALL: Moment = Moment { message: crate::id::MessageId(i64::MAX), late: i64::MAX };

impl super::Rows<'_> {
    /// The newest messages with these words in all threads.
    pub(crate) fn search(&self, words: &str, limit: u32) -> crate::Result<Vec<crate::Message>> {
        self.search_messages(words, limit)
    }
}

impl super::Tx<'_> {
    /// How many rows this connection has changed so far.
    pub(crate) fn rows_changed(&self) -> u64 {
        self.connection.total_changes()
    }
}

/// A store with an account and one thread.
struct Fixture {
    dir: TempDir,
    store: Store,
    events: EventBus,
}

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let events = EventBus::new();
        let store = open(&dir, events.clone()).unwrap();
        let work = store.write(|tx| {
            tx.insert_account(&IdentityKeyPair::generate(&mut rand::rng()), 7)?;
            let registered = Registered { user: US, device: DeviceId::PRIMARY };
            tx.set_registered(registered, &Tokens::new("access".into(), 1, "refresh".into()))?;
            tx.need_in_file();
            tx.put_thread(Thread { id: THREAD, peer: Some(PEER), roster_version: 1 }, 1)
        });
        work.await.unwrap();
        Self { dir, store, events }
    }

    /// Queues a text.
    async fn enqueue(&self, text: &str) -> crate::id::MessageId {
        let new = outgoing(Body::text(text.to_owned()));
        self.store.write(move |tx| tx.enqueue(new)).await.unwrap().unwrap().id
    }

    /// The entry of the outbox that belongs to a message.
    async fn entry(&self, message: crate::id::MessageId) -> OutgoingId {
        let work = self.store.read(move |rows| {
            let sql = "SELECT id FROM outgoing WHERE message_id = ?1";
            Ok(OutgoingId(rows.connection.query_row(sql, [message.0], |row| row.get(0))?))
        });
        work.await.unwrap()
    }

    /// The messages of the thread as text, newest first.
    async fn texts(&self) -> Vec<String> {
        let messages = self.store.read(|rows| rows.page(THREAD, None, 500)).await.unwrap().messages;
        messages.into_iter().map(|message| format!("{:?}", TextOf(message.body))).collect()
    }
}

fn open(dir: &TempDir, events: EventBus) -> crate::Result<Store> {
    Store::open(dir.path().join("a.db"), DatabaseKey::new([9; 32]), events, Footprint::Full)
}

fn outgoing(body: Body) -> NewOutgoing {
    NewOutgoing { thread: THREAD, us: (US, DeviceId::PRIMARY), content_id: fresh_id(), sent_ms: 1000, body }
}

/// A receipt that says nothing.
fn receipt() -> Body {
    Body::Receipt(Receipt { kind: ReceiptKind::Read, marks: Vec::new() })
}

/// A different id at every call.
fn fresh_id() -> ClientMsgId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut random = [0; 10];
    random[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    ClientMsgId::new(1000, &random)
}

/// The events that have been reported so far.
fn drain(events: &mut EventReceiver) -> Vec<Event> {
    let mut told = Vec::new();
    while let Some(Some(Ok(event))) = futures_util::FutureExt::now_or_never(events.next()) {
        told.push(event);
    }
    told
}

struct TextOf(crate::MessageBody);

impl std::fmt::Debug for TextOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            crate::MessageBody::Text(text) => f.write_str(text),
            other => write!(f, "{other:?}"),
        }
    }
}
