//! Connection attempts to the addresses of a host, as RFC 8305 (Happy Eyeballs) describes them.
//!
//! The families alternate, and the next attempt starts when the one before has failed or has not succeeded for a
//! quarter of a second. An address that drops packets therefore delays a connection by that time only, whichever
//! family it belongs to.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

/// The Connection Attempt Delay (RFC 8305, section 5).
pub(super) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Maximum number of addresses that are tried.
const MAX_ADDRESSES: usize = 16;

/// Alternates between the families, beginning with that of the first address (RFC 8305, section 4). Within a family,
/// the order remains as it is.
pub(super) fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut all = Vec::new();
    loop {
        let pair = (first.next(), second.next());
        if pair == (None, None) {
            return all;
        }
        all.extend(pair.0.into_iter().chain(pair.1));
    }
}

/// The first attempt that succeeds. The others are dropped.
///
/// # Errors
/// Returns the error of the last attempt that failed, once all have.
pub(super) async fn first_connected<T, F>(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = interleaved(addresses).into_iter().take(MAX_ADDRESSES);
    let mut attempts = FuturesUnordered::new();
    let mut last_error = io::Error::from(io::ErrorKind::NotFound);
    loop {
        match waiting.next() {
            Some(address) => attempts.push(connect(address)),
            None if attempts.is_empty() => return Err(last_error),
            None => {}
        }
        let is_last = waiting.len() == 0;
        tokio::select! {
            Some(outcome) = attempts.next() => match outcome {
                Ok(connected) => return Ok(connected),
                Err(error) => last_error = error,
            },
            () = sleep(ATTEMPT_DELAY), if !is_last => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::net::{TcpListener, TcpSocket, TcpStream};
    use tokio::time::{Instant, timeout};

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_families_alternate_and_keep_their_order() {
        let mixed = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"];
        let alternating = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"];
        assert_eq!(interleaved(addresses(&mixed)), addresses(&alternating));
        let v4_first = ["1.1.1.1:1", "[::1]:1", "2.2.2.2:1", "3.3.3.3:1"];
        assert_eq!(interleaved(addresses(&v4_first)), addresses(&v4_first));
        assert_eq!(interleaved(Vec::new()), []);
    }

    /// Races attempts that succeed or fail after the given numbers of milliseconds.
    async fn race(outcomes: &[(u64, bool)]) -> (io::Result<u16>, Vec<u64>, u64) {
        let begin = Instant::now();
        let passed = || u64::try_from(begin.elapsed().as_millis()).unwrap();
        let started = RefCell::new(Vec::new());
        let ports = (0..outcomes.len()).map(|port| u16::try_from(port).unwrap());
        let all = ports.map(|port| SocketAddr::from(([10, 0, 0, 1], port))).collect();
        let connected = first_connected(all, |address| {
            started.borrow_mut().push(passed());
            let (after_ms, succeeds) = outcomes[usize::from(address.port())];
            async move {
                sleep(Duration::from_millis(after_ms)).await;
                if succeeds { Ok(address.port()) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
            }
        });
        (connected.await, started.take(), passed())
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_attempt_starts_after_the_delay_or_a_failure_and_the_first_success_counts() {
        let (connected, started, took) = race(&[(60_000, true), (60_000, true), (10, true)]).await;
        assert_eq!((connected.unwrap(), started, took), (2, vec![0, 250, 500], 510));
        let (connected, started, took) = race(&[(100, true), (0, true)]).await;
        assert_eq!((connected.unwrap(), started, took), (0, vec![0], 100));
        let (connected, started, took) = race(&[(10, false), (20, false), (5, true)]).await;
        assert_eq!((connected.unwrap(), started, took), (2, vec![0, 10, 30], 35));
        // The slow first attempt continues alongside the second one.
        let (connected, started, _) = race(&[(300, true), (1_000, true)]).await;
        assert_eq!((connected.unwrap(), started), (0, vec![0, 250]));
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_fails_only_after_all_attempts_have_failed() {
        let (connected, started, took) = race(&[(5_000, false), (10, false)]).await;
        assert_eq!(connected.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!((started, took), (vec![0, 250], 5_000));
        assert_eq!(race(&[]).await.0.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_address_that_drops_packets_does_not_block_another_of_its_family() {
        // This address does not answer, because its backlog is full.
        let full = TcpSocket::new_v4().unwrap();
        full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = full.listen(1).unwrap();
        let dead = full.local_addr().unwrap();
        let mut filling = Vec::new();
        while let Ok(connected) = timeout(Duration::from_millis(500), TcpStream::connect(dead)).await {
            filling.push(connected.unwrap());
        }
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = good.local_addr().unwrap();
        // The system itself would give up on the first address after two minutes.
        let connected =
            timeout(Duration::from_secs(60), first_connected(vec![dead, good], TcpStream::connect));
        let connected = connected.await.expect("the second address is tried").unwrap();
        assert_eq!(connected.peer_addr().unwrap(), good);
    }
}
