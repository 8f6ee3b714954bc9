//! A running relay: started, asked for its address, and shut down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::bus::LocalBus;
use crate::config::{Config, Registration};
use crate::limits::Limiter;
use crate::listener::{self, TlsError, TlsListener};
use crate::metrics::Metrics;
use crate::state::{Connections, Draining, State};
use crate::store::sqlite::{OpenError, SqliteStore};
use crate::tokens::Signer;
use crate::{routes, sweeper};

/// Why a relay did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Plain HTTP was asked for where others could listen in.
    #[error("plain HTTP is for loopback only: give a certificate, or say that a proxy ends TLS")]
    PlainNotLocal,
    /// The store.
    #[error("the store does not open")]
    Store(#[from] OpenError),
    /// The signing key.
    #[error("the signing key cannot be used")]
    SigningKey(#[source] std::io::Error),
    /// The certificate.
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
    /// The address.
    #[error("the address cannot be listened on")]
    Listen(#[source] std::io::Error),
}

/// A relay in this process.
#[derive(Debug)]
pub struct Relay {
    addr: SocketAddr,
    scheme: &'static str,
    state: Arc<State>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    sweeper: JoinHandle<()>,
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
        let acceptor = config.tls.as_ref().map(listener::acceptor).transpose()?;
        let tcp = TcpListener::bind(config.listen).await.map_err(StartError::Listen)?;
        let addr = tcp.local_addr().map_err(StartError::Listen)?;
        let state = open(config)?;
        let router = routes::router(Arc::clone(&state));
        let (stop, stopped) = oneshot::channel();
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let server = match acceptor {
            Some(acceptor) => {
                let tls = TlsListener::start(tcp, acceptor).map_err(StartError::Listen)?;
                tokio::spawn(serve(axum::serve(tls, router).with_graceful_shutdown(until(stopped))))
            }
            None => {
                let tcp = tcp.tap_io(|stream| listener::without_delay(stream));
                tokio::spawn(serve(axum::serve(tcp, router).with_graceful_shutdown(until(stopped))))
            }
        };
        let sweeper = tokio::spawn(sweeper::run(Arc::clone(&state)));
        Ok(Self { addr, scheme, state, stop, server, sweeper })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base of its URLs, such as `http://127.0.0.1:8080`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.addr)
    }

    /// Drains and stops: connections are asked to go elsewhere, what is in flight finishes, then the store
    /// closes.
    pub async fn shutdown(self) {
        let Self { state, stop, mut server, sweeper, .. } = self;
        let timing = state.timing;
        let spread = spread(state.connections.count()).min(timing.drain_spread);
        state.draining.begin(spread);
        let patience = spread.saturating_add(timing.drain_grace).saturating_add(Duration::from_secs(1));
        if timeout(patience, state.connections.gone()).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        // It has ended by itself only if it failed.
        stop.send(()).ok();
        if timeout(timing.drain_grace, &mut server).await.is_err() {
            server.abort();
            server.await.ok();
        }
        sweeper.abort();
        sweeper.await.ok();
        // The store waits for its writer as it drops, which must not hold up the runtime.
        tokio::task::spawn_blocking(move || drop(state)).await.ok();
    }
}

fn open(config: Config) -> Result<Arc<State>, StartError> {
    if config.registration == Registration::Dev {
        tracing::warn!("registration is open to everybody without proof: for development only");
    }
    let metrics = Arc::new(Metrics::default());
    let store = SqliteStore::open(&config.data, Arc::clone(&config.clock), Arc::clone(&metrics))?;
    Ok(Arc::new(State {
        signer: Signer::open(&config.data).map_err(StartError::SigningKey)?,
        store: Arc::new(store),
        bus: Arc::new(LocalBus::default()),
        limiter: Limiter::new(config.limits),
        registration: config.registration,
        timing: config.timing,
        clock: config.clock,
        metrics,
        draining: Draining::not_yet(),
        connections: Connections::none(),
    }))
}

/// Connections are told to leave a few at a time: a hundred in each second.
fn spread(connections: usize) -> Duration {
    Duration::from_millis(10).saturating_mul(u32::try_from(connections).unwrap_or(u32::MAX))
}

/// A handle that was dropped does not stop the relay; only `shutdown` does.
async fn until(stopped: oneshot::Receiver<()>) {
    if stopped.await.is_err() {
        std::future::pending().await
    }
}

async fn serve(server: impl IntoFuture<Output = std::io::Result<()>>) {
    if server.await.is_err() {
        tracing::error!("the listener failed");
    }
}
