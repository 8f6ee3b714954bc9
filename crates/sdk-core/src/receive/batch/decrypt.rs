//! Stations 5 and 6 for an envelope: loads its sessions and keys, opens it, and stores what opening has changed.

use std::sync::Arc;

use rand::rngs::StdRng;
use sealpost_protocol::{Inbound, SessionRecord, UnixSeconds};

use super::Batch;
use crate::account::own_devices::show_companions;
use crate::account::registration::{address, local_device};
use crate::contact::devices;
use crate::content::{Content, ListDigest, NamedLists};
use crate::error::{Error, Result};
use crate::id::{DeviceId, UserId};
use crate::message::Undecryptable;
use crate::receive::envelope::Source;
use crate::receive::open::{Changes, NamedPreKeys, Opened, Parsed, open, parse};
use crate::store::{Device, PeerSessions, Tx};

impl Batch<'_, '_> {
    /// The opened content, and the advanced session; no session if nothing may change.
    pub(super) fn open(
        &mut self,
        source: &Source<'_>,
        rng: &mut StdRng,
    ) -> Result<(Opened, Option<SessionRecord>)> {
        let undecryptable = |cause| Ok((Opened::Undecryptable(cause), None));
        let (message, shared) = match parse(source.sealed) {
            Ok(parsed) => parsed,
            Err(cause) => return undecryptable(cause),
        };
        let (user, device) = (source.sender, source.sender_device);
        if !self.sessions.contains_key(&(user, device)) {
            let loaded = (address(user, device)?, self.tx.sessions(user, device)?);
            self.sessions.insert((user, device), loaded);
        }
        let damaged = self.sessions.get(&(user, device)).filter(|(_, sessions)| sessions.is_damaged());
        let is_damaged = damaged.is_some();
        if let Some((_, sessions)) = damaged {
            self.tx.deactivate_damaged(sessions)?;
        }
        let (remote, sessions) =
            self.sessions.get(&(user, device)).ok_or(Error::Bug("sessions were not loaded"))?;
        let skipped = self.tx.skipped_keys(user, device, message.signal())?;
        let keys = named_pre_keys(self.tx, sessions, &message)?;
        let inbound = Inbound {
            local: local_device(self.account, self.our_address),
            remote,
            skipped: &skipped,
            policy: self.ctx.policy,
            now: UnixSeconds(self.ctx.server_now_ms() / 1000),
        };
        let (opened, changes) = open(&inbound, &sessions.record, (&message, shared), &keys, rng)?;
        if is_damaged && may_need_a_session(&opened) {
            return undecryptable(Undecryptable::StorageDamaged);
        }
        if is_of_dropped_session(self.tx, (user, device), &message, &opened)? {
            return undecryptable(Undecryptable::SenderKeyReplaced);
        }
        let mut changes = changes;
        if let Some(changes) = &mut changes {
            // Nothing else changes: a session is not started because of what the relay says, and a message sealed by a replaced key
            // neither advances nor activates one.
            if let Err(cause) = self.admit((user, device), changes, &opened)? {
                return undecryptable(cause);
            }
        }
        if let Opened::Content(content) = &opened
            && self.is_misrouted(source, content)?
        {
            // Nothing changes, so that the message can still be opened in its own thread.
            return undecryptable(Undecryptable::Misrouted);
        }
        let Some(changes) = changes else { return Ok((opened, None)) };
        if let Some(consumed) = &changes.consumed
            && !self.tx.consume_pre_keys(consumed)?
        {
            // The same first message was processed before, and its session is gone: it is a replay.
            return undecryptable(Undecryptable::NotDecryptable);
        }
        if let Some(registration_id) = changes.registration_id {
            let identity = changes.authenticated_by;
            let is_news_due =
                self.tx.see_devices(user, &[Device { user, device, registration_id, identity }])?;
            if is_news_due {
                let upkeep = Arc::clone(&self.ctx.upkeep);
                self.tx.after_commit(move || upkeep.news.notify_one());
            }
            if let Opened::Content(content) = &opened {
                let NamedLists { own, yours } = content.header.lists;
                self.show_newest_list(user, if user == self.us.user { own } else { yours })?;
            }
        }
        self.tx.store_skipped(user, device, changes.skipped)?;
        Ok((opened, Some(changes.record)))
    }
}

impl Batch<'_, '_> {
    /// The relay states the thread and position of a message, and so does the sender inside the ciphertext. They must
    /// agree. Another device of ours also says whom it has written to.
    fn is_misrouted(&self, source: &Source<'_>, content: &Content) -> Result<bool> {
        if content.thread != source.thread {
            return Ok(true);
        }
        let Some(peer) = content.header.peer.filter(|_| source.sender == self.us.user) else {
            return Ok(false);
        };
        let thread = self.tx.thread(source.thread)?;
        Ok(peer == self.us.user || thread.is_some_and(|thread| thread.peer != Some(peer)))
    }

