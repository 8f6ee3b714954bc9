//! Determines which network a request comes from, as far as the relay can know.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

/// The prefix length of an IPv6 network. Usually one host can use all addresses of such a network.
const NETWORK: u128 = u128::MAX << 64;
/// The header in which a proxy names its requester; each proxy appends the address of its own peer.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address itself, or the first address of its IPv6 network.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & NETWORK).into()),
    }
}

/// The kind of peer of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A proxy of the operator, which names the requester in each request.
    Proxy,
    /// This machine; processes here belong to the operator.
    Local,
    /// A peer in this network.
    Remote(IpAddr),
}

/// The network that a request came from, or `None` if it is unknown. It is an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin(pub(crate) Option<IpAddr>);

/// The operator's proxies.
#[derive(Debug)]
pub(crate) struct Proxies(Vec<IpAddr>);

impl Proxies {
    pub(crate) fn new(addresses: &[IpAddr]) -> Self {
        Self(addresses.iter().map(IpAddr::to_canonical).collect())
    }

    /// The kind of peer that has this address.
    pub(crate) fn peer(&self, address: IpAddr) -> Peer {
        let address = address.to_canonical();
        if self.0.contains(&address) {
            Peer::Proxy
        } else if address.is_loopback() {
            Peer::Local
        } else {
            Peer::Remote(network(address))
        }
    }

    /// The origin of a request that came through a proxy: the last address that does not belong to a proxy.
    /// Everything before that could have been written by anybody.
    pub(crate) fn origin(&self, headers: &HeaderMap) -> Origin {
        let entries = headers.get_all(FORWARDED_FOR).iter().rev();
        let entries = entries.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
        let last =
            entries.map(address).find(|address| address.is_none_or(|address| !self.0.contains(&address)));
        match last.flatten().map(|address| self.peer(address)) {
            Some(Peer::Remote(network)) => Origin(Some(network)),
            Some(Peer::Proxy | Peer::Local) | None => Origin(None),
        }
    }
}

/// Parses an address that may have a port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let with_port = || text.parse().map(|address: SocketAddr| address.ip()).ok();
    let address: IpAddr = text.parse().ok().or_else(with_port)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn proxies() -> Proxies {
        Proxies::new(&[ip("127.0.0.1"), ip("::ffff:10.0.0.5")])
    }

    #[test]
    fn peers_are_classified_as_proxy_local_or_remote() {
        assert_eq!(proxies().peer(ip("::ffff:127.0.0.1")), Peer::Proxy);
        assert_eq!(proxies().peer(ip("10.0.0.5")), Peer::Proxy);
        assert_eq!(proxies().peer(ip("127.0.0.2")), Peer::Local);
        assert_eq!(Proxies::new(&[]).peer(ip("::1")), Peer::Local);
        assert_eq!(proxies().peer(ip("10.0.0.6")), Peer::Remote(ip("10.0.0.6")));
        assert_eq!(proxies().peer(ip("2001:db8:0:1::7")), Peer::Remote(ip("2001:db8:0:1::")));
    }

    #[test]
    fn the_origin_is_the_last_address_that_is_not_a_proxy() {
        let origin = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
            }
            proxies().origin(&headers).0.map(|network| network.to_string())
        };
        assert_eq!(origin(&["192.0.2.1"]).unwrap(), "192.0.2.1");
        assert_eq!(origin(&["198.51.100.9, 192.0.2.1"]).unwrap(), "192.0.2.1");
        assert_eq!(origin(&["198.51.100.9", "192.0.2.1 ,10.0.0.5"]).unwrap(), "192.0.2.1");
        assert_eq!(origin(&["192.0.2.1:4711"]).unwrap(), "192.0.2.1");
        assert_eq!(origin(&["[2001:db8::7]:4711"]).unwrap(), "2001:db8::");
        assert_eq!(origin(&["::ffff:192.0.2.1"]).unwrap(), "192.0.2.1");
        for unknown in
            [&[][..], &[""], &["192.0.2.1, unknown"], &["192.0.2.1,"], &["10.0.0.5"], &["127.0.0.9"]]
        {
            assert_eq!(origin(unknown), None, "{unknown:?}");
        }
    }
}
