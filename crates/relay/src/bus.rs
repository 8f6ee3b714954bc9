//! Wakes the connections of other devices. A wake-up may be lost.
//!
//! No message is lost with it: each connection also checks its mailbox every 30 seconds.
//!
//! Ephemeral mail passes through here too. It is kept for connections that are open, within bounds, and lost otherwise.

mod waiting;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use self::waiting::Waiting;
pub use self::waiting::{Passing, Taken};
use crate::address::Address;

/// Maximum number of connections of a device: one for the app, one for the extension that a push notification starts, and
/// two that have ended without the relay having noticed it yet. If several notifications arrive in a row, the connection of one
/// extension may not be closed before that of the next one is opened, and the app's must not be closed for it.
const MAX_CONNECTIONS: usize = 4;

/// Why a connection is woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum WakeReason {
    /// Messages were added to the mailbox.
    Messages = 1,
    /// One-time keys were taken, and few are left.
    KeysLow = 2,
    /// The device has opened too many connections, and this one must close.
    ConnectedElsewhere = 4,
    /// The device or its tokens were revoked, and this connection must close.
    Revoked = 8,
    /// Ephemeral mail waits for this connection.
    Ephemeral = 16,
    /// Urgent mail was added to the mailbox.
    UrgentMail = 32,
    /// Other mail was added to the mailbox.
    OrdinaryMail = 64,
}

/// Delivers wake-ups on a best-effort basis.
pub trait Bus: Send + Sync + fmt::Debug + 'static {
    /// Registers a connection of this device. If the device then has too many, the oldest is woken to close.
    fn subscribe(&self, address: Address) -> Subscription;

    /// Wakes the connections of this device, if there are any.
    fn wake(&self, address: Address, reason: WakeReason);

    /// Passes ephemeral mail to the connections of this device. Returns whether there are any.
    fn pass(&self, address: Address, passing: &Passing) -> bool;
}

/// A registered connection, until it is dropped.
pub struct Subscription {
    inbox: Arc<Pending>,
    address: Address,
    connections: Weak<Connections>,
}

impl Subscription {
    /// Waits for the next wake-up, and returns its reasons; repeated reasons are merged.
    pub async fn woken(&self) -> WakeReasons {
        loop {
            let waiting = self.inbox.waiting.swap(0, Ordering::AcqRel);
            if waiting != 0 {
                return WakeReasons(waiting);
            }
            self.inbox.notify.notified().await;
        }
    }

    /// Records that the device begins to send on this connection. From now on, sends on its older connections that are
    /// not stored yet are refused.
    pub fn supersede_older(&self) {
        let Some(connections) = self.connections.upgrade() else { return };
        if let Some(of_device) = lock(&connections).get(&self.address) {
            let older = of_device.iter().take_while(|there| !Arc::ptr_eq(there, &self.inbox));
            older.for_each(|older| older.superseded.store(true, Ordering::SeqCst));
        }
    }

    /// Takes ephemeral mail up to this size, in bytes.
    pub fn take_passing(&self, now: Duration, most: usize) -> Taken {
        self.inbox.ephemeral.lock().unwrap_or_else(PoisonError::into_inner).take(now, most)
    }

    /// Whether the device has begun to send on a newer connection. Set once, and never cleared.
    pub fn superseded(&self) -> &Arc<AtomicBool> {
        &self.inbox.superseded
    }
}

impl Drop for Subscription {
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

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription")
    }
}

/// A set of reasons.
#[derive(Debug, Clone, Copy)]
pub struct WakeReasons(u8);

impl WakeReasons {
    /// Whether the set contains this reason.
    pub fn has(self, reason: WakeReason) -> bool {
        self.0 & reason as u8 != 0
    }
}

#[derive(Debug, Default)]
struct Pending {
    waiting: AtomicU8,
    notify: Notify,
    superseded: Arc<AtomicBool>,
    ephemeral: Mutex<Waiting>,
}

impl Pending {
    fn pass(&self, passing: Passing) {
        self.ephemeral.lock().unwrap_or_else(PoisonError::into_inner).push(passing);
        self.add(WakeReason::Ephemeral);
    }

    fn add(&self, reason: WakeReason) {
        self.waiting.fetch_or(reason as u8, Ordering::AcqRel);
        self.notify.notify_one();
    }
}

/// The bus of a relay that consists of a single process.
#[derive(Debug, Default)]
pub struct LocalBus {
    connections: Arc<Connections>,
}

/// The connections of each device, the oldest first.
type Connections = Mutex<HashMap<Address, Vec<Arc<Pending>>>>;

