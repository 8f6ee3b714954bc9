//! Wakes the connections of other devices. A wake-up may be lost.
//!
//! No message is lost with it: each connection also checks its mailbox every 30 seconds.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;

use crate::address::Address;

/// Maximum number of connections of a device: one for the app, and one for the extension that a push notification
/// starts. A connection that is left over when a phone changes networks does not matter, because it is the oldest.
const MAX_CONNECTIONS: usize = 2;

/// Why a connection is woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Nudge {
    /// Rows were added to the mailbox.
    Mail = 1,
    /// One-time keys were taken, and few are left.
    KeysLow = 2,
    /// The device has opened too many connections, and this one must close.
    ConnectedElsewhere = 4,
    /// The device or its tokens were revoked, and this connection must close.
    Revoked = 8,
}

/// Delivers wake-ups, without a guarantee.
pub trait Bus: Send + Sync + fmt::Debug + 'static {
    /// Registers a connection of this device. If the device then has too many, the oldest is told to close.
    fn attach(&self, address: Address) -> Attached;

    /// Wakes the connections of this device, if there are any.
    fn nudge(&self, address: Address, nudge: Nudge);
}

/// A registered connection, until it is dropped.
pub struct Attached {
    inbox: Arc<Nudges>,
    address: Address,
    connections: Weak<Connections>,
}

impl Attached {
    /// Waits for the next nudges; several of one kind count as one.
    pub async fn nudged(&self) -> Nudged {
        loop {
            let waiting = self.inbox.waiting.swap(0, Ordering::AcqRel);
            if waiting != 0 {
                return Nudged(waiting);
            }
            self.inbox.notify.notified().await;
        }
    }

    /// The device begins to send on this connection: what older ones of it have sent, and what was not stored yet, is
    /// refused from now on.
    pub fn supersede_older(&self) {
        let Some(connections) = self.connections.upgrade() else { return };
        if let Some(of_device) = lock(&connections).get(&self.address) {
            let older = of_device.iter().take_while(|there| !Arc::ptr_eq(there, &self.inbox));
            older.for_each(|older| older.superseded.store(true, Ordering::SeqCst));
        }
    }

    /// Whether the device has begun to send on a newer connection. Set once, and never cleared.
    pub fn superseded(&self) -> &Arc<AtomicBool> {
        &self.inbox.superseded
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let Some(connections) = self.connections.upgrade() else { return };
        let mut connections = lock(&connections);
        let Some(of_device) = connections.get_mut(&self.address) else { return };
        of_device.retain(|there| !Arc::ptr_eq(there, &self.inbox));
        if of_device.is_empty() {
            connections.remove(&self.address);
        }
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attached")
    }
}

/// A set of nudges.
#[derive(Debug, Clone, Copy)]
pub struct Nudged(u8);

impl Nudged {
    /// Whether the set contains this nudge.
    pub fn has(self, nudge: Nudge) -> bool {
        self.0 & nudge as u8 != 0
    }
}

#[derive(Debug, Default)]
struct Nudges {
    waiting: AtomicU8,
    notify: Notify,
    superseded: Arc<AtomicBool>,
}

impl Nudges {
    fn add(&self, nudge: Nudge) {
        self.waiting.fetch_or(nudge as u8, Ordering::AcqRel);
        self.notify.notify_one();
    }
}

/// The bus of a relay that consists of a single process.
#[derive(Debug, Default)]
pub struct LocalBus {
    connections: Arc<Connections>,
}

/// The connections of each device, the oldest first.
type Connections = Mutex<HashMap<Address, Vec<Arc<Nudges>>>>;

impl Bus for LocalBus {
    fn attach(&self, address: Address) -> Attached {
        let inbox = Arc::new(Nudges::default());
        let mut connections = lock(&self.connections);
        let of_device = connections.entry(address).or_default();
        of_device.push(Arc::clone(&inbox));
        let too_many = of_device.len().saturating_sub(MAX_CONNECTIONS);
        of_device.drain(..too_many).for_each(|oldest| {
            oldest.superseded.store(true, Ordering::SeqCst);
            oldest.add(Nudge::ConnectedElsewhere);
        });
        drop(connections);
        Attached { inbox, address, connections: Arc::downgrade(&self.connections) }
    }

    fn nudge(&self, address: Address, nudge: Nudge) {
        if let Some(connections) = lock(&self.connections).get(&address) {
            connections.iter().for_each(|connection| connection.add(nudge));
        }
    }
}

fn lock(connections: &Connections) -> std::sync::MutexGuard<'_, HashMap<Address, Vec<Arc<Nudges>>>> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use sealpost_wire::id::{DeviceId, UserId};

    use super::*;

    const SOMEONE: Address = Address { user: UserId::from_bytes([1; 16]), device: DeviceId::PRIMARY };

    #[tokio::test]
    async fn nudges_wait_and_count_once() {
        let bus = LocalBus::default();
        bus.nudge(SOMEONE, Nudge::Mail);
        let connection = bus.attach(SOMEONE);
        bus.nudge(SOMEONE, Nudge::Mail);
        bus.nudge(SOMEONE, Nudge::Mail);
        bus.nudge(SOMEONE, Nudge::KeysLow);
        let nudged = connection.nudged().await;
        assert!(nudged.has(Nudge::Mail) && nudged.has(Nudge::KeysLow) && !nudged.has(Nudge::Revoked));
        bus.nudge(SOMEONE, Nudge::Revoked);
        assert!(!connection.nudged().await.has(Nudge::Mail));
    }

    #[tokio::test]
    async fn a_connection_that_sends_supersedes_the_older_ones_of_its_device() {
        let bus = LocalBus::default();
        let [oldest, older, newest] = [(); 3].map(|()| bus.attach(SOMEONE));
        let other = bus.attach(Address { user: UserId::from_bytes([2; 16]), ..SOMEONE });
        let superseded =
            || [&oldest, &older, &newest, &other].map(|one| one.superseded().load(Ordering::SeqCst));
        // The third made the oldest leave.
        assert_eq!(superseded(), [true, false, false, false]);
        older.supersede_older();
        assert_eq!(superseded(), [true, false, false, false]);
        newest.supersede_older();
        assert_eq!(superseded(), [true, true, false, false]);
    }

    #[tokio::test]
    async fn two_connections_receive_every_nudge_and_a_third_ends_the_oldest() {
        let bus = LocalBus::default();
        let oldest = bus.attach(SOMEONE);
        let older = bus.attach(SOMEONE);
        bus.nudge(SOMEONE, Nudge::Mail);
        for connection in [&oldest, &older] {
            let nudged = connection.nudged().await;
            assert!(nudged.has(Nudge::Mail) && !nudged.has(Nudge::ConnectedElsewhere));
        }
        let newest = bus.attach(SOMEONE);
        assert!(oldest.nudged().await.has(Nudge::ConnectedElsewhere));
        drop(oldest);
        bus.nudge(SOMEONE, Nudge::Revoked);
        for connection in [&older, &newest] {
            let nudged = connection.nudged().await;
            assert!(nudged.has(Nudge::Revoked) && !nudged.has(Nudge::ConnectedElsewhere));
        }
        drop((older, newest));
        assert!(lock(&bus.connections).is_empty());
    }
}
