//! The addresses of the relay or of the proxy in front of it, and connections to them.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::Instant;

use super::race::first_connected;

/// For this long, the address that was connected to last is tried first.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Finds the addresses of a host, in the order of preference.
type Lookup = dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// Resolves names and connects to them. Clones share what they know.
#[derive(Clone)]
pub(super) struct Names {
    lookup: Arc<Lookup>,
    /// The port that connections are made to.
    port: u16,
    last: Arc<Mutex<Option<(SocketAddr, Instant)>>>,
}

impl Names {
    /// Asks the system.
    pub(super) fn new(port: u16) -> Self {
        Self::with(port, |host, port| {
            async move { lookup_host((host, port)).await.map(Iterator::collect) }.boxed()
        })
    }

    fn with(
        port: u16,
        lookup: impl Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync + 'static,
    ) -> Self {
        Self { lookup: Arc::new(lookup), port, last: Arc::default() }
    }

    /// Connects to a host. Its addresses are tried in parallel.
    pub(super) async fn connect(&self, host: &str) -> io::Result<TcpStream> {
        let addresses = (self.lookup)(host.to_owned(), self.port).await?;
        self.connect_to(addresses).await
    }

    async fn connect_to(&self, addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
        let connected = first_connected(addresses, TcpStream::connect).await?;
        // Frames are small, and each should arrive without delay.
        connected.set_nodelay(true)?;
        if let Ok(address) = connected.peer_addr() {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((address, Instant::now()));
        }
        Ok(connected)
    }

    /// The addresses of a host, with one that accepts connections first. The HTTP client tries the addresses of a family
    /// one after another, so an address that drops packets must not precede one that works.
    async fn working_first(&self, host: String) -> io::Result<Vec<SocketAddr>> {
        let mut addresses = (self.lookup)(host, self.port).await?;
        if addresses.len() < 2 {
            return Ok(addresses);
        }
        let mut working = self.remembered().filter(|address| addresses.contains(address));
        if working.is_none() && self.connect_to(addresses.clone()).await.is_ok() {
            working = self.remembered();
        }
        if let Some(working) = working {
            addresses.retain(|address| *address != working);
            addresses.insert(0, working);
        }
        Ok(addresses)
    }

    fn remembered(&self) -> Option<SocketAddr> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.filter(|(_, when)| when.elapsed() < REMEMBERED).map(|(address, _)| address)
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let addresses = names.working_first(name.as_str().to_owned()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::time::timeout;

    use super::*;

    /// An address that does not answer, because its backlog is full, for as long as the other returned values are held.
    async fn dead() -> (SocketAddr, impl Sized) {
        let full = TcpSocket::new_v4().unwrap();
        full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = full.listen(1).unwrap();
        let address = full.local_addr().unwrap();
        let mut filling = Vec::new();
        while let Ok(connected) = timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
            filling.push(connected.unwrap());
        }
        (address, (full, filling))
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_call_does_not_wait_for_an_address_that_drops_packets() {
        let (dead, _full) = dead().await;
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = good.local_addr().unwrap();
        let names = Names::with(0, move |host, _| {
            assert_eq!(host, "relay.example");
            async move { Ok(vec![dead, address]) }.boxed()
        });
        let within = Duration::from_secs(60);
        let connected = timeout(within, names.connect("relay.example")).await.unwrap().unwrap();
        assert_eq!(connected.peer_addr().unwrap(), address);
        // The HTTP client is given the working address first, whether or not one is known.
        for _ in 0..2 {
            let order = timeout(within, names.working_first("relay.example".to_owned())).await.unwrap();
            assert_eq!(order.unwrap(), [address, dead]);
            *names.last.lock().unwrap() = None;
        }
    }

    #[tokio::test]
    async fn the_only_address_is_not_tried_in_advance() {
        let (asked, address) = (Arc::new(Mutex::new(0)), SocketAddr::from(([192, 0, 2, 1], 443)));
        let count = Arc::clone(&asked);
        let names = Names::with(443, move |_, _| {
            *count.lock().unwrap() += 1;
            async move { Ok(vec![address]) }.boxed()
        });
        assert_eq!(names.working_first("relay.example".to_owned()).await.unwrap(), [address]);
        assert_eq!((*asked.lock().unwrap(), names.remembered()), (1, None));
    }
}
