//! Whose message it is: which sessions are tried, in which order, and how far.
//!
//! Nothing in a message says which session it is of, and whether it is genuine shows only after its chains were walked. So
//! that a forged one costs no more than a genuine one may:
//!
//! 1. A ratchet key is of one session. Where some know it, the others are not asked.
//! 2. Where SPQR has no key for the message, nothing is walked.
//! 3. The active session comes first, then those in which both ratchets would have missed as many messages, and the nearest
//!    of them.
//! 4. All of them share the [`Work`] of one message: the one that comes first may jump as far as the protocol allows, and
//!    what it leaves is for the others.
//!
//! So a message that begins a new chain in an inactive session, after many of that chain were lost, may not be found: with 40
//! inactive sessions between which nothing distinguishes it, where it skips more than some 900 messages of the chain. It is refused as one
//! that no session opens, and nothing is lost: the next message of the chain that skips fewer opens, or the peer begins a new session.

use rand_core::CryptoRng;

use super::record::{Entry, Place, SessionRecord};
use super::state::{Opened, Session};
use super::{DecryptError, Inbound};
use crate::message::SignalMessage;
use crate::ratchet::walk::{Jump, Work};

impl SessionRecord {
    /// The session that opens a message, and what comes of it.
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
                // Another session's, perhaps.
                Err(DecryptError::NotDecryptable) => {}
                Err(reason) => return Err(reason),
            }
        }
        Err(DecryptError::NotDecryptable)
    }

    /// What opening a message may cost.
    pub(super) fn work(&self, inbound: &Inbound<'_>) -> Work {
        let is_far = |(_, entry): (Place, &Entry)| entry.session.jump(inbound) == Jump::Far;
        Work::new(if self.entries().any(is_far) { Jump::Far } else { Jump::Limited })
    }

    /// The sessions that may be the one of a message, in the order in which they are tried.
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
