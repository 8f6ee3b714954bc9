//! One side of the conversation.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sealpost_core::{
    Client, Config, ConnectionState, DatabaseKey, Delivery, Direction, Error, Event, Message, MessageId,
    MessageRequests, Opened, SharedHistory, Thread, Unregistered,
};
use tokio::time::{sleep, timeout};

use crate::figures::Listener;
use crate::run::{Failure, Result, TIMEOUT};
use crate::stage::Where;

/// One of the users, with a client.
pub(crate) struct Side {
    pub(crate) name: String,
    database: PathBuf,
    key: [u8; 32],
    pub(crate) client: Client,
    thread: Option<Thread>,
    pub(crate) listener: Listener,
}

impl Side {
    pub(crate) async fn register(dir: &Path, name: &str, number: u8, relay: &str) -> Result<Self> {
        let new = New::open(dir, number, relay).await?;
        let client = new.device.register(&[]).await?;
        Ok(new.become_side(name, client))
    }

    /// A new device of the same person, which gets everything that they have.
    pub(crate) async fn link(&self, dir: &Path, number: u8, relay: &str) -> Result<Self> {
        let new = New::open(dir, number, relay).await?;
        let name = format!("{}'s companion", self.name);
        let linking = new.device.link("companion").await?;
        let (pending, digits) = tokio::join!(self.client.link(linking.code()), linking.digits());
        let pending = pending?;
        if pending.digits() != digits? {
            return Err(Failure::Signal("the two devices show other digits"));
        }
        let mut events = self.client.events();
        pending.confirm(&pending.name(), SharedHistory::Everything).await?;
        let client = linking.finish().await?;
        let has_come = async {
            loop {
                match events.next().await {
                    Some(Ok(Event::LinkProgress(progress))) if progress.is_done => return Ok(()),
                    Some(_) => {}
                    None => return Err(Failure::TimedOut("the transfer to the companion")),
                }
            }
        };
        timeout(TIMEOUT, has_come)
            .await
            .map_err(|_| Failure::TimedOut("the transfer to the companion"))??;
        Ok(new.become_side(&name, client))
    }

    /// Closes the client and opens it again, possibly with another URL for the relay.
    pub(crate) async fn reopen(&mut self, relay: &str) -> Result<()> {
        self.client.suspend().await?;
        self.thread = None;
        match Client::open(config(&self.database, self.key, relay)).await? {
            Opened::Ready(client) => {
                self.listener.follow(&client);
                self.client = client;
                Ok(())
            }
            Opened::Unregistered(_) => Err(Failure::TimedOut("a known database")),
        }
    }

    pub(crate) async fn wait_until_live(&self) -> Result<()> {
        let is_live = || self.client.connection_state() == ConnectionState::Live;
        until("a connection", async || Ok(is_live().then_some(()))).await
    }

    pub(crate) async fn thread_of(&mut self, talk: Where) -> Result<Thread> {
        if let Some(thread) = &self.thread {
            return Ok(thread.clone());
        }
        let thread = match talk {
            Where::With(peer) => self.client.direct_thread(peer).await?,
            // A companion fetches the roster of a group before it shows it.
            Where::Group(group) => {
                until("the group", async || match self.client.thread(group).await {
                    Err(Error::NotFound) => Ok(None),
                    thread => thread.map(Some),
                })
                .await?
            }
        };
        Ok(self.thread.insert(thread).clone())
    }

    pub(crate) fn folder_name(&self) -> String {
        let folder = self.database.parent().and_then(Path::file_name);
        folder.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// A device without an account.
struct New {
    device: Unregistered,
    database: PathBuf,
    key: [u8; 32],
}

impl New {
    async fn open(dir: &Path, number: u8, relay: &str) -> Result<Self> {
        let folder = dir.join(format!("client-{number}"));
        std::fs::create_dir(&folder)?;
        let database = folder.join("account.db");
        let key: [u8; 32] =
            std::array::from_fn(|n| number.wrapping_mul(31).wrapping_add(n as u8).wrapping_mul(97));
        match Client::open(config(&database, key, relay)).await? {
            Opened::Unregistered(device) => Ok(Self { device, database, key }),
            Opened::Ready(_) => Err(Failure::TimedOut("a new database")),
        }
    }

    fn become_side(self, name: &str, client: Client) -> Side {
        let listener = Listener::listen(&client);
        let Self { database, key, .. } = self;
        Side { name: name.to_owned(), database, key, client, thread: None, listener }
    }
}

/// Waits for the relay's answer to a message. It subscribes before the message is sent.
pub(crate) struct Settled(sealpost_core::Events);

impl Settled {
    pub(crate) fn listen(client: &Client) -> Self {
        Self(client.events())
    }

    /// The number that the relay gives the message.
    pub(crate) async fn place(self, thread: &Thread, id: MessageId) -> Result<u64> {
        let message = self.wait(thread, id).await?;
        match (message.direction, message.server_seq) {
            (Direction::Outgoing(Delivery::Failed(reason)), _) => Err(Failure::NotSent(reason.to_string())),
            (_, Some(place)) => Ok(place),
            (_, None) => Err(Failure::NotSent("no place".to_owned())),
        }
    }

    async fn wait(mut self, thread: &Thread, id: MessageId) -> Result<Message> {
        let waiting = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Event::MessageChanged { message, .. }))
                        if message.id == id && is_settled(&message) =>
                    {
                        return Ok(message);
                    }
                    // The history contains what this subscriber has missed.
                    Some(Err(_)) => {
                        let newest = thread.history(None).await?.messages.into_iter();
                        if let Some(message) = newest.into_iter().find(|m| m.id == id && is_settled(m)) {
                            return Ok(message);
                        }
                    }
                    Some(Ok(_)) => {}
                    None => return Err(Failure::TimedOut("an answer")),
                }
            }
        };
        timeout(TIMEOUT, waiting).await.map_err(|_| Failure::TimedOut("an answer of the relay"))?
    }
}

/// Whether the relay has answered or the client has given up.
fn is_settled(message: &Message) -> bool {
    message.server_seq.is_some() || matches!(message.direction, Direction::Outgoing(Delivery::Failed(_)))
}

/// The messages of a thread, oldest first.
pub(crate) async fn history(thread: &Thread) -> Result<Vec<Message>, Error> {
    let mut all = Vec::new();
    let mut before = None;
    loop {
        let page = thread.history_of(before, 500).await?;
        all.extend(page.messages);
        before = page.older;
        if before.is_none() {
            all.reverse();
            return Ok(all);
        }
    }
}

/// Waits until something is there, and returns it.
pub(crate) async fn until<T>(
    what: &'static str,
    found: impl AsyncFn() -> Result<Option<T>, Error>,
) -> Result<T> {
    let waiting = async {
        loop {
            if let Some(found) = found().await? {
                return Ok(found);
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, waiting).await.map_err(|_| Failure::TimedOut(what))?
}

/// The sides answer each other without asking anybody.
fn config(database: &Path, key: [u8; 32], relay: &str) -> Config {
    Config::new(database, DatabaseKey::new(key), relay).message_requests(MessageRequests::AcceptAll)
}
