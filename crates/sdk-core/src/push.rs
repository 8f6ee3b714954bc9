//! For a push notification: open the database, bring in what waits, close it.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

use crate::builder::open;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::event::{ConnectionState, Event, Events};
use crate::message::{Direction, Message};
use crate::store::Footprint;
use crate::sync::{State, Tasks};

/// How long the answer to an exchange of tokens is waited for, once there is nothing else to wait for.
const EXCHANGE: Duration = Duration::from_secs(2);

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
/// # Errors
/// [`Error::Storage`]: with [`InUse`](crate::Storage::InUse) a client has the database open, and receives by itself.
/// [`Error::Unauthorized`] when nobody is registered here, or not any more.
pub async fn fetch_for_push(config: Config, until: impl Future<Output = ()>) -> Result<Fetched> {
    let (ctx, registered) = open(config, Footprint::Small).await?;
    let fetched = match registered {
        Some(_) => {
            let mut events = ctx.events.subscribe();
            let tasks = Tasks::start_connection(&ctx, &State::new(ctx.events.clone()));
            let fetched = fetch(&mut events, until).await;
            // A token that is being exchanged is stored first, if that is soon: a relay that was not answered takes the
            // old one again.
            let exchanged = timeout(EXCHANGE, ctx.refreshing.lock()).await;
            tasks.stop().await;
            drop(exchanged);
            fetched
        }
        None => Err(Error::Unauthorized),
    };
    ctx.store.close().await;
    fetched
}

async fn fetch(events: &mut Events, until: impl Future<Output = ()>) -> Result<Fetched> {
    let mut until = pin!(until);
    let mut messages = Vec::new();
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = &mut until => return Ok(Fetched { messages, complete: false }),
        };
        match event {
            Some(Ok(Event::MessageAdded(message))) => {
                if matches!(message.direction, Direction::Incoming { .. }) {
                    messages.push(message);
                }
            }
            Some(Ok(Event::Connection(ConnectionState::Live))) => {
                return Ok(Fetched { messages, complete: true });
            }
            Some(Ok(Event::Connection(ConnectionState::SignedOut))) => return Err(Error::Unauthorized),
            // More came at once than a notification can tell of; what is missing here is on disk.
            Some(Ok(_) | Err(_)) => {}
            None => return Err(Error::Bug("the events ended while the client was there")),
        }
    }
}
