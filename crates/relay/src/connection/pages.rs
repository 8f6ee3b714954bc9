//! Reads pages of the mailbox when there is credit for them, and pushes them.

use std::time::Duration;

use prost::Message as _;
use sealpost_wire::frame::Body;
use sealpost_wire::id::ThreadId;
use sealpost_wire::{QueueEmpty, Synced, Trimmed};

use super::state::{Closing, Connection, Read, Reading, store_failed};
use crate::store::{MailClass, Page, PageLimit, Row};

/// Rows in one page of the mailbox.
pub(super) const PAGE_ROWS: u32 = 100;
/// Maximum size of the ciphertexts in one page, in bytes: what a connection may hold in memory at a time.
pub(super) const PAGE_BYTES: usize = 256 << 10;

impl Connection<'_> {
    /// Starts to read the next page if there is credit. Explicit requests of the client take priority, then urgent mail,
    /// messages, and other mail.
    pub(super) fn read_ahead(&mut self) {
        if self.page.is_some() {
            return;
        }
        let gap = self.gaps.next();
        if gap.is_none() && self.mail.is_due() {
            let messages = self.feed.is_due();
            if self.read_mail(MailClass::Urgent) || (!messages && self.read_mail(MailClass::Ordinary)) {
                return;
            }
        }
        if gap.is_none() && !self.feed.is_due() {
            return;
        }
        let now = self.state.clock.monotonic();
        let Some((rows, bytes)) = self.window.room() else { return self.window.refuse(now) };
        let now_ms = self.state.clock.unix_ms();
        let (store, address) = (&self.state.store, self.access.address);
        self.page = if let Some((after, rows)) = gap {
            // Includes rows that the client already has, which use no credit.
            let limit = PageLimit { rows: rows.min(PAGE_ROWS), bytes: PAGE_BYTES, now_ms };
            let page = store.inbox_after(address, Some(after), limit);
            Some(Reading::Gaps(after.thread, page))
        } else if let Some(after) = self.feed.begin_read() {
            self.last_scan = now;
            let limit = PageLimit { rows: rows.min(PAGE_ROWS), bytes: bytes.min(PAGE_BYTES), now_ms };
            Some(Reading::Feed(store.inbox_arrivals(address, after, limit)))
        } else {
            None
        };
    }

    pub(super) fn on_page(&mut self, page: Read) -> Result<(), Closing> {
        match page {
            Read::Feed(page) => {
                let page = page.map_err(store_failed)?;
                self.report_trimmed(page.trimmed);
                self.on_arrivals(page);
            }
            Read::Gaps(thread, page) => {
                let page = page.map_err(store_failed)?;
                self.report_trimmed(page.trimmed);
                self.on_gap(thread, page);
            }
            Read::Mail(class, page) => self.on_mail_page(class, page)?,
        }
        Ok(())
    }

    /// Pushes rows that the client requested with a cursor, except those that it already has.
    fn on_gap(&mut self, thread: ThreadId, page: Page) {
        // The page continues into the next thread.
        let ends = !page.more || page.rows.iter().any(|row| row.key.thread != thread);
        for row in page.rows.into_iter().take_while(|row| row.key.thread == thread) {
            let key = row.key;
            if !self.window.holds(key) && !self.deliver(row) {
                return self.window.refuse(self.state.clock.monotonic());
            }
            self.gaps.found(key);
        }
        if ends {
            self.gaps.exhausted(thread);
        }
        for id in self.gaps.answered() {
            self.push(id, Body::Synced(Synced {}));
        }
    }

    /// Reports trimmed rows, unless it was done on this connection. The device itself acknowledges the report.
    pub(super) fn report_trimmed(&mut self, total: u64) {
        if total > self.reported {
            self.reported = total;
            self.push(0, Body::Trimmed(Trimmed { total }));
        }
    }

    fn on_arrivals(&mut self, page: Page) {
        let mut more = page.more;
        for row in page.rows {
            let (arrival, hlc) = (row.arrival, row.message.hlc);
            if self.window.holds(row.key) {
                self.feed.passed_row(arrival);
                continue;
            }
            if !self.deliver(row) {
                self.window.refuse(self.state.clock.monotonic());
                more = true;
                break;
            }
            self.feed.pushed_row(arrival, hlc);
        }
        if more {
            self.feed.wake();
        }
        self.report_empty();
    }

    /// Reports that everything that the client requested was pushed, if it was.
    pub(super) fn report_empty(&mut self) {
        if self.mail.is_due() {
            return;
        }
        if let Some(drained) = self.feed.reached_end() {
            let empty = QueueEmpty { drained: drained.rows, hlc: drained.last_hlc };
            self.push(0, Body::QueueEmpty(empty));
        }
    }

    /// Pushes a row. Returns `false` if there is no credit for it.
    fn deliver(&mut self, row: Row) -> bool {
        let (key, hlc) = (row.key, row.message.hlc);
        let attempt = self.feed.attempt(row.arrival);
        let deliver = row.into_deliver(self.state.store.epoch(), attempt);
        let bytes = deliver.encoded_len();
        if !self.window.fits(bytes) {
            return false;
        }
        self.push(0, Body::Deliver(deliver));
        self.write_queue.row = true;
        self.window.push(key, bytes);
        if attempt == 1 {
            let waited = Duration::from_millis(self.state.clock.unix_ms().saturating_sub(hlc >> 16));
            self.state.metrics.send_deliver.observe(waited);
        }
        true
    }

    /// Stores the position of this connection. Nothing waits for it; at worst, a row is pushed once more as new.
    pub(super) fn mark_pushed(&self) {
        if let Some(up_to) = self.feed.advanced_to() {
            drop(self.state.store.mark_pushed(self.access.address, up_to));
        }
    }
}

/// Waits for the page that is being read, or forever if there is none.
pub(super) async fn take_page(reading: &mut Option<Reading>) -> Read {
    let read = match reading {
        Some(Reading::Feed(page)) => Read::Feed(page.await),
        Some(Reading::Gaps(thread, page)) => Read::Gaps(*thread, page.await),
        Some(Reading::Mail(class, page)) => Read::Mail(*class, page.await),
        None => return std::future::pending().await,
    };
    *reading = None;
    read
}
