//! Flow control: the frames and bytes that were pushed on a connection and not acknowledged.

use std::collections::HashMap;
use std::time::Duration;

use sealpost_wire::limits::{MAX_CREDIT, MAX_UNACKED_BYTES};

use crate::store::{InboxKey, MailSeq};

/// What was pushed and can be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Pushed {
    Message(InboxKey),
    Mail(MailSeq),
}

impl From<InboxKey> for Pushed {
    fn from(key: InboxKey) -> Self {
        Self::Message(key)
    }
}

/// The credit that a client has granted, and what uses it. Rows that do not fit stay in the store.
#[derive(Debug)]
pub(super) struct Window {
    max_frames: u32,
    max_bytes: usize,
    unacked: HashMap<Pushed, usize>,
    unacked_bytes: usize,
    /// A row did not fit; nothing more is read until something is acknowledged.
    full: bool,
    /// The same for ordinary mail.
    full_for_mail: bool,
    /// Since when rows have waited without an acknowledgement.
    stalled: Option<Duration>,
}

impl Window {
    /// The credit that the client asks for, up to the limits; 0 asks for the limit.
    pub(super) fn new(credit: u32, bytes: u32) -> Self {
        let max_frames = if credit == 0 { MAX_CREDIT } else { credit.min(MAX_CREDIT) };
        let max_bytes = match usize::try_from(bytes) {
            Ok(0) | Err(_) => MAX_UNACKED_BYTES,
            Ok(bytes) => bytes.min(MAX_UNACKED_BYTES),
        };
        Self {
            max_frames,
            max_bytes,
            unacked: HashMap::new(),
            unacked_bytes: 0,
            full: false,
            full_for_mail: false,
            stalled: None,
        }
    }

    /// Adds credit for frames.
    pub(super) fn grant(&mut self, more: u32) {
        self.max_frames = self.max_frames.saturating_add(more).min(MAX_CREDIT);
        self.reopen();
    }

    /// The rows and bytes that may be pushed now; `None` if there is no credit.
    pub(super) fn room(&self) -> Option<(u32, usize)> {
        let frames = u32::try_from(self.unacked.len()).unwrap_or(u32::MAX);
        let rows = self.max_frames.saturating_sub(frames);
        let bytes = self.max_bytes.saturating_sub(self.unacked_bytes);
        (!self.full && rows > 0 && bytes > 0).then_some((rows, bytes))
    }

    /// The ordinary mail that may be pushed now: no more than half of the credit is used by anything while it is pushed,
    /// so that mail that is not acknowledged leaves room for messages.
    pub(super) fn room_for_mail(&self) -> Option<(u32, usize)> {
        let (rows, bytes) = self.room()?;
        let rows = rows.saturating_sub(self.max_frames / 2);
        let bytes = bytes.saturating_sub(self.max_bytes / 2);
        (!self.full_for_mail && rows > 0 && bytes > 0).then_some((rows, bytes))
    }

    /// Whether a frame of this size fits. A single frame that exceeds the client's limit is allowed if nothing else
    /// is in flight.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        self.room().is_some_and(|(_, room)| bytes <= room) || self.unacked.is_empty()
    }

    /// Whether this row was pushed and has not been acknowledged.
    pub(super) fn holds(&self, key: InboxKey) -> bool {
        self.unacked.contains_key(&key.into())
    }

    /// A frame was pushed.
    pub(super) fn push(&mut self, key: impl Into<Pushed>, bytes: usize) {
        if self.unacked.insert(key.into(), bytes).is_none() {
            self.unacked_bytes = self.unacked_bytes.saturating_add(bytes);
        }
    }

    /// Rows were acknowledged.
    pub(super) fn acknowledge<K: Into<Pushed>>(&mut self, keys: impl IntoIterator<Item = K>) {
        for key in keys {
            if let Some(bytes) = self.unacked.remove(&key.into()) {
                self.unacked_bytes = self.unacked_bytes.saturating_sub(bytes);
                self.reopen();
            }
        }
        if self.unacked.is_empty() {
            // A connection that has caught up should use no more memory than one that never had any mail.
            self.unacked.shrink_to_fit();
        }
    }

    /// A row is waiting and does not fit.
    pub(super) fn refuse(&mut self, now: Duration) {
        self.full = true;
        self.stalled.get_or_insert(now);
    }

    /// Ordinary mail is waiting and does not fit. Messages are not affected.
    pub(super) fn refuse_mail(&mut self) {
        self.full_for_mail = true;
    }

    /// How long rows have been waiting for credit.
    pub(super) fn stalled_for(&self, now: Duration) -> Duration {
        self.stalled.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    fn reopen(&mut self) {
        (self.full, self.full_for_mail) = (false, false);
        self.stalled = None;
    }
}

