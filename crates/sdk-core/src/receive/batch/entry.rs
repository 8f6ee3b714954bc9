//! An entry of the roster of a group: it is not encrypted, and what it means is decided from its signature.

use std::sync::Arc;

use super::Batch;
use crate::error::Result;
use crate::group::entries::{EntryPlace, Follower, Taken};
use crate::receive::envelope::Envelope;

impl Batch<'_, '_> {
    /// Takes an entry that the relay delivers. If others are missing before it, the chain is fetched.
    pub(super) fn handle_entry(&mut self, envelope: &Envelope) -> Result<()> {
        let mut follower = Follower::of(self.tx, envelope.thread)?;
        let place =
            EntryPlace { epoch: envelope.epoch, server_seq: envelope.server_seq, now_ms: envelope.server_ms };
        if follower.take(self.tx, &envelope.sealed.ciphertext, place)? == Taken::Early {
            self.tx.set_roster_due(envelope.thread)?;
        }
        for (user, device) in follower.into_removed() {
            self.drop_sessions(user, &[device]);
        }
        // Another list may be known, for which something waits.
        self.queued = true;
        // An invitation may have been accepted.
        let upkeep = Arc::clone(&self.ctx.upkeep);
        self.tx.after_commit(move || upkeep.rosters.notify_one());
        Ok(())
    }
}
