//! Stations 3, 5 and 6 in a group: a message is opened with a chain of its author's device, which has come as mail.
//!
//! A chain counts for the group, the device and the identity key that its distribution id is made of, and for messages that were sealed for
//! a roster with the same last removal. What was sealed before a removal that this device knows, by somebody who is still a member, may have
//! been on its way.

use std::sync::Arc;

use sealpost_protocol::group::{DecryptError, GroupSecret, SenderKeyRecord, distribution_id};
use sealpost_protocol::{SenderKeyDistributionMessage, SenderKeyMessage, UnixSeconds};
use sealpost_wire as wire;

use super::Batch;
use crate::content::{Content, Distribution, RosterHead};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::group::entries::compare;
use crate::id::{DeviceId, ThreadId, UserId};
use crate::message::Undecryptable;
use crate::receive::envelope::Source;
use crate::receive::open::{Opened, malformed};
use crate::store::{ChainIn, GroupHead, ShownTo};

/// Whether a chain from since one removal can open what was sealed for this roster.
fn fits(chain_since: u64, sealed_for: RosterHead, known: &GroupHead) -> bool {
    // What a later roster says is not known yet. A chain from before a removal that is known opens nothing that was sealed after it.
    let is_after_removal = sealed_for.version >= known.removal_version;
    chain_since <= sealed_for.version && (!is_after_removal || chain_since >= known.removal_version)
}

impl Batch<'_, '_> {
    /// The content of a post in a group. Nothing changes unless it is opened.
    pub(super) fn open_in_group(&mut self, source: &Source<'_>) -> Result<Opened> {
        let undecryptable = |cause| Ok(Opened::Undecryptable(cause));
        if source.sealed.kind != wire::envelope::GROUP {
            return undecryptable(Undecryptable::UnsupportedVersion);
        }
        let message = match SenderKeyMessage::parse(&source.sealed.ciphertext) {
            Ok(message) => message,
            Err(error) => return undecryptable(malformed(error)),
        };
        let of = (source.thread, source.sender, source.sender_device);
        let (Some(chain), Some(head)) =
            (self.tx.chain_in(of, message.distribution_id())?, self.tx.group_head(source.thread)?)
        else {
            return undecryptable(Undecryptable::AwaitsSenderKey);
        };
        if !self.tx.is_live(source.sender, source.sender_device, &chain.identity)? {
            return undecryptable(Undecryptable::SenderKeyReplaced);
        }
        let now = UnixSeconds(self.ctx.server_now_ms() / 1000);
        let skipped = self.tx.chain_skipped(of, &message)?;
        let advanced = match chain.record.decrypt(&message, skipped.as_ref(), now, &mut self.known_keys) {
            Ok(advanced) => advanced,
            Err(DecryptError::Duplicate) => return Ok(Opened::Duplicate),
            Err(DecryptError::NoSenderKey | DecryptError::TooFarAhead) => {
                return undecryptable(Undecryptable::AwaitsSenderKey);
            }
            Err(_) => return undecryptable(Undecryptable::NotDecryptable),
        };
        let Ok(content) = Content::from_plaintext(advanced.output.expose()) else {
            self.tx.set_chain_in(of, &advanced.next)?;
            self.tx.store_chain_skipped(of, advanced.skipped, now)?;
            return undecryptable(Undecryptable::Malformed);
        };
        if content.thread != source.thread {
            return undecryptable(Undecryptable::Misrouted);
        }
        let Some(sealed_for) =
            content.header.roster.filter(|named| fits(chain.removal_version, *named, &head))
        else {
            return undecryptable(Undecryptable::SenderKeyReplaced);
        };
        self.note_head((source.thread, source.sender), sealed_for, &head)?;
        if self.tx.is_silent(source.thread, source.sender, sealed_for.version)? {
            // A later roster may let them write.
            let is_known = sealed_for.version <= head.version;
            let cause = if is_known { Undecryptable::Misrouted } else { Undecryptable::AwaitsSenderKey };
            return undecryptable(cause);
        }
        self.tx.set_chain_in(of, &advanced.next)?;
        self.tx.store_chain_skipped(of, advanced.skipped, now)?;
        Ok(Opened::Content(Box::new(content)))
    }

