//! Admission of connections and requests: each is charged to its network before anything except its head is examined.
//! If a device turns out to pay for a request, the network gets its tokens back.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, Request};
use axum::response::{IntoResponse as _, Response};

use crate::auth::DevicePays;
use crate::clock::Clock;
use crate::limits::{Limiter, Wait};
use crate::metrics::Metrics;
use crate::origin::{Origin, Peer, Proxies};
use crate::peers::{ConnectionPermit, Peers};
use crate::problem::Problem;

/// How long a request above the limit waits for its refusal. Its connection cannot make another request in the
/// meantime, which limits the cost of refusals.
const REFUSAL_PAUSE: Duration = Duration::from_secs(1);

/// Admits connections and requests.
#[derive(Debug)]
pub(crate) struct Admission {
    peers: Arc<Peers>,
    proxies: Proxies,
    limiter: Arc<Limiter>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// Whether a warning was logged that a proxy does not name the network of its requesters.
    warned: AtomicBool,
}

impl Admission {
    pub(crate) fn new(
        peers: Arc<Peers>,
        proxies: Proxies,
        limiter: Arc<Limiter>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self { peers, proxies, limiter, clock, metrics, warned: AtomicBool::new(false) })
    }

    /// Admits a connection from this address, and says how long it has to wait before it is served. `None` if it is
    /// refused because of the limits of its network.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<(Caller, Wait)> {
        let peer = self.proxies.peer(address);
        let permit = match peer {
            Peer::Proxy => Some(self.peers.enter_uncounted()),
            Peer::Local | Peer::Remote(_) => self.peers.enter(address),
        };
        let Some(permit) = permit else {
            self.metrics.refused_connections.count();
            return None;
        };
        let wait = self.limiter.unauthenticated(network_of(peer), self.clock.monotonic()).ok()?;
        let caller = Caller {
            admission: Arc::clone(self),
            permit: Arc::new(permit),
            peer,
            authenticated: AtomicBool::new(false),
        };
        Some((caller, wait))
    }
}

fn network_of(peer: Peer) -> Option<IpAddr> {
    match peer {
        Peer::Remote(network) => Some(network),
        Peer::Proxy | Peer::Local => None,
    }
}

/// The peer of an open connection.
#[derive(Debug)]
pub(crate) struct Caller {
    admission: Arc<Admission>,
    permit: Arc<ConnectionPermit>,
    peer: Peer,
    /// Whether its last request had a valid token. The limits of its network then do not apply to it.
    authenticated: AtomicBool,
}

impl Caller {
    /// Passes a request to `answer` with its origin and the permit of its connection, or refuses it.
    pub(crate) async fn serve<B, F: Future<Output = Response>>(
        &self,
        mut request: Request<B>,
        answer: impl FnOnce(Request<B>) -> F,
    ) -> Response {
        let Admission { limiter, clock, .. } = &*self.admission;
        let origin = self.origin(request.headers());
        let charged = limiter.unauthenticated(origin.0, clock.monotonic());
        let is_charged = charged.is_ok();
        if !self.authenticated.swap(false, Ordering::Relaxed) {
            match charged {
                Ok(wait) => wait.over().await,
                Err(over) => {
                    tokio::time::sleep(REFUSAL_PAUSE).await;
                    return Problem::from(over).into_response();
                }
            }
        }
        request.extensions_mut().insert(origin);
        // The permit is kept by an upgraded socket, which therefore still counts as a connection.
        request.extensions_mut().insert(Arc::clone(&self.permit));
        let response = answer(request).await;
        if response.extensions().get::<DevicePays>().is_some() {
            if is_charged {
                limiter.authenticated(origin.0, clock.monotonic());
            }
            // The next request of a proxy comes from somebody else.
            self.authenticated.store(self.peer != Peer::Proxy, Ordering::Relaxed);
        }
        response
    }

