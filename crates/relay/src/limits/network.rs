//! Limits for requesters without a valid token, which are charged to their network. A network that the relay does not
//! know (this machine, or a proxy that does not name its requester) is not charged.

use std::net::IpAddr;
use std::time::Duration;

use super::buckets::Key;
use super::limiter::Limiter;
use super::table::Name;
use super::{OverLimit, Wait};

impl Limiter {
    /// Charges a connection, or a request of which only the head has been examined.
    ///
    /// # Errors
    /// [`OverLimit`]
    pub fn unauthenticated(&self, network: Option<IpAddr>, now: Duration) -> Result<Wait, OverLimit> {
        self.network(Name::Unauthenticated, network, now)
    }

    /// Returns the charge for a request that turned out to be paid for by a device.
    pub fn authenticated(&self, network: Option<IpAddr>, now: Duration) {
        if let (Some(network), Some((rate, row, _))) = (network, self.find(Name::Unauthenticated)) {
            row.give_back(rate, Key::Network(network), 1, now);
        }
    }

    /// Charges a registration from this network.
    ///
    /// # Errors
    /// [`OverLimit`]
    pub fn registration(&self, network: Option<IpAddr>, now: Duration) -> Result<(), OverLimit> {
        self.network(Name::Registrations, network, now).map(drop)
    }

    /// Charges a refresh token that is presented from this network.
    ///
    /// # Errors
    /// [`OverLimit`]
    pub fn refresh(&self, network: Option<IpAddr>, now: Duration) -> Result<(), OverLimit> {
        self.network(Name::Refreshes, network, now).map(drop)
    }

    /// Charges a request for a challenge, or an answer to one.
    ///
    /// # Errors
    /// [`OverLimit`]
    pub fn login(&self, network: Option<IpAddr>, now: Duration) -> Result<(), OverLimit> {
        self.network(Name::Logins, network, now).map(drop)
    }

    /// Charges a link that is begun, or a device that is linked.
    ///
    /// # Errors
    /// [`OverLimit`]
    pub fn link(&self, network: Option<IpAddr>, now: Duration) -> Result<(), OverLimit> {
        self.network(Name::Links, network, now).map(drop)
    }

    /// Charges a companion that asks for what there is in its link.
    ///
    /// # Errors
    /// [`OverLimit`]
    pub fn link_poll(&self, network: Option<IpAddr>, now: Duration) -> Result<(), OverLimit> {
        self.network(Name::LinkPolls, network, now).map(drop)
    }

    fn network(&self, name: Name, network: Option<IpAddr>, now: Duration) -> Result<Wait, OverLimit> {
        match network {
            Some(network) => self.admit(name, Key::Network(network), 1, now),
            None => Ok(Wait::NONE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bucket::Rate;
    use super::super::table::Limits;
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    #[test]
    fn known_networks_are_limited_and_unknown_ones_are_not() {
        let mut limits = Limits::none();
        let limited = [
            Name::Registrations,
            Name::Refreshes,
            Name::Logins,
            Name::Links,
            Name::LinkPolls,
            Name::Unauthenticated,
        ];
        for name in limited {
            limits.set(name, Some(Rate::new(1, 1, Duration::from_secs(10))));
        }
        let limiter = Limiter::new(limits);
        let (here, there) = (Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([192, 0, 2, 2])));
        type Ask = fn(&Limiter, Option<IpAddr>) -> bool;
        let asks: [Ask; 6] = [
            |limiter, network| limiter.registration(network, NOW).is_ok(),
            |limiter, network| limiter.refresh(network, NOW).is_ok(),
            |limiter, network| limiter.login(network, NOW).is_ok(),
            |limiter, network| limiter.link(network, NOW).is_ok(),
            |limiter, network| limiter.link_poll(network, NOW).is_ok(),
            |limiter, network| limiter.unauthenticated(network, NOW).is_ok(),
        ];
        for ask in asks {
            assert!(ask(&limiter, here) && !ask(&limiter, here) && ask(&limiter, there));
            assert!((0..5).all(|_| ask(&limiter, None)));
        }
    }

    #[test]
    fn a_network_is_refunded_for_a_request_that_a_device_pays_for() {
        let (limiter, network) = (Limiter::default(), Some(IpAddr::from([192, 0, 2, 1])));
        for _ in 0..10_000 {
            assert_eq!(limiter.unauthenticated(network, NOW), Ok(Wait::NONE));
            limiter.authenticated(network, NOW);
        }
        for _ in 0..2_000 {
            assert_eq!(limiter.unauthenticated(network, NOW), Ok(Wait::NONE));
        }
        assert_eq!(limiter.unauthenticated(network, NOW), Ok(Wait(Duration::from_millis(10))));
    }
}
