//! Where a message is in its thread.

use super::NewIncoming;
use crate::content::Post;
use crate::error::Result;
use crate::store::{Tx, from_sql, to_sql};

/// Messages without an answer of the relay come after all others, in the order in which they were written.
pub(crate) const POSITION_PENDING: i64 = 1 << 62;

const SEQ_BITS: u32 = 40;
const MAX_SEQ: u64 = (1 << SEQ_BITS) - 1;

impl Tx<'_> {
    /// The order of an incoming message in its thread: where the relay has put it, but below the newest post that its author had
    /// received.
    pub(super) fn order_of_new(&self, new: &NewIncoming) -> Result<i64> {
        let order = position(new.epoch, new.server_seq)?;
        let after = new.after.map_or(Ok(0), order_of_post)?;
        if after < order {
            return Ok(order);
        }
        // An author cannot keep a message below those that come later.
        let newest = self.newest_position(new.thread)?.max(order);
        Ok(after.min(newest).saturating_add(1))
    }
}

/// The order in a thread: by epoch, and by sequence number within an epoch.
pub(crate) fn position(epoch: u64, server_seq: u64) -> Result<i64> {
    const MAX_EPOCH: u64 = (1 << 22) - 1;
    // A relay that counts this high is not honest, but its messages still get a position.
    to_sql(epoch.min(MAX_EPOCH) << SEQ_BITS | server_seq.min(MAX_SEQ))
}

/// The order of a post.
pub(in crate::store) fn order_of_post(Post { epoch, server_seq }: Post) -> Result<i64> {
    position(epoch, server_seq)
}

/// The post at this place in the order; none for 0.
pub(in crate::store) fn post_at(order: i64) -> Result<Option<Post>> {
    let order = from_sql(order)?;
    Ok((order > 0).then_some(Post { epoch: order >> SEQ_BITS, server_seq: order & MAX_SEQ }))
}
