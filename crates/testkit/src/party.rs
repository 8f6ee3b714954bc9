//! A person with a device.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealpost_core::{
    Client, Config, ConnectionState, Contact, DatabaseKey, Delivery, Direction, Message, MessageBody,
    MessageId, MessageRequests, Opened, SessionPolicy, SharedHistory, Thread, UserId,
};

use crate::{ManualClock, eventually};

/// A person without an open client: a database file, its key, and the address of the relay.
#[derive(Clone)]
pub struct PartyDisk {
    name: String,
    database: PathBuf,
    key: [u8; 32],
    relay: String,
    clock: Option<ManualClock>,
    policy: SessionPolicy,
    requests: MessageRequests,
}

impl PartyDisk {
    /// A person whose database is `<dir>/<name>.db`, with a key derived from the name, which is suitable for tests
    /// only.
    pub fn new(dir: &Path, name: &str, relay: &str) -> Self {
        let mut key = [0x5a; 32];
        for (slot, byte) in key.iter_mut().zip(name.bytes()) {
            *slot ^= byte;
        }
        Self {
            name: name.to_owned(),
            database: dir.join(format!("{name}.db")),
            key,
            relay: relay.to_owned(),
            clock: None,
            policy: SessionPolicy::default(),
            requests: MessageRequests::AcceptAll,
        }
    }

    /// The same person, with another address for the relay.
    #[must_use]
    pub fn through(self, relay: &str) -> Self {
        Self { relay: relay.to_owned(), ..self }
    }

    /// The same person, with a clock that is set by hand.
    #[must_use]
    pub fn with_clock(self, clock: &ManualClock) -> Self {
        Self { clock: Some(clock.clone()), ..self }
    }

    /// The same person, with another policy for sessions.
    #[must_use]
    pub fn with_policy(self, policy: SessionPolicy) -> Self {
        Self { policy, ..self }
    }

    /// The same person, who is asked before a thread of a stranger is accepted. The others accept all threads.
    #[must_use]
    pub fn asking(self) -> Self {
        Self { requests: MessageRequests::Ask, ..self }
    }

    /// The database file.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// Its key.
    pub fn key(&self) -> [u8; 32] {
        self.key
    }

    /// The configuration with which this person opens the database.
    pub fn config(&self) -> Config {
        let config = Config::new(&self.database, DatabaseKey::new(self.key), &self.relay);
        let config = config.session_policy(self.policy).message_requests(self.requests);
        match &self.clock {
            Some(clock) => config.clock(Arc::new(clock.clone())),
            None => config,
        }
    }

    /// Registers, and connects.
    pub async fn register(self) -> Party {
        match Client::open(self.config()).await.expect("the database opens") {
            Opened::Unregistered(new) => {
                let client = new.register(&[]).await.expect("registration");
                Party { disk: self, client }
            }
            Opened::Ready(_) => panic!("{} is registered already", self.name),
        }
    }

    /// Opens the database, and registers if necessary, retrying until the relay answers.
    pub async fn open_or_register(self) -> Party {
        match Client::open(self.config()).await.expect("the database opens") {
            Opened::Ready(client) => Party { disk: self, client },
            Opened::Unregistered(new) => {
                let client = eventually("registration", async || new.register(&[]).await.ok()).await;
                Party { disk: self, client }
            }
        }
    }

    /// Links this database to the account of `primary` as a companion, and connects.
    pub async fn link_to(self, primary: &Party) -> Party {
        self.link_with(primary, SharedHistory::Nothing).await
    }

    /// Links it to the account of `primary`, which shares what it has.
    ///
    /// # Panics
    /// If the database belongs to an account, or linking fails.
    pub async fn link_with(self, primary: &Party, history: SharedHistory) -> Party {
        let new = match Client::open(self.config()).await.expect("the database opens") {
            Opened::Unregistered(new) => new,
            Opened::Ready(_) => panic!("{} is registered already", self.name),
        };
        let linking = new.link(&self.name).await.expect("a link");
        // If the code is not read, there are no digits.
        let reading = async { primary.client.link(linking.code()).await.expect("the code is read") };
        let (pending, digits) = tokio::join!(reading, linking.digits());
        assert_eq!(digits.expect("the code was read"), pending.digits(), "both show the same digits");
        pending.confirm(&pending.name(), history).await.expect("the companion is confirmed");
        let client = linking.finish().await.expect("the companion is registered");
        Party { disk: self, client }
    }

