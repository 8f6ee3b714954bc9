//! Starting, inspecting and stopping a relay.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::admission::Admission;
use crate::config::{Config, Registration};
use crate::limits::{Limiter, Limits};
use crate::links::Links;
use crate::login::Challenges;
use crate::metrics::Metrics;
use crate::origin::Proxies;
use crate::peers::Peers;
use crate::server::{self, Server};
use crate::state::{Connections, Draining, State};
use crate::store::sqlite::{OpenError, SqliteStore};
use crate::tls::{self, TlsError};
use crate::tokens::Signer;
use crate::{fan_out, routes, sweeper};

/// Why a relay could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Plain HTTP was requested on an address that is not loopback.
    #[error("plain HTTP is allowed on loopback only: configure a certificate or --insecure-plain")]
    PlainNotLocal,
    /// The store could not be opened.
    #[error("the store cannot be opened")]
    Store(#[from] OpenError),
    /// The signing key could not be used.
    #[error("the signing key cannot be used")]
    SigningKey(#[source] std::io::Error),
    /// The certificate could not be used.
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
    /// An address could not be bound.
    #[error("cannot listen on an address")]
    Listen(#[source] std::io::Error),
}

/// A relay in this process.
#[derive(Debug)]
pub struct Relay {
    addr: SocketAddr,
    scheme: &'static str,
    state: Arc<State>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    metrics: Option<(SocketAddr, JoinHandle<()>)>,
    sweeper: JoinHandle<()>,
    fan_out: JoinHandle<()>,
}

impl Relay {
    /// Opens the store and listens. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        if config.tls.is_none() && !config.insecure_plain && !config.listen.ip().is_loopback() {
            return Err(StartError::PlainNotLocal);
        }
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (tcp, addr) = server::listen(config.listen).map_err(StartError::Listen)?;
        let metrics = match config.metrics {
            Some(listen) => Some(server::listen(listen).map_err(StartError::Listen)?),
            None => None,
        };
        let peers = Peers::with_limit(config.limits.connections);
        let proxies = Proxies::new(&config.trusted_proxies);
        let state = open(config)?;
        let (clock, counts) = (Arc::clone(&state.clock), Arc::clone(&state.metrics));
        let server = Server {
            router: routes::router(Arc::clone(&state)),
            tls,
            admission: Admission::new(peers, proxies, Arc::clone(&state.limiter), clock, counts),
            timing: state.timing,
        };
        let stop = watch::Sender::new(false);
        let metrics = metrics.map(|(tcp, addr)| {
            let router = routes::operator(Arc::clone(&state));
            let server =
                Server { router, tls: None, admission: operator_admission(&state), ..server.clone() };
            (addr, tokio::spawn(server.run(tcp, until(stop.subscribe()))))
        });
        let server = tokio::spawn(server.run(tcp, until(stop.subscribe())));
        let sweeper = tokio::spawn(sweeper::run(Arc::clone(&state)));
        let fan_out = tokio::spawn(fan_out::run(Arc::clone(&state)));
        Ok(Self { addr, scheme, state, stop, server, metrics, sweeper, fan_out })
    }

    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address of its metrics, if it has any.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|(addr, _)| *addr)
    }

    /// The base of its URLs, such as `http://127.0.0.1:8080`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.addr)
    }

    /// Drains and stops: connections are asked to close, requests in flight finish or are cut off, and the store is
    /// closed. Afterwards, the folder can be opened again.
    pub async fn shutdown(self) {
        let Self { state, stop, server, metrics, sweeper, fan_out, .. } = self;
        let timing = state.timing;
        let spread = spread(state.connections.count()).min(timing.drain_spread);
        state.draining.begin(spread);
        let patience = spread.saturating_add(timing.drain_grace).saturating_add(Duration::from_secs(1));
        if timeout(patience, state.connections.gone()).await.is_err() {
            tracing::warn!("some connections were still open when the time limit for draining had passed");
        }
        stop.send_replace(true);
        sweeper.abort();
        fan_out.abort();
        for task in metrics.map(|(_, task)| task).into_iter().chain([server, sweeper, fan_out]) {
            task.await.ok();
        }
        state.connections.cut();
        state.connections.gone().await;
        // Dropping the store waits for its writer, which must not block the runtime.
        tokio::task::spawn_blocking(move || drop(state)).await.ok();
    }
}

/// Admits every connection: the operator decides who can reach this listener.
fn operator_admission(state: &State) -> Arc<Admission> {
    let limiter = Arc::new(Limiter::new(Limits::none()));
    let (clock, metrics) = (Arc::clone(&state.clock), Arc::clone(&state.metrics));
    Admission::new(Peers::with_limit(None), Proxies::new(&[]), limiter, clock, metrics)
}

fn open(config: Config) -> Result<Arc<State>, StartError> {
    if config.registration == Registration::Dev {
        tracing::warn!("registration is open to everybody; use this for development only");
    }
    let metrics = Arc::new(Metrics::default());
    let limiter = Arc::new(Limiter::new(config.limits));
    let store = SqliteStore::open(
        &config.data,
        Arc::clone(&config.clock),
        Arc::clone(&metrics),
        Arc::clone(&limiter),
    )?;
    Ok(Arc::new(State {
        signer: Signer::open(&config.data).map_err(StartError::SigningKey)?,
        challenges: Challenges::new(),
        links: Links::default(),
        jobs: Notify::new(),
        store: Arc::new(store),
        bus: config.bus,
        limiter,
        registration: config.registration,
        timing: config.timing,
        clock: config.clock,
        metrics,
        draining: Draining::not_yet(),
        connections: Connections::none(),
    }))
}

/// The period over which connections are asked to close: a hundred in each second.
fn spread(connections: usize) -> Duration {
    Duration::from_millis(10).saturating_mul(u32::try_from(connections).unwrap_or(u32::MAX))
}

/// Dropping the handle does not stop the relay; only `shutdown` does.
async fn until(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending().await
    }
}
