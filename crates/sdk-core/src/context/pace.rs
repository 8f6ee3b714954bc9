//! When the next receipt of a kind may leave: the first one at once, and the following ones with a pause between them, so that one
//! receipt is enough for what happens meanwhile.
//!
//! Mail waits until a time by the clock of the device, which can be set, and it can be late. The pauses are therefore measured here by
//! another clock, from when a receipt was sealed: no receipt waits longer than its pause, and none leaves before it is over.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::store::MailSlot;

/// The pause between two receipts.
pub(crate) const RECEIPT_PACE: Duration = Duration::from_secs(2);
/// How many recent receipts are remembered before those are forgotten that say nothing any longer.
const MANY: usize = 256;

/// The last receipts. It begins anew with the process.
#[derive(Debug, Default)]
pub(crate) struct ReceiptPace(Mutex<Paces>);

#[derive(Debug, Default)]
struct Paces {
    /// When each was sealed.
    last: HashMap<MailSlot, Instant>,
    /// Until when each waits that is not due yet.
    waiting: HashMap<MailSlot, Instant>,
}

impl ReceiptPace {
    /// How long the next receipt waits.
    pub(crate) fn pause(&self, slot: &MailSlot, now: Instant) -> Duration {
        let last = self.lock().last.get(slot).copied();
        last.map_or(Duration::ZERO, |last| after(last).saturating_duration_since(now))
    }

    /// A receipt was queued that leaves after this pause.
    pub(crate) fn wait(&self, slot: MailSlot, now: Instant, pause: Duration) {
        let mut paces = self.lock();
        if pause.is_zero() {
            paces.waiting.remove(&slot);
        } else {
            paces.waiting.insert(slot, now.checked_add(pause).unwrap_or(now));
        }
    }

    /// A receipt was sealed.
    pub(crate) fn leave(&self, slot: MailSlot, now: Instant) {
        let mut paces = self.lock();
        if paces.last.len() >= MANY {
            paces.last.retain(|_, last| after(*last) > now);
        }
        paces.last.insert(slot, now);
    }

    /// A receipt was put off until a full pause from now, because more is to be confirmed.
    pub(crate) fn put_off(&self, slot: MailSlot, now: Instant) {
        self.lock().waiting.insert(slot, after(now));
    }

    /// How long the receipt waits that leaves next; none if none waits.
    pub(crate) fn next(&self, now: Instant) -> Option<Duration> {
        self.lock().waiting.values().min().map(|next| next.saturating_duration_since(now))
    }

    /// The receipts whose pause is over, each once.
    pub(crate) fn take_due(&self, now: Instant) -> Vec<MailSlot> {
        self.lock().waiting.extract_if(|_, due| *due <= now).map(|(slot, _)| slot).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Paces> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn after(time: Instant) -> Instant {
    time.checked_add(RECEIPT_PACE).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ThreadId, UserId};

    const fn slot(n: u8, slot: u8) -> MailSlot {
        (ThreadId::from_bytes([n; 16]), UserId::from_bytes([n; 16]), slot)
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_first_receipt_leaves_at_once_and_the_next_ones_with_pauses() {
        let (pace, start) = (ReceiptPace::default(), Instant::now());
        let at = |after: u64| start.checked_add(ms(after)).unwrap();
        assert_eq!(pace.pause(&slot(1, 1), start), ms(0));
        pace.wait(slot(1, 1), start, ms(0));
        assert_eq!(pace.next(start), None);
        assert_eq!(pace.pause(&slot(1, 1), at(50)), ms(0), "it has not left yet");
        pace.leave(slot(1, 1), at(100));
        assert_eq!(pace.pause(&slot(1, 1), at(500)), ms(1_600));
        pace.wait(slot(1, 1), at(500), ms(1_600));
        for other in [slot(2, 1), slot(1, 2)] {
            assert_eq!(pace.pause(&other, at(500)), ms(0), "another thread or kind does not wait");
        }
        assert_eq!(pace.next(at(500)), Some(ms(1_600)));
        assert!(pace.take_due(at(2_099)).is_empty());
        assert_eq!(pace.take_due(at(2_100)), [slot(1, 1)]);
        assert_eq!((pace.next(at(2_100)), pace.take_due(at(2_100)).len()), (None, 0));
        // It could not be sent until now.
        pace.leave(slot(1, 1), at(9_000));
        assert_eq!(pace.pause(&slot(1, 1), at(9_100)), ms(1_900));
        assert_eq!(pace.pause(&slot(1, 1), at(11_000)), ms(0), "after a quiet time");
    }

    #[test]
    fn a_receipt_is_put_off_while_more_is_to_be_confirmed() {
        let (pace, start) = (ReceiptPace::default(), Instant::now());
        let at = |after: u64| start.checked_add(ms(after)).unwrap();
        pace.put_off(slot(1, 1), start);
        pace.put_off(slot(1, 1), at(1_000));
        assert_eq!(pace.next(at(1_500)), Some(ms(1_500)));
        pace.wait(slot(1, 1), at(1_600), ms(0));
        assert_eq!(pace.next(at(1_600)), None, "all has come");
    }

    #[test]
    fn what_is_remembered_is_limited() {
        let (pace, start) = (ReceiptPace::default(), Instant::now());
        for n in 0..2_000_u64 {
            let bytes = std::array::from_fn(|at| n.to_be_bytes()[at % 8]);
            let slot = (ThreadId::from_bytes(bytes), UserId::from_bytes(bytes), 1);
            pace.leave(slot, start.checked_add(ms(10 * n)).unwrap());
        }
        assert!(pace.lock().last.len() < 2 * MANY);
    }
}