impl Bus for LocalBus {
    fn subscribe(&self, address: Address) -> Subscription {
        let inbox = Arc::new(Pending::default());
        let mut connections = lock(&self.connections);
        let of_device = connections.entry(address).or_default();
        of_device.push(Arc::clone(&inbox));
        let too_many = of_device.len().saturating_sub(MAX_CONNECTIONS);
        of_device.drain(..too_many).for_each(|oldest| {
            oldest.superseded.store(true, Ordering::SeqCst);
            oldest.add(WakeReason::ConnectedElsewhere);
        });
        drop(connections);
        Subscription { inbox, address, connections: Arc::downgrade(&self.connections) }
    }

    fn wake(&self, address: Address, reason: WakeReason) {
        if let Some(connections) = lock(&self.connections).get(&address) {
            connections.iter().for_each(|connection| connection.add(reason));
        }
    }

    fn pass(&self, address: Address, passing: &Passing) -> bool {
        let connections = lock(&self.connections);
        let of_device = connections.get(&address);
        of_device.into_iter().flatten().for_each(|connection| connection.pass(passing.clone()));
        of_device.is_some()
    }
}

fn lock(connections: &Connections) -> std::sync::MutexGuard<'_, HashMap<Address, Vec<Arc<Pending>>>> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use sealpost_wire::id::{DeviceId, UserId};

    use super::*;

    const DEVICE: Address = Address { user: UserId::from_bytes([1; 16]), device: DeviceId::PRIMARY };

    #[tokio::test]
    async fn wake_ups_wait_and_are_merged() {
        let bus = LocalBus::default();
        bus.wake(DEVICE, WakeReason::Messages);
        let connection = bus.subscribe(DEVICE);
        bus.wake(DEVICE, WakeReason::Messages);
        bus.wake(DEVICE, WakeReason::Messages);
        bus.wake(DEVICE, WakeReason::KeysLow);
        let woken = connection.woken().await;
        assert!(
            woken.has(WakeReason::Messages)
                && woken.has(WakeReason::KeysLow)
                && !woken.has(WakeReason::Revoked)
        );
        bus.wake(DEVICE, WakeReason::Revoked);
        assert!(!connection.woken().await.has(WakeReason::Messages));
    }

    #[tokio::test]
    async fn ephemeral_mail_reaches_all_connections_of_a_device_and_no_later_one() {
        let bus = LocalBus::default();
        let until = Duration::from_secs(5);
        let passing = Passing { frame: vec![1].into(), from: UserId::from_bytes([2; 16]), until };
        assert!(!bus.pass(DEVICE, &passing), "the device is not connected");
        let connections = [bus.subscribe(DEVICE), bus.subscribe(DEVICE)];
        assert!(bus.pass(DEVICE, &passing));
        let later = bus.subscribe(DEVICE);
        for connection in &connections {
            assert!(connection.woken().await.has(WakeReason::Ephemeral));
            assert_eq!(connection.take_passing(Duration::ZERO, 100).frames, [vec![1]]);
        }
        assert!(later.take_passing(Duration::ZERO, 100).frames.is_empty());
    }

    #[tokio::test]
    async fn a_connection_that_sends_supersedes_the_older_ones_of_its_device() {
        let bus = LocalBus::default();
        let [oldest, older, _, _, newest] = &[(); MAX_CONNECTIONS + 1].map(|()| bus.subscribe(DEVICE));
        let other = bus.subscribe(Address { user: UserId::from_bytes([2; 16]), ..DEVICE });
        let superseded =
            || [oldest, older, newest, &other].map(|one| one.superseded().load(Ordering::SeqCst));
        // There was one too many, so the oldest must close.
        assert_eq!(superseded(), [true, false, false, false]);
        older.supersede_older();
        assert_eq!(superseded(), [true, false, false, false]);
        newest.supersede_older();
        assert_eq!(superseded(), [true, true, false, false]);
    }

    #[tokio::test]
    async fn all_connections_receive_every_wake_up_and_one_too_many_ends_the_oldest() {
        let bus = LocalBus::default();
        let oldest = bus.subscribe(DEVICE);
        let others = [(); MAX_CONNECTIONS - 1].map(|()| bus.subscribe(DEVICE));
        bus.wake(DEVICE, WakeReason::Messages);
        for connection in [&oldest].into_iter().chain(&others) {
            let woken = connection.woken().await;
            assert!(woken.has(WakeReason::Messages) && !woken.has(WakeReason::ConnectedElsewhere));
        }
        let newest = bus.subscribe(DEVICE);
        assert!(oldest.woken().await.has(WakeReason::ConnectedElsewhere));
        drop(oldest);
        bus.wake(DEVICE, WakeReason::Revoked);
        for connection in others.iter().chain([&newest]) {
            let woken = connection.woken().await;
            assert!(woken.has(WakeReason::Revoked) && !woken.has(WakeReason::ConnectedElsewhere));
        }
        drop((others, newest));
        assert!(lock(&bus.connections).is_empty());
    }
}
