//! The ephemeral mail that waits for a connection. It is bounded, and what does not fit is dropped.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use sealpost_wire::id::UserId;

/// Maximum number of frames that wait for one connection.
const MAX_WAITING: usize = 64;
/// Maximum size of these frames together, in bytes.
const MAX_WAITING_BYTES: usize = 64 << 10;

/// Ephemeral mail on its way to a device.
#[derive(Clone)]
pub struct Passing {
    /// The encoded frame. It shares no memory with the frame of the sender, which may be much larger.
    pub frame: Bytes,
    /// Who sent it.
    pub from: UserId,
    /// When it is not worth delivering any more, on the monotonic clock.
    pub until: Duration,
}

impl fmt::Debug for Passing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passing").field("bytes", &self.frame.len()).finish_non_exhaustive()
    }
}

/// What is written to a connection at a time.
#[derive(Debug, Default)]
pub struct Taken {
    /// The frames, in the order in which they arrived.
    pub frames: Vec<Bytes>,
    /// How many frames were dropped since the last time.
    pub dropped: u64,
    /// Whether more frames wait.
    pub more: bool,
}

/// The ephemeral mail of one connection.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    envelopes: VecDeque<Passing>,
    bytes: usize,
    dropped: u64,
}

impl Waiting {
    /// Adds an envelope. If there is no room for it, envelopes of the sender who has most of them are dropped.
    pub(super) fn push(&mut self, passing: Passing) {
        self.bytes = self.bytes.saturating_add(passing.frame.len());
        self.envelopes.push_back(passing);
        while self.envelopes.len() > MAX_WAITING || self.bytes > MAX_WAITING_BYTES {
            let Some(passing) = self.remove_one() else { return };
            self.bytes = self.bytes.saturating_sub(passing.frame.len());
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// Takes envelopes up to this size, and at least one if there are any; those that are too old are dropped.
    pub(super) fn take(&mut self, now: Duration, most: usize) -> Taken {
        let mut taken = Taken::default();
        let mut bytes: usize = 0;
        while bytes < most {
            let Some(passing) = self.envelopes.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(passing.frame.len());
            if passing.until <= now {
                self.dropped = self.dropped.saturating_add(1);
                continue;
            }
            bytes = bytes.saturating_add(passing.frame.len());
            taken.frames.push(passing.frame);
        }
        taken.more = !self.envelopes.is_empty();
        taken.dropped = std::mem::take(&mut self.dropped);
        if !taken.more {
            // An idle connection uses no memory for this.
            self.envelopes = VecDeque::new();
        }
        taken
    }

    /// Removes the oldest envelope of the sender who has most bytes here, so that nobody displaces the mail of others.
    fn remove_one(&mut self) -> Option<Passing> {
        let mut bytes: HashMap<UserId, usize> = HashMap::new();
        for passing in &self.envelopes {
            let of_sender = bytes.entry(passing.from).or_default();
            *of_sender = of_sender.saturating_add(passing.frame.len());
        }
        let (from, _) = bytes.into_iter().max_by_key(|(from, bytes)| (*bytes, *from))?;
        let oldest = self.envelopes.iter().position(|passing| passing.from == from)?;
        self.envelopes.remove(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);
    const LATER: Duration = Duration::from_secs(105);

    fn passing(from: u8, number: u8, bytes: usize) -> Passing {
        Passing { frame: vec![number; bytes].into(), from: UserId::from_bytes([from; 16]), until: LATER }
    }

    fn numbers(taken: &Taken) -> Vec<u8> {
        taken.frames.iter().map(|frame| frame[0]).collect()
    }

    #[test]
    fn envelopes_leave_in_order_and_a_few_at_a_time() {
        let mut waiting = Waiting::default();
        (0..5).for_each(|n| waiting.push(passing(1, n, 100)));
        let first = waiting.take(NOW, 250);
        assert_eq!((numbers(&first), first.more, first.dropped), (vec![0, 1, 2], true, 0));
        let rest = waiting.take(NOW, 250);
        assert_eq!((numbers(&rest), rest.more), (vec![3, 4], false));
        assert_eq!((waiting.bytes, waiting.envelopes.capacity()), (0, 0));
    }

    #[test]
    fn an_envelope_that_waited_too_long_is_dropped() {
        let mut waiting = Waiting::default();
        waiting.push(passing(1, 0, 10));
        waiting.push(Passing { until: LATER + LATER, ..passing(1, 1, 10) });
        let taken = waiting.take(LATER, 1_000);
        assert_eq!((numbers(&taken), taken.dropped, taken.more), (vec![1], 1, false));
    }

    #[test]
    fn the_number_and_the_size_are_bounded_and_a_sender_displaces_only_their_own() {
        // Three of 16 KiB fit beside the small one.
        for (bytes, kept) in [(10, MAX_WAITING), (16 << 10, 4)] {
            let mut waiting = Waiting::default();
            waiting.push(passing(2, 200, 10));
            (0..150).for_each(|n| waiting.push(passing(1, n, bytes)));
            assert!(waiting.envelopes.len() <= MAX_WAITING && waiting.bytes <= MAX_WAITING_BYTES);
            let taken = waiting.take(NOW, usize::MAX);
            let left = numbers(&taken);
            assert_eq!((left[0], left.last()), (200, Some(&149)), "the newest of one, all of the other");
            assert_eq!((left.len(), taken.dropped), (kept, 151 - kept as u64));
        }
    }
}