    /// Opens the database of a registered person.
    pub async fn open(self) -> Party {
        match Client::open(self.config()).await.expect("the database opens") {
            Opened::Ready(client) => Party { disk: self, client },
            Opened::Unregistered(_) => panic!("{} is not registered", self.name),
        }
    }
}

impl fmt::Debug for PartyDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartyDisk").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A person with an open client.
#[derive(Debug)]
pub struct Party {
    disk: PartyDisk,
    /// The client.
    pub client: Client,
}

impl Party {
    /// The name.
    pub fn name(&self) -> &str {
        &self.disk.name
    }

    /// What is on disk, while the client is open.
    pub const fn disk(&self) -> &PartyDisk {
        &self.disk
    }

    /// Closes the client, and returns what remains on disk.
    pub async fn close(self) -> PartyDisk {
        self.client.suspend().await.expect("suspend");
        self.disk
    }

    /// The direct thread with another person.
    pub async fn thread_with(&self, other: &Self) -> Thread {
        self.thread_with_user(other.client.user_id()).await
    }

    /// The direct thread with the person who has this id.
    pub async fn thread_with_user(&self, user: UserId) -> Thread {
        self.client.direct_thread(user).await.expect("a direct thread")
    }

    /// Waits until everything that was waiting at the relay has been received.
    pub async fn live(&self) {
        eventually("a live connection", async || {
            (self.client.connection_state() == ConnectionState::Live).then_some(())
        })
        .await;
    }

    /// Waits until an outgoing message has reached `delivery`, or a later state: a message that was delivered has
    /// also been sent. A test that waits for one state alone misses it when the next one follows at once.
    pub async fn message_reaches(&self, thread: &Thread, id: MessageId, delivery: Delivery) -> Message {
        eventually(&format!("a message reaches the state {delivery:?}"), async || {
            let all = history(thread).await;
            all.into_iter().find(|message| message.id == id && has_reached(message, delivery))
        })
        .await
    }

    /// Waits until the thread has at least this many messages, and returns their texts, oldest first.
    pub async fn texts_when(&self, thread: &Thread, count: usize) -> Vec<String> {
        eventually("enough messages", async || {
            let texts = texts(thread).await;
            (texts.len() >= count).then_some(texts)
        })
        .await
    }
}

/// Whether an outgoing message is as far as `delivery`, and its final position is known from then on. A receipt can be
/// received before the answer of the relay, which contains the position. A failure is reached only by the same failure.
fn has_reached(message: &Message, delivery: Delivery) -> bool {
    let order = [Delivery::Queued, Delivery::Sent, Delivery::Delivered, Delivery::Read];
    let place = |delivery| order.iter().position(|step| *step == delivery);
    let Direction::Outgoing(now) = message.direction else { return false };
    match place(delivery) {
        Some(wanted) => place(now) >= Some(wanted) && (wanted == 0 || message.server_seq.is_some()),
        None => now == delivery,
    }
}

/// Whether an outgoing message was not delivered yet, or its final position is not known.
pub fn is_under_way(message: &Message) -> bool {
    matches!(message.direction, Direction::Outgoing(_)) && !has_reached(message, Delivery::Delivered)
}

/// The other member of a direct thread.
pub async fn other(thread: &Thread) -> Contact {
    thread.others().await.expect("the members are read").into_iter().next().expect("another member")
}

/// The texts of a thread, oldest first; a message without a text is shown by its `Debug` form.
pub async fn texts(thread: &Thread) -> Vec<String> {
    history(thread).await.into_iter().map(|message| text(message.body)).collect()
}

/// All messages of a thread, oldest first.
pub async fn history(thread: &Thread) -> Vec<Message> {
    let mut all = Vec::new();
    let mut before = None;
    loop {
        let page = thread.history_of(before, 500).await.expect("history");
        all.extend(page.messages);
        before = page.older;
        if before.is_none() {
            all.reverse();
            return all;
        }
    }
}

fn text(body: MessageBody) -> String {
    match body {
        MessageBody::Text(text) => text,
        other => format!("{other:?}"),
    }
}
