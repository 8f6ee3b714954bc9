//! Limits the number of connections of one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::origin::network;

/// The connected addresses. The map never has more entries than there are open connections.
#[derive(Debug)]
pub(crate) struct Peers {
    most: Option<usize>,
    held: Mutex<HashMap<IpAddr, usize>>,
}

impl Peers {
    /// Allows this many connections for each address; with `None`, connections are not counted.
    pub(crate) fn with_limit(most: Option<usize>) -> Arc<Self> {
        Arc::new(Self { most, held: Mutex::default() })
    }

    /// Adds a connection from this address until the permit is dropped. `None` if the address has too many.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<ConnectionPermit> {
        let from = network(address);
        if let Some(most) = self.most {
            let mut held = self.held();
            let count = held.entry(from).or_default();
            if *count >= most {
                return None;
            }
            *count = count.saturating_add(1);
        }
        Some(ConnectionPermit { peers: Arc::clone(self), from: Some(from) })
    }

    /// A connection that is not counted, such as that of a proxy.
    pub(crate) fn enter_uncounted(self: &Arc<Self>) -> ConnectionPermit {
        ConnectionPermit { peers: Arc::clone(self), from: None }
    }

    fn leave(&self, from: IpAddr) {
        let mut held = self.held();
        if let Some(count) = held.get_mut(&from) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.remove(&from);
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open connection, which counts as long as this value exists.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    peers: Arc<Peers>,
    from: Option<IpAddr>,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        if let Some(from) = self.from {
            self.peers.leave(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(peers: &Arc<Peers>, address: &str) -> Option<ConnectionPermit> {
        peers.enter(address.parse().unwrap())
    }

    #[test]
    fn connections_are_counted_for_each_address_until_they_end() {
        let peers = Peers::with_limit(Some(2));
        let first = enter(&peers, "192.0.2.1").unwrap();
        let second = enter(&peers, "::ffff:192.0.2.1").unwrap();
        assert!(enter(&peers, "192.0.2.1").is_none());
        assert!(enter(&peers, "192.0.2.2").is_some());
        drop(first);
        let third = enter(&peers, "192.0.2.1");
        assert!(third.is_some());
        drop((second, third));
        assert!(peers.held().is_empty());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let peers = Peers::with_limit(Some(1));
        let _first = enter(&peers, "2001:db8:0:1::1").unwrap();
        assert!(enter(&peers, "2001:db8:0:1:ffff::2").is_none());
        assert!(enter(&peers, "2001:db8:0:2::1").is_some());
    }

    #[test]
    fn without_a_limit_connections_are_not_counted() {
        let peers = Peers::with_limit(None);
        let permits: Vec<_> = (0..1_000).map(|_| enter(&peers, "192.0.2.1").unwrap()).collect();
        assert!(peers.held().is_empty());
        drop(permits);
    }
}