    fn origin(&self, headers: &HeaderMap) -> Origin {
        if self.peer != Peer::Proxy {
            return Origin(network_of(self.peer));
        }
        let origin = self.admission.proxies.origin(headers);
        if origin.0.is_none() && !self.admission.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a trusted proxy sent no usable X-Forwarded-For: its requests are not limited by network"
            );
        }
        origin
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::limits::{Limits, Name, Rate};
    use crate::problem::Problem;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
    const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 5));

    /// Admits this many requests of each network, and no more for a day.
    fn admission(burst: u64) -> Arc<Admission> {
        let mut limits = Limits::none();
        limits.set(Name::Unauthenticated, Some(Rate::new(burst, 1, Duration::from_secs(24 * 3_600))));
        let (limiter, clock) = (Arc::new(Limiter::new(limits)), Arc::new(SystemClock::new()));
        Admission::new(Peers::with_limit(Some(100)), Proxies::new(&[PROXY]), limiter, clock, Arc::default())
    }

    async fn ask(caller: &Caller, forwarded_for: &str, token_is_valid: bool) -> u16 {
        let request = Request::builder().header("x-forwarded-for", forwarded_for).body(()).unwrap();
        let answer = async |_: Request<()>| {
            if token_is_valid {
                let mut response = "yes".into_response();
                response.extensions_mut().insert(DevicePays);
                response
            } else {
                Problem::InvalidToken.into_response()
            }
        };
        caller.serve(request, answer).await.status().as_u16()
    }

    #[tokio::test]
    async fn connections_are_charged_to_their_network_and_closed_above_its_limit() {
        let admission = admission(3);
        let callers: Vec<_> = (0..5).filter_map(|_| admission.enter(HERE)).collect();
        assert_eq!(callers.len(), 3);
        assert!(admission.enter(THERE).is_some(), "another network");
        for free in [PROXY, IpAddr::from([127, 0, 0, 1])] {
            assert_eq!((0..200).filter_map(|_| admission.enter(free)).count(), 200, "{free}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_without_a_valid_token_are_charged_to_their_network() {
        let admission = admission(5);
        let (caller, _) = admission.enter(HERE).unwrap();
        for _ in 0..50 {
            assert_eq!(ask(&caller, "", true).await, 200);
        }
        // One of the five was used by the connection.
        for _ in 0..4 {
            assert_eq!(ask(&caller, "", false).await, 401);
        }
        assert_eq!(
            ask(&caller, "198.51.100.1", false).await,
            429,
            "the header counts only if the peer is a trusted proxy"
        );
        assert!(admission.enter(HERE).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_a_valid_token_is_not_affected_by_its_network() {
        let admission = admission(3);
        let ((device, _), (flood, _)) = (admission.enter(HERE).unwrap(), admission.enter(HERE).unwrap());
        assert_eq!(ask(&device, "", true).await, 200);
        assert_eq!(ask(&flood, "", false).await, 401);
        assert_eq!(ask(&flood, "", false).await, 429);
        for _ in 0..10 {
            assert_eq!(ask(&device, "", true).await, 200);
        }
        assert_eq!(ask(&flood, "", false).await, 429, "a request that was not charged refunds nothing");
        assert_eq!(ask(&device, "", false).await, 401);
        assert_eq!(ask(&device, "", true).await, 429, "the exemption lasts for one request");
    }

    #[tokio::test(start_paused = true)]
    async fn requests_through_a_proxy_are_charged_to_the_network_that_it_names() {
        let admission = admission(2);
        let (proxy, _) = admission.enter(PROXY).unwrap();
        for (requester, expected) in
            [("192.0.2.1", 401), ("192.0.2.1", 401), ("192.0.2.1", 429), ("192.0.2.2", 401)]
        {
            assert_eq!(ask(&proxy, requester, false).await, expected, "{requester}");
        }
        assert_eq!(ask(&proxy, "192.0.2.2", true).await, 200);
        assert_eq!(
            ask(&proxy, "192.0.2.1", false).await,
            429,
            "a valid token exempts no other request of the proxy"
        );
        assert_eq!(
            ask(&proxy, "198.51.100.1, 192.0.2.1", false).await,
            429,
            "earlier addresses in the header may be forged"
        );
        for _ in 0..10 {
            assert_eq!(ask(&proxy, "unknown", false).await, 401);
        }
    }
}
