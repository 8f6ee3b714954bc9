//! A path to the relay on which connections can die silently, as on a phone that changes networks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Forwards bytes without examining them. Dropping it ends every connection through it.
#[derive(Debug)]
pub struct Line {
    addr: SocketAddr,
    state: Arc<State>,
    _server: JoinSet<()>,
}

#[derive(Debug)]
struct State {
    upstream: SocketAddr,
    connections: AtomicUsize,
    swallows: AtomicBool,
    /// Connections with a lower number are dead.
    living_from: watch::Sender<usize>,
}

impl Line {
    /// Starts a forwarder to the relay at `upstream`, which may stop and start again.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            upstream,
            connections: AtomicUsize::new(0),
            swallows: AtomicBool::new(false),
            living_from: watch::Sender::new(0),
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

    /// Stops forwarding on all present connections without telling either side. New connections work.
    pub fn cut(&self) {
        let _ = self.state.living_from.send_replace(self.connections());
    }

    /// Whether new connections are accepted without forwarding anything; such connections stay like that.
    pub fn swallow(&self, swallows: bool) {
        self.state.swallows.store(swallows, Ordering::SeqCst);
        if swallows {
            self.cut();
        }
    }
}

async fn serve(state: Arc<State>, number: usize, client: TcpStream) {
    if state.swallows.load(Ordering::SeqCst) {
        return silent(client).await;
    }
    let Ok(relay) = TcpStream::connect(state.upstream).await else { return };
    let _ = client.set_nodelay(true);
    let _ = relay.set_nodelay(true);
    let mut living_from = state.living_from.subscribe();
    let ((from_client, to_client), (from_relay, to_relay)) = (client.into_split(), relay.into_split());
    let (mut up, mut down) = (Ends(from_client, to_relay), Ends(from_relay, to_client));
    tokio::select! {
        () = async { tokio::join!(up.pass(), down.pass()); } => return,
        _ = living_from.wait_for(|first| number < *first) => {}
    }
    // Both sides stay open, because closing them would be noticed.
    tokio::join!(up.swallow(), down.swallow());
}

struct Ends(OwnedReadHalf, OwnedWriteHalf);

impl Ends {
    async fn pass(&mut self) {
        let _ = tokio::io::copy(&mut self.0, &mut self.1).await;
        let _ = self.1.shutdown().await;
    }

    async fn swallow(&mut self) {
        let mut bytes = [0; 4096];
        while matches!(self.0.read(&mut bytes).await, Ok(1..)) {}
        std::future::pending().await
    }
}

/// Reads until the other side gives up.
async fn silent(mut client: TcpStream) {
    let mut bytes = [0; 4096];
    while matches!(client.read(&mut bytes).await, Ok(1..)) {}
}
