//! Handling a push notification: opens the database, receives what is waiting, and closes the database.

use std::future::Future;
use std::pin::pin;

use super::open::open;
use crate::account::tokens;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::event::{ConnectionState, Event, EventReceiver, Lagged};
use crate::message::{Direction, Message};
use crate::runtime;
use crate::store::{AccountStatus, Footprint};
use crate::sync::{State, Tasks};

/// The messages that were received for a push notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The new messages, in the order in which they arrived.
    pub messages: Vec<Message>,
    /// Whether everything that was waiting has been received. If not, the rest is received with the next connection.
    pub complete: bool,
}

/// Opens the database, receives what is waiting at the relay, and closes the database again, within the time that the
/// system grants to a push notification. It uses one connection to the file and little memory, and sends nothing
/// except acknowledgements: queued messages stay queued. It returns early when `until` completes. In any case, what
/// it has received is on disk.
///
/// The app may have the database open at the same time, in another process. Each message is stored by one of the two,
/// which reports it, so a message that is on disk and not among the returned ones was reported by the app.
///
/// # Errors
/// [`Error::Storage`]: [`InUse`](crate::Storage::InUse) means that a client of this process has the database open and
/// receives the messages itself, or that another process has held the lock for several seconds.
/// [`Error::Unauthorized`] if no account is registered in this database, or the relay no longer accepts this device;
/// [`Error::UnknownDevice`] if the relay does not know it.
pub async fn fetch_for_push(config: Config, until: impl Future<Output = ()>) -> Result<Fetched> {
    runtime::inside(fetch(config, until)).await
}

async fn fetch(config: Config, until: impl Future<Output = ()>) -> Result<Fetched> {
    let (ctx, account) = open(config, Footprint::Small).await?;
    let fetched = match account.map(|account| account.status) {
        Some(AccountStatus::Present) => {
            let mut received = NewMessages { events: ctx.events.subscribe(), messages: Vec::new() };
            let state = State::new(ctx.events.clone());
            let tasks = Tasks::start_connection(&ctx, &state);
            let fetched = received.follow(&state, until).await;
            let exchanged = tokens::wait_for_exchange(&ctx).await;
            tasks.stop().await;
            drop(exchanged);
            // Transactions that were queued are finished.
            ctx.store.close().await;
            tokens::give_up_exchange(&ctx);
            fetched.map(|complete| Fetched { messages: received.so_far(), complete })
        }
        Some(AccountStatus::Leaving(_) | AccountStatus::Left) | None => Err(Error::Unauthorized),
    };
    ctx.store.close().await;
    fetched
}

/// Collects the messages that arrive.
struct NewMessages {
    events: EventReceiver,
    messages: Vec<Message>,
}

impl NewMessages {
    /// Runs until nothing is waiting any more (true), or `until` completes (false).
    async fn follow(&mut self, state: &State, until: impl Future<Output = ()>) -> Result<bool> {
        let mut until = pin!(until);
        loop {
            let event = tokio::select! {
                event = self.events.next() => event,
                () = &mut until => return Ok(false),
            };
            match event {
                Some(Ok(Event::Connection(ConnectionState::Live))) => return Ok(true),
                Some(Ok(Event::Connection(ConnectionState::SignedOut))) => return Err(state.refusal()),
                Some(event) => self.note(event),
                None => return Err(Error::Bug("the events ended while the client was there")),
            }
        }
    }

    /// Includes what arrived after the end was detected, because nobody else reports it.
    fn so_far(mut self) -> Vec<Message> {
        while let Some(event) = self.events.try_next() {
            self.note(event);
        }
        self.messages
    }

    fn note(&mut self, event: Result<Event, Lagged>) {
        // If events were lost, the messages are on disk: more arrived at once than a notification can show.
        if let Ok(Event::MessageAdded(message)) = event
            && matches!(message.direction, Direction::Incoming { .. })
        {
            self.messages.push(message);
        }
    }
}
