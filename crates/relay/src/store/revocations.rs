//! Remembers which devices lost tokens recently, so that connections can check at each tick without querying the
//! store.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::address::Address;

/// The number of devices that are remembered. A connection that needs older revocations queries the store.
const REMEMBERED: usize = 65_536;

/// The revocations that became durable since this store was opened.
#[derive(Default)]
pub struct Revocations {
    count: AtomicU64,
    recent: Mutex<Recent>,
}

/// A position in the sequence of revocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevocationMark(u64);

#[derive(Default)]
struct Recent {
    /// The number of the last revocation of each device.
    last: HashMap<Address, u64>,
    /// Each number in `last`, in order, and numbers that a later revocation of the same device has replaced.
    order: VecDeque<(u64, Address)>,
    /// Revocations up to this number may have been forgotten.
    forgotten: u64,
}

impl Revocations {
    /// Records that tokens of this device were revoked. Called after the commit.
    pub fn record(&self, device: Address) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.count.load(Ordering::Relaxed).saturating_add(1);
        recent.last.insert(device, number);
        recent.order.push_back((number, device));
        while recent.order.len() > REMEMBERED {
            let Some((oldest, device)) = recent.order.pop_front() else { break };
            recent.forgotten = oldest;
            if recent.last.get(&device) == Some(&oldest) {
                recent.last.remove(&device);
            }
        }
        self.count.store(number, Ordering::Release);
    }

    /// The position after the newest revocation.
    pub fn mark(&self) -> RevocationMark {
        RevocationMark(self.count.load(Ordering::Acquire))
    }

    /// Whether tokens of this device may have been revoked after this mark. If there were no revocations, this is a
    /// single comparison.
    pub fn may_concern(&self, device: Address, since: RevocationMark) -> bool {
        if self.mark() == since {
            return false;
        }
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.forgotten > since.0 || recent.last.get(&device).is_some_and(|number| *number > since.0)
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations").field("count", &self.count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use sealpost_wire::id::{DeviceId, UserId};

    use super::*;

    fn device(number: u32) -> Address {
        let mut user = [0; 16];
        user[..4].copy_from_slice(&number.to_be_bytes());
        Address { user: UserId::from_bytes(user), device: DeviceId::PRIMARY }
    }

    #[test]
    fn a_revocation_concerns_its_device_until_the_next_mark() {
        let revocations = Revocations::default();
        let before = revocations.mark();
        assert!(!revocations.may_concern(device(1), before));
        revocations.record(device(1));
        assert!(revocations.may_concern(device(1), before) && !revocations.may_concern(device(2), before));
        let between = revocations.mark();
        assert!(!revocations.may_concern(device(1), between));
        revocations.record(device(1));
        assert!(revocations.may_concern(device(1), between));
    }

    #[test]
    fn revocations_older_than_those_remembered_require_the_store() {
        let revocations = Revocations::default();
        let long_ago = revocations.mark();
        let many = u32::try_from(REMEMBERED).unwrap();
        (0..many).for_each(|number| revocations.record(device(number)));
        assert!(!revocations.may_concern(device(many), long_ago));
        revocations.record(device(0));
        let recently = revocations.mark();
        revocations.record(device(1));
        assert!(revocations.may_concern(device(many), long_ago));
        assert!(!revocations.may_concern(device(many), recently));
        assert!(revocations.may_concern(device(1), recently));
        let recent = revocations.recent.lock().unwrap();
        assert_eq!((recent.order.len(), recent.last.len()), (REMEMBERED, REMEMBERED));
    }
}
