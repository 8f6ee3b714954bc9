//! A TCP forwarder on which connections can die silently, as on a phone that changes networks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Forwards bytes without examining them. Dropping it ends every connection through it.
#[derive(Debug)]
pub struct Forwarder {
    addr: SocketAddr,
    state: Arc<State>,
    _server: JoinSet<()>,
}

#[derive(Debug)]
struct State {
    upstream: SocketAddr,
    connections: AtomicUsize,
    stalled: AtomicBool,
    /// The bytes that were forwarded to the relay, and from it.
    sent: AtomicU64,
    received: AtomicU64,
    /// Connections with a lower number are not forwarded any more.
    first_alive: watch::Sender<usize>,
}

impl Forwarder {
    /// Starts a forwarder to the relay at `upstream`, which may stop and start again.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            upstream,
            connections: AtomicUsize::new(0),
            stalled: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            first_alive: watch::Sender::new(0),
        });
        let shared = Arc::clone(&state);
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = shared.connections.fetch_add(1, Ordering::SeqCst);
                connections.spawn(serve(Arc::clone(&shared), number, stream));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { addr, state, _server: server }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// The number of bytes that were forwarded to the relay so far.
    pub fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::Relaxed)
    }

    /// The number of bytes that were forwarded from the relay so far.
    pub fn received(&self) -> u64 {
        self.state.received.load(Ordering::Relaxed)
    }

    /// Stops forwarding on all present connections without telling either side. New connections work.
    pub fn cut(&self) {
        let _ = self.state.first_alive.send_replace(self.connections());
    }

    /// Sets whether new connections are accepted without ever forwarding anything. `true` also cuts the present ones.
    pub fn set_stalled(&self, stalled: bool) {
        self.state.stalled.store(stalled, Ordering::SeqCst);
        if stalled {
            self.cut();
        }
    }
}

async fn serve(state: Arc<State>, number: usize, client: TcpStream) {
    if state.stalled.load(Ordering::SeqCst) {
        return discard(client).await;
    }
    let Ok(relay) = TcpStream::connect(state.upstream).await else { return };
    let _ = client.set_nodelay(true);
    let _ = relay.set_nodelay(true);
    let mut first_alive = state.first_alive.subscribe();
    let ((from_client, to_client), (from_relay, to_relay)) = (client.into_split(), relay.into_split());
    let (mut up, mut down) = (Direction(from_client, to_relay), Direction(from_relay, to_client));
    tokio::select! {
        () = async { tokio::join!(up.forward(&state.sent), down.forward(&state.received)); } => return,
        _ = first_alive.wait_for(|first| number < *first) => {}
    }
    // Both sides stay open, because the peers would notice if they were closed.
    tokio::join!(up.discard(), down.discard());
}

struct Direction(OwnedReadHalf, OwnedWriteHalf);

impl Direction {
    async fn forward(&mut self, count: &AtomicU64) {
        let mut bytes = vec![0; 16 << 10];
        while let Ok(length @ 1..) = self.0.read(&mut bytes).await {
            let Some(read) = bytes.get(..length) else { break };
            count.fetch_add(u64::try_from(length).unwrap_or(0), Ordering::Relaxed);
            if self.1.write_all(read).await.is_err() {
                break;
            }
        }
        let _ = self.1.shutdown().await;
    }

    async fn discard(&mut self) {
        let mut bytes = [0; 4096];
        while matches!(self.0.read(&mut bytes).await, Ok(1..)) {}
        std::future::pending().await
    }
}

/// Reads and discards until the client disconnects.
async fn discard(mut client: TcpStream) {
    let mut bytes = [0; 4096];
    while matches!(client.read(&mut bytes).await, Ok(1..)) {}
}
