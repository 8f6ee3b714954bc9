//! Determines which rows of its mailbox a connection pushes next.
//!
//! Rows are read in the order in which they arrived, each once for each connection, from a cursor that belongs to the
//! connection. A new connection starts from the beginning, because whatever is still in the mailbox was not
//! acknowledged.

use crate::store::{Arrival, MailboxState};

/// The position of a connection in its mailbox.
#[derive(Debug)]
pub(super) struct Feed {
    /// The last row pushed on this connection.
    cursor: Arrival,
    /// The last row pushed on any connection, as far as is known.
    pushed: Arrival,
    /// The same, when this connection started.
    before: Arrival,
    /// There may be rows after the cursor.
    due: bool,
    drain: Drain,
    /// What was pushed during this drain.
    since: Drained,
}

/// The state of a `Sync{inbox}` request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain {
    /// The client has made no request yet.
    NotRequested,
    /// The client has asked for a report when the mailbox is empty.
    Requested,
    /// `QueueEmpty` was sent.
    Reported,
}

/// What was pushed until the mailbox was empty, as reported by `QueueEmpty`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drained {
    pub(super) rows: u64,
    pub(super) last_hlc: u64,
}

impl Feed {
    /// Starts at the beginning of the mailbox.
    pub(super) fn start(mailbox: MailboxState) -> Self {
        Self {
            cursor: 0,
            pushed: mailbox.pushed,
            before: mailbox.pushed,
            due: true,
            drain: Drain::NotRequested,
            since: Drained::default(),
        }
    }

    /// Records that there may be new rows.
    pub(super) fn wake(&mut self) {
        self.due = true;
    }

    /// The client requests everything that was not pushed yet, followed by `QueueEmpty`. A drain in progress, or the
    /// one that began with the connection, answers this request; otherwise a new one starts.
    pub(super) fn ask(&mut self) {
        if self.drain == Drain::Reported {
            self.since = Drained::default();
        }
        self.drain = Drain::Requested;
        self.due = true;
    }

    /// Starts to read after the cursor, if there may be rows.
    pub(super) fn begin_read(&mut self) -> Option<Arrival> {
        std::mem::take(&mut self.due).then_some(self.cursor)
    }

    /// Whether there may be rows to push.
    pub(super) fn is_due(&self) -> bool {
        self.due
    }

    /// The number of the next attempt to push this row: 1 for the first push on any connection.
    pub(super) fn attempt(&self, arrival: Arrival) -> u32 {
        if arrival <= self.pushed { 2 } else { 1 }
    }

    /// Skips a row that was pushed earlier.
    pub(super) fn passed_row(&mut self, arrival: Arrival) {
        self.cursor = self.cursor.max(arrival);
    }

    /// A row was pushed.
    pub(super) fn pushed_row(&mut self, arrival: Arrival, hlc: u64) {
        self.passed_row(arrival);
        self.pushed = self.pushed.max(arrival);
        self.since.rows = self.since.rows.saturating_add(1);
        self.since.last_hlc = self.since.last_hlc.max(hlc);
    }

    /// Mail was pushed during this drain.
    pub(super) fn counted(&mut self) {
        self.since.rows = self.since.rows.saturating_add(1);
    }

    /// There is nothing after the cursor. Returns `Some` if the client waits for `QueueEmpty`.
    pub(super) fn reached_end(&mut self) -> Option<Drained> {
        if self.due || self.drain != Drain::Requested {
            return None;
        }
        self.drain = Drain::Reported;
        Some(self.since)
    }

    /// The last row pushed on any connection, if this one has advanced it.
    pub(super) fn advanced_to(&self) -> Option<Arrival> {
        (self.pushed > self.before).then_some(self.pushed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed() -> Feed {
        Feed::start(MailboxState { pushed: 5, ..MailboxState::default() })
    }

    #[test]
    fn rows_pushed_before_are_a_second_attempt() {
        let mut feed = feed();
        assert_eq!(feed.begin_read(), Some(0));
        assert_eq!(feed.begin_read(), None);
        assert_eq!([4, 5, 6].map(|arrival| feed.attempt(arrival)), [2, 2, 1]);
        feed.pushed_row(6, 0);
        assert_eq!(feed.attempt(6), 2);
        feed.wake();
        assert_eq!(feed.begin_read(), Some(6));
    }

    #[test]
    fn the_end_is_reported_once_and_only_on_request() {
        let mut feed = feed();
        feed.begin_read();
        feed.pushed_row(6, 40);
        assert_eq!(feed.reached_end(), None);
        feed.ask();
        assert_eq!(feed.reached_end(), None, "the mailbox must be read once more first");
        assert_eq!(feed.begin_read(), Some(6), "rows pushed since the connection began are counted");
        feed.pushed_row(7, 41);
        assert_eq!(feed.reached_end(), Some(Drained { rows: 2, last_hlc: 41 }));
        assert_eq!(feed.reached_end(), None);
    }

    #[test]
    fn a_repeated_request_counts_from_zero_and_pushes_nothing_again() {
        let mut feed = feed();
        feed.ask();
        feed.begin_read();
        feed.pushed_row(6, 40);
        feed.reached_end();
        feed.ask();
        assert_eq!(feed.begin_read(), Some(6));
        feed.passed_row(7);
        feed.pushed_row(8, 41);
        assert_eq!(feed.reached_end(), Some(Drained { rows: 1, last_hlc: 41 }));
    }
}
