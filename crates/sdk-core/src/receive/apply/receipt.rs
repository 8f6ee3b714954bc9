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
    pub(super) is_group: bool,
}

pub(super) fn apply(
    tx: &mut Tx<'_>,
    from: &From,
    us: Registered,
    receipt: &Receipt,
    now_ms: u64,
) -> Result<()> {
    let From { thread, user, device, sent_ms, is_group } = *from;
    let kind = match receipt.kind {
        ReceiptKind::Delivered => MarkKind::Delivered,
        ReceiptKind::Read => MarkKind::Read,
    };
    // What our own devices have received says nothing about others.
    if user == us.user {
        return Ok(());
    }
    // Each of our devices gets it, and shows what all of them have sent.
    for mark in &receipt.marks {
        let of = MarkOf { thread, user, device, kind, run: mark.run };
        tx.confirm((of, is_group), &mark.counts, (sent_ms.min(now_ms), now_ms))?;
    }
    Ok(())
}