    /// Shows our newest list to a device that has begun a session and names an older one of ours. It may not have been there when others
    /// were told, and the relay may hide the newest.
    fn show_newest_list(&mut self, user: UserId, named: Option<ListDigest>) -> Result<()> {
        let Some(named) = named else { return Ok(()) };
        let newest = self.tx.known_list(self.us.user)?;
        if newest.is_none_or(|newest| newest.version <= named.version) || !self.tx.holds_account_key()? {
            return Ok(());
        }
        if user == self.us.user {
            return show_companions(self.ctx, self.tx, self.us);
        }
        if self.tx.set_list_due_to(user)? {
            let upkeep = Arc::clone(&self.ctx.upkeep);
            self.tx.after_commit(move || upkeep.news.notify_one());
        }
        Ok(())
    }

    /// Whether a message comes from a device that its sender has. If it shows a list, that is taken before.
    fn admit(
        &mut self,
        (user, device): (UserId, DeviceId),
        changes: &mut Changes,
        opened: &Opened,
    ) -> Result<Result<(), Undecryptable>> {
        let (identity, is_first) = (changes.authenticated_by, changes.registration_id.is_some());
        let shown = match opened {
            Opened::Content(content) => content.header.devices.as_deref(),
            Opened::Duplicate | Opened::Undecryptable(_) => None,
        };
        if !is_first && !is_senders(self.tx, user, device, changes)? {
            return Ok(Err(Undecryptable::SenderKeyReplaced));
        }
        if is_first || shown.is_some() {
            let admission = devices::admit(self.tx, user, (device, &identity), shown)?;
            if admission.is_changed {
                // Something may wait for this list.
                self.queued = true;
                self.tx.retry_deferred_for_list(user)?;
            }
            self.drop_sessions(user, &admission.removed);
            if admission.removed.contains(&device) {
                // A new key in place of the removed one.
                let loaded = (address(user, device)?, self.tx.sessions(user, device)?);
                self.sessions.insert((user, device), loaded);
                changes.record = changes.record.only_with(&identity);
            }
            if !admission.is_admitted {
                let was_replaced = self.tx.was_replaced(user, device, &identity)?;
                return Ok(Err(match was_replaced {
                    true => Undecryptable::SenderKeyReplaced,
                    false => Undecryptable::UnlistedDevice,
                }));
            }
        }
        Ok(match is_first && !is_senders(self.tx, user, device, changes)? {
            true => Err(Undecryptable::SenderKeyReplaced),
            false => Ok(()),
        })
    }

    /// Forgets the loaded sessions of devices that were removed.
    pub(super) fn drop_sessions(&mut self, user: UserId, removed: &[DeviceId]) {
        for device in removed {
            self.dropped.extend(self.sessions.remove_entry(&(user, *device)));
        }
    }
}

/// Whether a message cannot be opened because the sessions of its sender were dropped with a key that was replaced or removed.
fn is_of_dropped_session(
    tx: &Tx<'_>,
    (user, device): (UserId, DeviceId),
    message: &Parsed,
    opened: &Opened,
) -> Result<bool> {
    use Undecryptable::{NoSession, NotDecryptable};
    let is_unknown = matches!(opened, Opened::Undecryptable(NoSession | NotDecryptable));
    Ok(is_unknown && matches!(message, Parsed::Signal(_)) && tx.has_replaced_key(user, device)?)
}

/// Whether a message was authenticated by the identity key that its sender has now. A first message may introduce a
/// new key, which is reported, but not one that was replaced: otherwise, whoever holds an old key could make it the
/// current one.
fn is_senders(tx: &Tx<'_>, user: UserId, device: DeviceId, changes: &Changes) -> Result<bool> {
    let known = tx.identity(user, device)?;
    if known.as_ref() == Some(&changes.authenticated_by) {
        return Ok(true);
    }
    Ok(changes.consumed.is_some() && !tx.was_replaced(user, device, &changes.authenticated_by)?)
}

/// Whether an envelope that could not be opened could be, if there were more sessions with its sender.
const fn may_need_a_session(opened: &Opened) -> bool {
    matches!(
        opened,
        Opened::Undecryptable(
            Undecryptable::NoSession | Undecryptable::NotDecryptable | Undecryptable::MissingPreKey
        )
    )
}

/// Station 5, Load: a message of a known session needs no pre-keys.
fn named_pre_keys(tx: &Tx<'_>, sessions: &PeerSessions, message: &Parsed) -> Result<NamedPreKeys> {
    let message = match message {
        Parsed::PreKey(message) if !sessions.record.knows(message) => message,
        _ => return Ok(NamedPreKeys::default()),
    };
    Ok(NamedPreKeys {
        signed: tx.signed_pre_key(message.signed_pre_key_id())?,
        one_time: message.one_time_pre_key_id().map(|id| tx.one_time_pre_key(id)).transpose()?.flatten(),
        kem: message.kem_pre_key_id().map(|id| tx.kem_pre_key(id)).transpose()?.flatten(),
    })
}
