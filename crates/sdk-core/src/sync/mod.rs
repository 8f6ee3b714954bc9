//! Which background tasks run when: the connection, the outbox, the pre-keys, the acceptance of threads, the search
//! index.
//!
//! Each task may be stopped at any time, because everything that matters is on disk. A task that panics is restarted.

mod acceptance;
mod account_state;
mod blocks;
mod bootstrap;
mod connection;
mod devices;
mod ephemeral;
mod gaps;
#[cfg(test)]
mod group_tests;
mod indexer;
mod lists;
mod loss;
mod news;
mod pause;
mod purge;
mod receipts;
mod renewal;
mod rosters;
mod timers;
mod upkeep;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::account::leaving;
use crate::context::Context;
use crate::error::Error;
use crate::event::{ConnectionState, Event, EventBus};
use crate::health::{Failure, Part};
use crate::receive::{reread, retry};
use crate::send::{dispatch, mail};
use crate::store::AccountStatus;

/// The delay before a task begins that finishes what an earlier process has left. The first reads of the app have priority.
const AFTER_OPENING: Duration = Duration::from_millis(100);
/// The pause before a task that panicked is restarted.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

// The values of `State::why`.
const UNAUTHORIZED: u8 = 0;
const UNKNOWN: u8 = 1;
const UNLINKED: u8 = 2;

/// The state of the connection. It can be read, and listeners are notified when it changes.
#[derive(Clone)]
pub(crate) struct State {
    current: watch::Sender<ConnectionState>,
    /// Why the relay does not accept this device, in the state [`ConnectionState::SignedOut`].
    why: Arc<AtomicU8>,
    events: EventBus,
}

impl State {
    pub(crate) fn new(events: EventBus) -> Self {
        Self { current: watch::Sender::new(ConnectionState::Offline), why: Arc::default(), events }
    }

    pub(crate) fn get(&self) -> ConnectionState {
        *self.current.borrow()
    }

    /// Follows the state, without keeping the event stream open.
    pub(crate) fn follow(&self) -> watch::Receiver<ConnectionState> {
        self.current.subscribe()
    }

    /// The relay does not accept this device, because of this error.
    fn sign_out(&self, error: &Error) {
        let why = match error {
            Error::UnknownDevice => UNKNOWN,
            Error::Unlinked => UNLINKED,
            _ => UNAUTHORIZED,
        };
        self.why.store(why, Ordering::Relaxed);
        self.set(ConnectionState::SignedOut);
    }

    /// Why the relay does not accept this device, in the state [`ConnectionState::SignedOut`].
    pub(crate) fn refusal(&self) -> Error {
        match self.why.load(Ordering::Relaxed) {
            UNKNOWN => Error::UnknownDevice,
            UNLINKED => Error::Unlinked,
            _ => Error::Unauthorized,
        }
    }

    pub(crate) fn set(&self, state: ConnectionState) {
        let changed = self.current.send_if_modified(|current| std::mem::replace(current, state) != state);
        if changed {
            self.events.publish(Event::Connection(state));
        }
    }
}

/// The running tasks. Dropping it stops them.
pub(crate) struct Tasks(JoinSet<()>);

impl Tasks {
    /// Starts the tasks of an account. Few are needed once the account has been left.
    pub(crate) fn start_for(status: AccountStatus, ctx: &Context, state: &State) -> Self {
        let mut tasks = JoinSet::new();
        match status {
            AccountStatus::Present => return Self::start(ctx, state),
            AccountStatus::Leaving(_) => drop(tasks.spawn(leaving::run(ctx.clone()))),
            AccountStatus::Left => {}
        }
        state.set(ConnectionState::SignedOut);
        // The history that was kept can be searched.
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::Search, move || indexer::run(c.clone())));
        Self(tasks)
    }

    fn start(ctx: &Context, state: &State) -> Self {
        let Self(mut tasks) = Self::start_connection(ctx, state);
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::Sending, move || dispatch::run(c.clone())));
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::Sending, move || mail::run(c.clone())));
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::Receiving, move || ephemeral::expire(c.clone())));
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::Sending, move || ephemeral::tell_presence(c.clone())));
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::Sending, move || ephemeral::repeat_signals(c.clone())));
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::Sending, move || after_opening(receipts::run(c.clone()))));
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::PreKeys, move || upkeep::run(c.clone())));
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::PreKeys, move || devices::run(c.clone())));
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::Acceptance, move || acceptance::run(c.clone())));
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::Search, move || indexer::run(c.clone())));
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::Receiving, move || retry::run(c.clone())));
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::Receiving, move || after_opening(reread::run(c.clone()))));
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::Search, move || after_opening(purge::run(c.clone()))));
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::Search, move || timers::run(c.clone())));
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::Sending, move || after_opening(news::run(c.clone()))));
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::Sending, move || {
            after_opening(account_state::run(c.clone()))
        }));
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::Sending, move || renewal::run(c.clone())));
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::DeviceLists, move || lists::run(c.clone())));
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::Receiving, move || rosters::run(c.clone())));
        let c = ctx.clone();
        tasks.spawn(supervise(ctx.clone(), Part::Sending, move || bootstrap::run(c.clone())));
        Self(tasks)
    }

    /// Starts only the connection: messages that wait at the relay are fetched, and nothing else is done.
    pub(crate) fn start_connection(ctx: &Context, state: &State) -> Self {
        let mut tasks = JoinSet::new();
        let (c, s) = (ctx.clone(), state.clone());
        tasks.spawn(supervise(ctx.clone(), Part::Receiving, move || connection::run(c.clone(), s.clone())));
        Self(tasks)
    }

    /// Stops every task and waits until all have stopped.
    pub(crate) async fn stop(mut self) {
        self.0.shutdown().await;
    }
}

async fn after_opening(task: impl Future<Output = ()>) {
    sleep(AFTER_OPENING).await;
    task.await;
}

/// Runs a task until it ends, and restarts it if it panics.
async fn supervise<F>(ctx: Context, part: Part, task: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    // Whatever a panic leaves unfinished is only in memory and is dropped with the task.
    while AssertUnwindSafe(task()).catch_unwind().await.is_err() {
        tracing::error!(?part, "a background task panicked");
        ctx.health.failed(part, Failure::Panicked);
        sleep(RESTART_PAUSE).await;
    }
}
