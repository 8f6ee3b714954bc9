//! The primary: what the next piece contains, and what follows an acknowledgement.

use crate::content::{Body, Bootstrap, Item, Items, MAX_PIECE, Piece, Progress, Transfer};
use crate::error::{Error, Result};
use crate::id::{DeviceId, ThreadId};
use crate::store::{OutgoingBootstrap, Phase, Place, Rows, Tx};

/// The size of a window, in bytes: a small part of what fits into a mailbox.
pub(super) const WINDOW: u64 = 4 << 20;
/// How many pages are read for a piece: what is left out is read, too.
const PAGES: usize = 8;

/// What was made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// A piece, to be queued in the same transaction.
    Piece(Body),
    /// Nothing yet: there was nothing to send in what was examined.
    NotYet,
    /// Nothing before the companion says something, or nothing any more.
    Wait,
}

/// A piece that is being filled.
struct Filling {
    items: Items,
    place: Place,
    /// The phase of its items.
    phase: Phase,
    /// The thread of the last message in it.
    last: Option<ThreadId>,
}

/// Makes the next piece for a companion, and records that.
pub(crate) fn make_piece(tx: &mut Tx<'_>, device: DeviceId, now_ms: u64) -> Result<Made> {
    let Some(mut out) = tx.outgoing_bootstrap(device)? else { return Ok(Made::Wait) };
    let (Some(id), false, false) = (out.transfer, out.is_waiting, out.at.phase == Phase::Done) else {
        return Ok(Made::Wait);
    };
    let filled = fill(tx, &out, now_ms)?;
    let is_last = filled.place.phase == Phase::Done;
    out.at = filled.place;
    if filled.items.is_empty() && !is_last {
        tx.set_outgoing_bootstrap(&out)?;
        return Ok(Made::NotYet);
    }
    let size = u64::try_from(filled.items.len()).map_err(|_| Error::Bug("a piece is too large"))?;
    out.open_bytes = out.open_bytes.saturating_add(size);
    out.at.number = out.at.number.saturating_add(1);
    out.is_waiting = is_last || ends_window(out.open_bytes);
    tx.set_outgoing_bootstrap(&out)?;
    let piece = Piece {
        transfer: Transfer { id, device, round: out.round },
        number: out.at.number,
        ends_window: out.is_waiting,
        is_last,
        progress: progress(&out),
        items: filled.items,
    };
    Ok(Made::Piece(match filled.phase {
        Phase::Messages | Phase::Later => Body::History(Box::new(piece)),
        Phase::Contacts | Phase::Settings | Phase::Threads | Phase::Done => {
            Body::Bootstrap(Box::new(Bootstrap::Piece(piece)))
        }
    }))
}

/// How many messages were sent, of how many.
pub(crate) fn progress(out: &OutgoingBootstrap) -> Progress {
    // Those that came later were not counted.
    let total = out.total.unwrap_or(0).max(out.at.sent);
    Progress { sent: out.at.sent, total: if out.at.phase == Phase::Done { out.at.sent } else { total } }
}

/// Whether another piece might not fit into the window.
fn ends_window(bytes: u64) -> bool {
    let largest = u64::try_from(MAX_PIECE).unwrap_or(WINDOW);
    bytes.saturating_add(largest) > WINDOW
}

/// Fills a piece with items of one phase.
fn fill(rows: &Rows<'_>, out: &OutgoingBootstrap, now_ms: u64) -> Result<Filling> {
    let (items, place, phase) = (Items::default(), out.at.clone(), out.at.phase);
    let mut filling = Filling { items, place, phase, last: None };
    for _ in 0..PAGES {
        if filling.place.phase == Phase::Done {
            break;
        }
        let page = rows.bootstrap_page(out, &filling.place, now_ms)?;
        for exported in page.items {
            if !filling.add(exported.item) {
                if filling.items.is_empty() {
                    // A content of a later version can be too large for a piece.
                    filling.place.after = exported.after;
                    continue;
                }
                return Ok(filling);
            }
            filling.place.after = exported.after;
            filling.place.sent = filling.place.sent.saturating_add(u64::from(exported.is_message));
        }
        match page.next {
            Some(next) => filling.place.after = next,
            None => {
                filling.place.phase = filling.place.phase.next();
                filling.place.after = Vec::new();
                if !filling.items.is_empty() {
                    return Ok(filling);
                }
                filling.phase = filling.place.phase;
            }
        }
    }
    Ok(filling)
}

impl Filling {
    fn add(&mut self, mut item: Item) -> bool {
        let mut thread = None;
        if let Item::Message(message) = &mut item {
            thread = message.of.map(|of| of.thread);
            if self.last == thread {
                message.of = None;
            }
        }
        let is_added = self.items.add(&item);
        if is_added && thread.is_some() {
            self.last = thread;
        }
        is_added
    }
}

/// A companion has asked, or has received everything up to a piece. Returns false if this is not from a companion that was offered a
/// bootstrap, or about another one.
pub(crate) fn receive(tx: &mut Tx<'_>, from: DeviceId, transfer: Transfer, number: u64) -> Result<bool> {
    let Some(mut out) = tx.outgoing_bootstrap(from)? else { return Ok(false) };
    if out.transfer.is_none() {
        out.transfer = Some(transfer.id);
        out.newest = tx.last_message()?.0;
        // Some of those that were here may be accepted later.
        let before_pending = tx.first_pending()?.map_or(out.newest, |first| first.saturating_sub(1));
        out.later_after = before_pending.min(out.newest);
    }
    let Some(next) = acknowledged(out, transfer, number) else { return Ok(false) };
    if next.received.phase == Phase::Done {
        return tx.end_bootstrap(from).map(|()| true);
    }
    tx.set_outgoing_bootstrap(&next).map(|()| true)
}

/// What follows an acknowledgement; none if it contradicts what was sent.
fn acknowledged(mut out: OutgoingBootstrap, transfer: Transfer, number: u64) -> Option<OutgoingBootstrap> {
    if out.transfer != Some(transfer.id) {
        return None;
    }
    if transfer.round < out.round {
        // It was on its way for long.
        return Some(out);
    }
    if out.is_waiting && number == out.at.number {
        (out.received, out.is_waiting, out.open_bytes) = (out.at.clone(), false, 0);
    } else if number != out.received.number {
        return None;
    }
    if transfer.round > out.round {
        // What followed has not come.
        out.round = transfer.round;
        (out.at, out.is_waiting, out.open_bytes) = (out.received.clone(), false, 0);
    }
    Some(out)
}
