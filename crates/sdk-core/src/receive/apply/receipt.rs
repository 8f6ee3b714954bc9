//! A receipt updates the states of our messages. It leaves no row of its own.

use crate::content::{Receipt, ReceiptKind};
use crate::error::Result;
use crate::id::{DeviceId, ThreadId, UserId};
use crate::store::{MarkKind, MarkOf, Registered, Tx};

/// Where a receipt comes from, and when it was written.
pub(super) struct From {
    pub(super) thread: ThreadId,
    pub(super) user: UserId,
    pub(super) device: DeviceId,
    pub(super) sent_ms: u64,
}

pub(super) fn apply(
    tx: &mut Tx<'_>,
    from: &From,
    us: Registered,
    receipt: &Receipt,
    now_ms: u64,
) -> Result<()> {
    let From { thread, user, device, sent_ms } = *from;
    let kind = match receipt.kind {
        ReceiptKind::Delivered => MarkKind::Delivered,
        ReceiptKind::Read => MarkKind::Read,
    };
    // It goes to all of our devices, and each takes what is about itself.
    for mark in receipt.marks.iter().filter(|mark| mark.device == us.device) {
        let of = MarkOf { thread, user, device, kind, run: mark.run };
        tx.confirm(of, &mark.counts, (sent_ms.min(now_ms), now_ms))?;
    }
    Ok(())
}
