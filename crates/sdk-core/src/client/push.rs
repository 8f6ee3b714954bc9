//! For a push notification: open the database, bring in what waits, close it.

use std::future::Future;
use std::pin::pin;

use super::open::open;
use crate::account::tokens;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::event::{ConnectionState, Event, EventReceiver, Lagged};
use crate::message::{Direction, Message};
use crate::runtime;
use crate::store::Footprint;
use crate::sync::{State, Tasks};

/// What a push notification brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The messages that are new, in the order they came in.
    pub messages: Vec<Message>,
    /// Whether everything that waited is here. If not, the rest comes with the next connection.
    pub complete: bool,
}

/// Opens the database, brings in what waits at the relay, and closes it again: for the moment that the system gives to a
/// push notification. One connection to the file, little memory; nothing is sent but acknowledgements: what waits to be
/// sent still waits. Ends early when `until` does. What it brought is on disk in any case.
///
/// The app may have the database open at the same time, in another process: each message is stored by one of the two,
/// which tells of it. So what is here and not among the messages, the app has told.
///
/// # Errors
/// [`Error::Storage`]: with [`InUse`](crate::Storage::InUse) a client of this very process has the database open, and
/// receives by itself; or another process was at work on it for seconds.
/// [`Error::Unauthorized`] when nobody is registered here, or not any more.
pub async fn fetch_for_push(config: Config, until: impl Future<Output = ()>) -> Result<Fetched> {
    runtime::inside(fetch(config, until)).await
}

async fn fetch(config: Config, until: impl Future<Output = ()>) -> Result<Fetched> {
    let (ctx, registered) = open(config, Footprint::Small).await?;
    let fetched = match registered {
        Some(_) => {
            let mut news = News { events: ctx.events.subscribe(), messages: Vec::new() };
            let tasks = Tasks::start_connection(&ctx, &State::new(ctx.events.clone()));
            let fetched = news.follow(until).await;
            let exchanged = tokens::wait_for_exchange(&ctx).await;
            tasks.stop().await;
            drop(exchanged);
            // What was handed over is finished.
            ctx.store.close().await;
            tokens::give_up_exchange(&ctx);
            fetched.map(|complete| Fetched { messages: news.so_far(), complete })
        }
        None => Err(Error::Unauthorized),
    };
    ctx.store.close().await;
    fetched
}

/// What comes in.
struct News {
    events: EventReceiver,
    messages: Vec<Message>,
}

impl News {
    /// Until nothing waits any more (true), or `until` ends.
    async fn follow(&mut self, until: impl Future<Output = ()>) -> Result<bool> {
        let mut until = pin!(until);
        loop {
            let event = tokio::select! {
                event = self.events.next() => event,
                () = &mut until => return Ok(false),
            };
            match event {
                Some(Ok(Event::Connection(ConnectionState::Live))) => return Ok(true),
                Some(Ok(Event::Connection(ConnectionState::SignedOut))) => return Err(Error::Unauthorized),
                Some(event) => self.note(event),
                None => return Err(Error::Bug("the events ended while the client was there")),
            }
        }
    }

    /// Also what came after the end was seen: nobody else tells of it.
    fn so_far(mut self) -> Vec<Message> {
        while let Some(event) = self.events.try_next() {
            self.note(event);
        }
        self.messages
    }

    fn note(&mut self, event: Result<Event, Lagged>) {
        // Of events that were lost, the messages are on disk: more came at once than a notification can tell of.
        if let Ok(Event::MessageAdded(message)) = event
            && matches!(message.direction, Direction::Incoming { .. })
        {
            self.messages.push(message);
        }
    }
}
