//! Finds the session of a message: which sessions are tried, in which order, and how far.
//!
//! A message does not say which session it belongs to, and it can be authenticated only after its chains have been
//! walked. So that a forged message costs no more than a genuine one may:
//!
//! 1. A ratchet key belongs to one session. If some sessions know it, the others are not tried.
//! 2. If SPQR has no key for the message, nothing is walked.
//! 3. The active session comes first. Of the others, those come first in which both ratchets would skip the same
//!    number
//!    of messages, and among these the one that would skip the fewest.
//! 4. All sessions share the [`Work`] of one message. The first one may jump as far as the protocol allows, and the
//!    others get the rest.
//!
//! A message that begins a new chain in an inactive session, after many messages of that chain were lost, may
//! therefore not be decrypted. With 40 inactive sessions that cannot be told apart, this happens if it skips more
//! than about 900 messages of the chain. It is refused as a message that no session can decrypt. Nothing is lost
//! permanently: the next message of the chain that skips fewer messages can be decrypted, or the peer begins a new
//! session.

use rand_core::CryptoRng;

use super::inactive::Entry;
use super::record::{Place, SessionRecord};
use super::state::{Opened, Session};
use super::{DecryptError, Inbound};
use crate::message::SignalMessage;
use crate::ratchet::walk::{Jump, Work};

impl SessionRecord {
    /// Decrypts a message with the session that it belongs to, and returns that session and the result.
    pub(super) fn open<R: CryptoRng + ?Sized>(
        &self,
        inbound: &Inbound<'_>,
        message: &SignalMessage,
        work: &mut Work,
        rng: &mut R,
    ) -> Result<(Place, Opened), DecryptError> {
        if let (Some(only), []) = (&self.active, &*self.inactive) {
            return only.session.decrypt(inbound, message, work, rng).map(|opened| (Place::Active, opened));
        }
        for (place, entry) in self.candidates(inbound, message) {
            match entry.session.decrypt(inbound, message, work, rng) {
                Ok(opened) => return Ok((place, opened)),
                // It may belong to another session.
                Err(DecryptError::NotDecryptable) => {}
                Err(reason) => return Err(reason),
            }
        }
        Err(DecryptError::NotDecryptable)
    }

    /// The allowance for decrypting a message.
    pub(super) fn work(&self, inbound: &Inbound<'_>) -> Work {
        let is_far = |(_, entry): (Place, &Entry)| entry.session.jump(inbound) == Jump::Far;
        Work::new(if self.entries().any(is_far) { Jump::Far } else { Jump::Limited })
    }

    /// The sessions that the message may belong to, in the order in which they are tried.
    fn candidates(&self, inbound: &Inbound<'_>, message: &SignalMessage) -> Vec<(Place, &Entry)> {
        let knows = |session: &Session| session.ratchet.double.knows(message.header());
        let is_version = |session: &Session| session.parties.id.version() == message.version();
        let mut any_knows = false;
        let mut candidates = Vec::new();
        for (place, entry) in self.entries().filter(|(_, entry)| is_version(&entry.session)) {
            let knows = knows(&entry.session);
            if knows && !any_knows {
                any_knows = true;
                candidates.clear();
            }
            if knows == any_knows {
                candidates.push((place, entry));
            }
        }
        if let [_, _, ..] = *candidates {
            let distance = |entry: &Entry| entry.session.distance(inbound, message);
            candidates.retain(|(_, entry)| distance(entry).is_some());
            candidates.sort_by_cached_key(|(place, entry)| (*place != Place::Active, distance(entry)));
        }
        candidates
    }
}
