//! The state that all requests share.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, watch};

use crate::bus::Bus;
use crate::clock::Clock;
use crate::config::{Registration, Timing};
use crate::limits::Limiter;
use crate::links::Links;
use crate::login::Challenges;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::store::Store;
use crate::tokens::{Access, Signer};

/// The parts of a running relay.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) signer: Signer,
    pub(crate) challenges: Challenges,
    pub(crate) links: Links,
    /// There are jobs to do.
    pub(crate) jobs: Notify,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) registration: Registration,
    pub(crate) timing: Timing,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) draining: Draining,
    pub(crate) connections: Connections,
}

impl State {
    /// The device of an access token, after checking its signature and asking the store: a revoked device is refused
    /// even before its token expires.
    ///
    /// The store is asked when this is called, not when the future is polled.
    pub(crate) fn authenticate(&self, token: &str) -> BoxFuture<'static, Result<Access, Problem>> {
        match self.signer.verify(token, self.clock.unix_ms()) {
            Ok(access) => self.confirm(access),
            Err(problem) => Box::pin(std::future::ready(Err(problem))),
        }
    }

    /// Asks the store, when this is called, whether a token that was signed here is still valid.
    pub(crate) fn confirm(&self, access: Access) -> BoxFuture<'static, Result<Access, Problem>> {
        let store = Arc::clone(&self.store);
        let is_live = store.is_live(access.address, access.family);
        Box::pin(async move {
            if is_live.await? {
                return Ok(access);
            }
            let deleted = store.is_deleted(access.address.user).await?;
            Err(if deleted { Problem::AccountDeleted } else { Problem::InvalidToken })
        })
    }
}

/// Whether the relay is about to stop, and the period over which its connections are asked to close.
#[derive(Debug)]
pub(crate) struct Draining(watch::Sender<Option<Duration>>);

impl Draining {
    pub(crate) fn not_yet() -> Self {
        Self(watch::Sender::new(None))
    }

    pub(crate) fn begin(&self, spread: Duration) {
        self.0.send_replace(Some(spread));
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits for the drain, and then for this connection's random moment in it.
    pub(crate) fn turn(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut draining = self.0.subscribe();
        async move {
            let spread = draining.wait_for(Option::is_some).await.ok().and_then(|spread| *spread);
            let turn = spread.unwrap_or_default().mul_f64(rand::random::<f64>());
            tokio::time::sleep(turn).await;
        }
    }
}

/// Counts the open connections, and can cut them off.
#[derive(Debug)]
pub(crate) struct Connections {
    open: watch::Sender<usize>,
    cut: watch::Sender<bool>,
}

impl Connections {
    pub(crate) fn none() -> Self {
        Self { open: watch::Sender::new(0), cut: watch::Sender::new(false) }
    }

    pub(crate) fn count(&self) -> usize {
        *self.open.borrow()
    }

    /// Counts one more connection until the guard is dropped.
    pub(crate) fn enter(&self) -> Entered {
        self.open.send_modify(|count| *count = count.saturating_add(1));
        Entered { open: self.open.clone(), cut: self.cut.subscribe() }
    }

    /// Ends all open connections, whatever they are doing.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// Waits until no connection is open.
    pub(crate) async fn gone(&self) {
        // The sender is a field of `self`, so it exists for as long as this waits.
        let _ = self.open.subscribe().wait_for(|count| *count == 0).await;
    }
}

/// An open connection. It references no part of the relay, so that it can be the last value of the connection to be
/// dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    open: watch::Sender<usize>,
    cut: watch::Receiver<bool>,
}

impl Entered {
    /// Waits until the relay stops waiting for this connection.
    pub(crate) async fn cut(&mut self) {
        // If the sender is gone, so is the relay.
        let _ = self.cut.wait_for(|cut| *cut).await;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.open.send_modify(|count| *count = count.saturating_sub(1));
    }
}