#[cfg(test)]
mod tests {
    use sealpost_wire::id::ThreadId;

    use super::*;

    fn key(server_seq: u64) -> InboxKey {
        InboxKey { thread: ThreadId::from_bytes([1; 16]), server_seq }
    }

    #[test]
    fn a_client_gets_the_requested_credit_up_to_the_limit() {
        assert_eq!(Window::new(0, 0).room(), Some((MAX_CREDIT, MAX_UNACKED_BYTES)));
        assert_eq!(Window::new(u32::MAX, u32::MAX).room(), Some((MAX_CREDIT, MAX_UNACKED_BYTES)));
        assert_eq!(Window::new(3, 500).room(), Some((3, 500)));
    }

    #[test]
    fn credit_is_used_by_frames_and_returned_by_acknowledgements() {
        let mut window = Window::new(2, 500);
        window.push(key(1), 100);
        assert_eq!(window.room(), Some((1, 400)));
        assert!(window.fits(400) && !window.fits(401));
        assert!(window.holds(key(1)) && !window.holds(key(2)));
        window.push(key(2), 400);
        assert_eq!(window.room(), None);
        window.acknowledge([key(1), key(7)]);
        assert_eq!(window.room(), Some((1, 100)));
        window.acknowledge([key(2), key(2)]);
        assert_eq!(window.room(), Some((2, 500)));
        window.grant(5);
        assert_eq!(window.room(), Some((7, 500)));
    }

    #[test]
    fn mail_leaves_half_of_the_credit_to_messages() {
        let mut window = Window::new(5, 500);
        assert_eq!(window.room_for_mail(), Some((3, 250)));
        window.push(Pushed::Mail(1), 100);
        window.push(Pushed::Mail(2), 100);
        assert_eq!(window.room_for_mail(), Some((1, 50)));
        window.push(Pushed::Mail(3), 50);
        assert_eq!((window.room_for_mail(), window.room()), (None, Some((2, 250))));
        window.acknowledge([Pushed::Mail(2), Pushed::Message(key(1))]);
        assert_eq!(window.room_for_mail(), Some((1, 100)));
        window.refuse_mail();
        assert_eq!((window.room_for_mail(), window.room()), (None, Some((3, 350))));
        window.acknowledge([Pushed::Mail(1)]);
        assert_eq!(window.room_for_mail(), Some((2, 200)));
        assert!(Window::new(1, 1).room_for_mail().is_some(), "any credit allows some mail");
    }

    #[test]
    fn a_row_larger_than_the_window_still_passes_alone() {
        let mut window = Window::new(2, 10);
        assert!(window.fits(60_000));
        window.push(key(1), 60_000);
        assert!(!window.fits(1));
    }

    #[test]
    fn a_row_that_did_not_fit_closes_the_window_until_an_acknowledgement() {
        let mut window = Window::new(5, 500);
        window.push(key(1), 300);
        window.refuse(Duration::ZERO);
        assert_eq!(window.room(), None);
        window.acknowledge([key(1)]);
        assert_eq!(window.room(), Some((5, 500)));
    }

    #[test]
    fn a_stall_lasts_until_something_is_acknowledged() {
        let mut window = Window::new(1, 0);
        window.push(key(1), 1);
        window.refuse(Duration::from_secs(10));
        window.refuse(Duration::from_secs(40));
        assert_eq!(window.stalled_for(Duration::from_secs(50)), Duration::from_secs(40));
        window.acknowledge([key(2)]);
        assert_eq!(window.stalled_for(Duration::from_secs(50)), Duration::from_secs(40));
        window.acknowledge([key(1)]);
        assert_eq!(window.stalled_for(Duration::from_secs(50)), Duration::ZERO);
    }
}
