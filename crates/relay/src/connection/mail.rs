//! Reads pages of mail, pushes them, and handles their acknowledgement.
//!
//! Urgent mail is pushed before the messages that wait, and all other mail after them, a little at a time and within half
//! of the credit. Ordinary mail therefore never delays a message.

use prost::Message as _;
use sealpost_wire::AckMail;
use sealpost_wire::frame::Body;
use sealpost_wire::limits::MAX_ACK_KEYS;

use super::pages::{PAGE_BYTES, PAGE_ROWS};
use super::state::{Closing, Connection, Reading, Reply, store_failed};
use super::window::Pushed;
use crate::problem::Problem;
use crate::store::{MailClass, MailPage, PageLimit, StoreError};

/// Rows and bytes in one page of ordinary mail. A message that arrives waits for at most one page.
const ORDINARY: (u32, usize) = (16, 32 << 10);

impl Connection<'_> {
    /// Starts to read a page of mail of this class, if there may be some and there is credit for it.
    pub(super) fn read_mail(&mut self, class: MailClass) -> bool {
        let (room, (most_rows, most_bytes)) = match class {
            MailClass::Urgent => (self.window.room(), (PAGE_ROWS, PAGE_BYTES)),
            MailClass::Ordinary => (self.window.room_for_mail(), ORDINARY),
        };
        let Some((rows, bytes)) = room else { return false };
        let Some(after) = self.mail.begin_read(class) else { return false };
        let now_ms = self.state.clock.unix_ms();
        let limit = PageLimit { rows: rows.min(most_rows), bytes: bytes.min(most_bytes), now_ms };
        let page = self.state.store.mail(self.access.address, class, after, limit);
        self.page = Some(Reading::Mail(class, page));
        true
    }

    pub(super) fn on_mail_page(
        &mut self,
        class: MailClass,
        page: Result<MailPage, StoreError>,
    ) -> Result<(), Closing> {
        let page = page.map_err(store_failed)?;
        self.report_trimmed(page.trimmed);
        let (epoch, mut more) = (self.state.store.epoch(), page.more);
        for row in page.rows {
            let mail_seq = row.mail_seq;
            let deliver = row.into_deliver(epoch);
            let bytes = deliver.encoded_len();
            if !self.window.fits(bytes) {
                match class {
                    MailClass::Urgent => self.window.refuse(self.state.clock.monotonic()),
                    MailClass::Ordinary => self.window.refuse_mail(),
                }
                more = true;
                break;
            }
            self.push(0, Body::DeliverMail(deliver));
            self.write_queue.row = true;
            self.window.push(Pushed::Mail(mail_seq), bytes);
            self.feed.counted();
            self.mail.pushed(class, mail_seq);
        }
        if more {
            self.mail.wake(class);
        }
        self.report_empty();
        Ok(())
    }

    pub(super) fn on_ack_mail(&mut self, id: u64, ack: AckMail) -> Result<(), Closing> {
        let (state, device, now) = (self.state, self.access.address, self.last_received);
        let charged = self.pay(|| Ok(state.limiter.acknowledge(device, ack.mail_seqs.len(), now)?))?;
        let few = if ack.mail_seqs.len() > MAX_ACK_KEYS { Err(Problem::Malformed) } else { Ok(()) };
        if let Err(problem) = charged.and(few) {
            // Reported even if no answer was requested, because this mail has to be acknowledged again.
            self.push(id, Body::Error(problem.to_wire()));
            return Ok(());
        }
        let removed = state.store.mail_ack(device, ack.mail_seqs.clone());
        let seqs = ack.mail_seqs;
        self.replies.push_back(Box::pin(async move {
            let outcome = removed.await;
            Reply::MailAcknowledged { id, seqs, outcome }
        }));
        Ok(())
    }
}