    /// A content names a roster that this device does not have: it is fetched, or contradicts the known one.
    fn note_head(
        &mut self,
        (thread, user): (ThreadId, UserId),
        named: RosterHead,
        known: &GroupHead,
    ) -> Result<()> {
        if named == known.named() {
            self.queued |= self.tx.settle_contradiction(thread, ShownTo::Member(user))?;
            return Ok(());
        }
        if compare(self.tx, (thread, user), (named.version, &named.digest))? {
            self.tx.set_roster_due(thread)?;
            let upkeep = Arc::clone(&self.ctx.upkeep);
            self.tx.after_commit(move || {
                upkeep.named_rosters.note(thread, named.version);
                upkeep.rosters.notify_one();
            });
        }
        Ok(())
    }

    /// A device has sent its chain in a group. It is taken if it belongs to this device and this group; whether its author is a member is
    /// decided when a message comes.
    pub(super) fn take_distribution(
        &mut self,
        (thread, user, device): (ThreadId, UserId, DeviceId),
        distribution: &Distribution,
        named: Option<RosterHead>,
        now_ms: u64,
    ) -> Result<()> {
        let Some(head) = self.tx.group_head(thread)? else { return Ok(()) };
        let Some(identity) = self.tx.identity(user, device)? else { return Ok(()) };
        let Ok(message) = SenderKeyDistributionMessage::parse(&distribution.message) else { return Ok(()) };
        let number = sealpost_protocol::DeviceId::new(device.get())
            .map_err(|_| Error::Bug("a device without a number"))?;
        let whose = (user.as_bytes(), number);
        let expected = distribution_id(thread.as_bytes(), whose, &identity, distribution.removal_version);
        let is_of_version = named.is_some_and(|named| fits(distribution.removal_version, named, &head));
        // Somebody who is not a member according to the known roster can be one according to a later one.
        let may_be_member =
            self.tx.is_member(thread, user)? || named.is_some_and(|named| named.version > head.version);
        if message.distribution_id() != expected || !is_of_version || !may_be_member {
            tracing::warn!("a chain was refused that does not belong to its sender in this group");
            return Ok(());
        }
        let of = (thread, user, device);
        let known = self.tx.chain_in(of, expected)?;
        let record = known.map_or_else(|| SenderKeyRecord::empty(expected), |known| known.record);
        let Ok(advanced) = record.process(&message) else { return Ok(()) };
        let removal_version = distribution.removal_version;
        self.tx.put_chain_in(of, &ChainIn { record: advanced.next, identity, removal_version }, now_ms)?;
        self.tx.store_chain_skipped(of, advanced.skipped, UnixSeconds(now_ms / 1000))?;
        if let Some(profile) = distribution.profile.as_ref().filter(|_| user != self.us.user) {
            self.tx.ensure_contact(user)?;
            self.tx.set_profile(user, profile)?;
        }
        if let Some((secret, version)) = &distribution.secret
            && let Some(secret) = GroupSecret::parse(secret.as_slice())
            && self.tx.learn_group_secret(thread, (&secret, *version))?
        {
            // Its title can be read now.
            self.tx.emit(Event::ThreadChanged(thread));
        }
        self.tx.retry_deferred_in(thread, user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_opens_what_was_sealed_since_its_removal_and_before_the_next() {
        let known = GroupHead { version: 9, hash: [0; 32], removal_version: 5 };
        let named = |version| RosterHead { version, digest: [0; 16] };
        // The present chain, and what is sealed for the roster since the last removal, which this device may not know yet.
        assert!(fits(5, named(5), &known) && fits(5, named(9), &known) && fits(5, named(12), &known));
        assert!(fits(11, named(12), &known), "there was another removal");
        // A chain from before the removal opens what was sealed before it, and nothing else.
        assert!(fits(2, named(4), &known) && !fits(2, named(5), &known) && !fits(2, named(12), &known));
        // No chain is from after the roster that a message was sealed for.
        assert!(!fits(5, named(4), &known) && !fits(11, named(10), &known));
    }
}
