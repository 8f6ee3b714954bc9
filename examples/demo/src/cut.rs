//! A connection that breaks at the worst moment: after the relay has stored a message, and before the sender learns
//! of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A forwarder to the relay that can cut the connection once.
pub(crate) struct Wire {
    addr: SocketAddr,
    /// The next data from the relay to a client on an open connection is discarded.
    armed: Arc<AtomicBool>,
    running: JoinHandle<()>,
}

impl Wire {
    pub(crate) async fn to(relay: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let armed = Arc::new(AtomicBool::new(false));
        let for_connections = Arc::clone(&armed);
        let running = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, relay, Arc::clone(&for_connections)));
            }
        });
        Ok(Self { addr, armed, running })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Cuts the connection at the relay's next answer, and discards the answer.
    pub(crate) fn cut_at_next_answer(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Whether it was cut.
    pub(crate) fn was_cut(&self) -> bool {
        !self.armed.load(Ordering::SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn carry(client: TcpStream, relay: SocketAddr, armed: Arc<AtomicBool>) {
    let Ok(relay) = TcpStream::connect(relay).await else { return };
    let _ = (client.set_nodelay(true), relay.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_relay, mut to_relay) = relay.into_split();
    let asking = tokio::spawn(async move { copy(&mut from_client, &mut to_relay).await });
    let mut buffer = vec![0; 4096];
    while let Ok(read @ 1..) = from_relay.read(&mut buffer).await {
        if armed.swap(false, Ordering::SeqCst) {
            break;
        }
        let said = buffer.get(..read).unwrap_or_default();
        if to_client.write_all(said).await.is_err() {
            break;
        }
    }
    asking.abort();
}
