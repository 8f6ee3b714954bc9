//! The rows that a client requested with `Sync` and that have not been looked up yet.
//!
//! They wait here, not in the store, until there is credit. What a client can request at a time is therefore bounded,
//! and rows that are requested twice are looked up once.

use std::collections::BTreeMap;

use sealpost_wire::id::ThreadId;
use sealpost_wire::limits::MAX_CURSORS;

use crate::store::InboxKey;

/// The client has requested more than may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

/// The pending requests, in the order in which they are looked up.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// The maximum number of rows, by the row after which they start.
    waiting: BTreeMap<InboxKey, u32>,
    /// The ids of requests to be answered when nothing is pending any more.
    asked: Vec<u64>,
}

impl Gaps {
    /// Adds a request for this many rows after each of these; an id of 0 requests no answer. Of two requests after the
    /// same row, the longer one counts.
    ///
    /// # Errors
    /// [`TooMany`] if more would be pending than one `Sync` may name.
    pub(super) fn ask(
        &mut self,
        request: u64,
        cursors: impl IntoIterator<Item = (InboxKey, u32)>,
    ) -> Result<(), TooMany> {
        for (after, rows) in cursors {
            let waiting = self.waiting.entry(after).or_default();
            *waiting = rows.max(*waiting);
        }
        if request != 0 {
            self.asked.push(request);
        }
        let fits = self.waiting.len().max(self.asked.len()) <= MAX_CURSORS;
        if fits { Ok(()) } else { Err(TooMany) }
    }

    /// The next lookup: the row after which it starts, and the maximum number of rows.
    pub(super) fn next(&self) -> Option<(InboxKey, u32)> {
        self.waiting.first_key_value().map(|(after, rows)| (*after, *rows))
    }

    /// A row was found, and was pushed or need not be; requests that include it continue after it.
    pub(super) fn found(&mut self, row: InboxKey) {
        let start = InboxKey { server_seq: 0, ..row };
        while let Some((&after, &rows)) = self.waiting.range(start..row).next() {
            self.waiting.remove(&after);
            if let Some(left) = rows.checked_sub(1).filter(|left| *left > 0) {
                let there = self.waiting.entry(row).or_default();
                *there = left.max(*there);
            }
        }
    }

    /// There are no more rows in this thread.
    pub(super) fn exhausted(&mut self, thread: ThreadId) {
        self.waiting.retain(|after, _| after.thread != thread);
    }

    /// The requests that can be answered, once nothing is pending.
    pub(super) fn answered(&mut self) -> Vec<u64> {
        if self.waiting.is_empty() { std::mem::take(&mut self.asked) } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(thread: u8, server_seq: u64) -> InboxKey {
        InboxKey { thread: ThreadId::from_bytes([thread; 16]), server_seq }
    }

    #[test]
    fn rows_requested_twice_are_looked_up_once() {
        let mut gaps = Gaps::default();
        gaps.ask(0, [(key(1, 5), 2); 64]).unwrap();
        gaps.ask(7, [(key(1, 5), 3), (key(1, 5), 1)]).unwrap();
        assert_eq!(gaps.next(), Some((key(1, 5), 3)));
        assert!(gaps.answered().is_empty());
        for seq in [6, 7, 8] {
            gaps.found(key(1, seq));
        }
        assert_eq!((gaps.next(), gaps.answered()), (None, vec![7]));
    }

    #[test]
    fn a_row_answers_every_request_for_it() {
        let mut gaps = Gaps::default();
        gaps.ask(1, [(key(1, 2), 3), (key(1, 4), 9), (key(1, 8), 1), (key(2, 0), 1)]).unwrap();
        gaps.found(key(1, 5));
        assert_eq!(gaps.next(), Some((key(1, 5), 8)));
        gaps.found(key(1, 9));
        assert_eq!(gaps.next(), Some((key(1, 9), 7)), "the request after row 8 is complete");
        gaps.exhausted(ThreadId::from_bytes([1; 16]));
        assert_eq!(gaps.next(), Some((key(2, 0), 1)));
        gaps.found(key(2, 1));
        assert_eq!((gaps.next(), gaps.answered()), (None, vec![1]));
    }

    #[test]
    fn the_number_of_pending_requests_is_limited() {
        let cursors = |from: u64, count: u64| (from..from + count).map(|seq| (key(1, seq), 1));
        let most = u64::try_from(MAX_CURSORS).unwrap();
        let mut gaps = Gaps::default();
        assert_eq!(gaps.ask(0, cursors(0, most)), Ok(()));
        assert_eq!(gaps.ask(0, cursors(0, most)), Ok(()), "a repeated request adds nothing");
        assert_eq!(gaps.ask(0, cursors(most, 1)), Err(TooMany));
        let mut gaps = Gaps::default();
        assert!((1..=most).all(|request| gaps.ask(request, cursors(0, 1)).is_ok()));
        assert_eq!(gaps.ask(most + 1, cursors(0, 1)), Err(TooMany), "pending answers are limited too");
    }
}
