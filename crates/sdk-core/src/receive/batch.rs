//! Stations 2 to 7 for the envelopes of one transaction.
//!
//! Each envelope is a part of the transaction. If one cannot be processed, the whole batch is undone once and repeated with a
//! savepoint for each envelope, so that only the one that fails is deferred. A batch without a failure needs no savepoints.

use std::collections::{BTreeSet, HashMap};

use rand::rngs::StdRng;
use sealpost_protocol::{Address, KnownKeys, SessionRecord, UnixSeconds};
use sealpost_wire as wire;

use super::apply::apply;
use super::envelope::{AnyEnvelope, Envelope, Source};
use super::headers::{Headers, Stated};
use super::lists::Lists;
use super::open::Opened;
use crate::account::registration::address;
use crate::content::NamedLists;
use crate::context::Context;
use crate::error::Result;
use crate::id::{DeviceId, ThreadId, UserId};
use crate::message::Undecryptable;
use crate::store::{Account, CiphertextId, Deferred, PeerSessions, Registered, Tx, UNSEEN_MS, contained};

mod begin;
mod decrypt;
mod defer;
mod entry;
mod group;
mod mail;

/// The minimum time between two sessions that are started because a device uses keys again, in milliseconds.
const RENEWAL_MS: u64 = 3_600_000;

/// The age at which a message no longer says anything about whether its author is writing, in milliseconds.
const RECENT_MS: u64 = 60_000;

/// Queues a delivery receipt for new messages of a user in a thread. The last parameter says whether more may follow at once.
pub(crate) type Confirm = fn(&Context, &mut Tx<'_>, (ThreadId, UserId), bool) -> Result<()>;

/// The work of one transaction. Sessions are loaded once, and stored at the end.
pub(super) struct Batch<'b, 'c> {
    ctx: &'b Context,
    tx: &'b mut Tx<'c>,
    account: &'b Account,
    us: Registered,
    our_address: &'b Address,
    confirm: Confirm,
    /// Whether the next batch may follow at once.
    more_follow: bool,
    sessions: HashMap<(UserId, DeviceId), (Address, PeerSessions)>,
    /// The sessions of devices that the present envelope has removed, in case that is undone.
    dropped: Vec<((UserId, DeviceId), (Address, PeerSessions))>,
    /// Where there are new messages, and of whom, for the delivery receipts.
    delivered: BTreeSet<(ThreadId, UserId)>,
    /// What the headers of the opened contents state.
    headers: Headers,
    /// Which device lists they name.
    lists: Lists,
    /// Whether there is a new thread.
    begun: bool,
    /// Whether the dispatcher must look for something that was queued.
    queued: bool,
    /// Whether these envelopes are tried again.
    is_retry: bool,
    /// Whether a message may wait for its chain without being shown.
    may_wait_unseen: bool,
    /// The keys that have signed what came in groups.
    known_keys: KnownKeys,
}

/// The effects of one envelope, apart from rows.
#[derive(Default)]
struct Handled {
    /// Why it was not opened.
    cause: Option<Undecryptable>,
    /// The advanced session with its sender.
    record: Option<SessionRecord>,
    /// Whether its author gets a delivery receipt.
    to_confirm: bool,
    /// What its header states.
    header: Option<Stated>,
    /// The device lists that it names.
    lists: NamedLists,
    /// Whether there is a new thread.
    begun: bool,
    /// Whether something was queued, apart from the receipt.
    queued: bool,
}

/// What a transaction leaves to be done after its commit.
#[derive(Clone, Copy)]
pub(super) struct Finished {
    /// There is a new thread.
    pub(super) begun: bool,
    /// Something was queued, and the dispatcher must look for it.
    pub(super) queued: bool,
    /// Deferred envelopes are to be tried again.
    pub(super) retry: bool,
}

/// Runs work on a batch in a transaction, then stores the sessions and queues the receipts.
///
/// # Errors
/// [`Error::Storage`](crate::error::Error::Storage): nothing has happened.
pub(super) fn in_batch(
    ctx: &Context,
    tx: &mut Tx<'_>,
    (confirm, more_follow): (Confirm, bool),
    work: impl FnOnce(&mut Batch<'_, '_>) -> Result<()>,
) -> Result<Finished> {
    let (account, us) = tx.our_account()?;
    let our_address = address(us.user, us.device)?;
    let mut batch = Batch {
        ctx,
        tx,
        account: &account,
        us,
        our_address: &our_address,
        confirm,
        sessions: HashMap::new(),
        dropped: Vec::new(),
        delivered: BTreeSet::new(),
        more_follow,
        headers: Headers::default(),
        lists: Lists::default(),
        begun: false,
        queued: false,
        is_retry: false,
        may_wait_unseen: true,
        known_keys: KnownKeys::default(),
    };
    work(&mut batch)?;
    batch.finish()
}

impl Batch<'_, '_> {
    /// Processes one envelope. One that cannot be processed is deferred and never stops the others. Only a failure of
    /// the disk as a whole stops the batch, and then nothing of it has happened.
    pub(super) fn handle_or_defer(&mut self, envelope: &Envelope, rng: &mut StdRng) -> Result<()> {
        match self.attempt(&envelope.source(), |batch| batch.handle(envelope, rng))? {
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "an envelope could not be processed, and is tried again later");
                self.defer_unhandled(envelope)
            }
        }
    }

    /// Tries an envelope again that was deferred. It is `None` if the stored bytes are damaged.
    pub(super) fn try_again(
        &mut self,
        deferred: &Deferred,
        envelope: Option<&AnyEnvelope>,
        rng: &mut StdRng,
    ) -> Result<()> {
        self.is_retry = true;
        self.may_wait_unseen = self.ctx.server_now_ms().abs_diff(deferred.since_ms) < UNSEEN_MS;
        let tried = match envelope {
            None => return self.tx.give_up_deferred(deferred.id, Undecryptable::Malformed),
            Some(AnyEnvelope::Post(envelope)) => {
                self.attempt(&envelope.source(), |batch| batch.handle(envelope, rng))?
            }
            Some(AnyEnvelope::Mail(mail)) => {
                self.attempt(&mail.source(), |batch| batch.handle_mail(mail, rng))?
            }
        };
        match tried {
            Ok(None) => self.tx.forget_deferred(deferred.id),
            Ok(Some(Undecryptable::AwaitsSenderKey)) if self.may_wait_unseen => {
                self.tx.wait_again(deferred.id)
            }
            Ok(Some(Undecryptable::StorageDamaged | Undecryptable::AwaitsSenderKey)) => {
                self.tx.defer_again(deferred.id)
            }
            // It still waits for the list, or a message has this cause now.
            Ok(Some(Undecryptable::UnlistedDevice)) => match self.awaits_list(deferred.sender)? {
                true => self.tx.defer_again(deferred.id),
                false => self.tx.forget_deferred(deferred.id),
            },
            Ok(Some(cause)) => self.tx.give_up_deferred(deferred.id, cause),
            Err(error) => {
                tracing::warn!(%error, tries = deferred.tries, "an envelope can still not be processed");
                self.tx.defer_again(deferred.id)
            }
        }
    }

    /// Processes one envelope. Returns why it was not opened, or the error because of which nothing of it has happened.
    ///
    /// # Errors
    /// Fails if no other envelope can be processed either.
    fn attempt(
        &mut self,
        source: &Source<'_>,
        handle: impl FnOnce(&mut Self) -> Result<Handled>,
    ) -> Result<Result<Option<Undecryptable>>> {
        let part = self.tx.begin_part()?;
        match contained(|| handle(self)) {
            Ok(handled) => {
                self.tx.keep_part(part)?;
                self.dropped.clear();
                let cause = handled.cause;
                self.note(source, handled)?;
                Ok(Ok(cause))
            }
            Err(error) if error.stops_everything() => Err(error),
            Err(error) => {
                self.tx.undo_part(part)?;
                self.sessions.extend(self.dropped.drain(..));
                Ok(Err(error))
            }
        }
    }

    /// Records what was processed and remains in effect.
    fn note(&mut self, source: &Source<'_>, handled: Handled) -> Result<()> {
        let is_opened = handled.record.is_some() && handled.cause.is_none();
        if is_opened && source.sender != self.us.user && self.ctx.unwelcome.contains(source.thread) {
            self.ctx.try_unwelcome_again(self.tx, source.thread)?;
        }
        if let Some(record) = handled.record
            && let Some((_, sessions)) = self.sessions.get_mut(&(source.sender, source.sender_device))
        {
            sessions.record = record;
        }
        if handled.to_confirm {
            self.delivered.insert((source.thread, source.sender));
        }
        if let Some(header) = handled.header {
            self.headers.note(source, header);
        }
        self.lists.note(source, handled.lists);
        self.begun |= handled.begun;
        self.queued |= handled.queued;
        Ok(())
    }

    fn handle(&mut self, envelope: &Envelope, rng: &mut StdRng) -> Result<Handled> {
        let mut handled = Handled::default();
        if envelope.sealed.kind == wire::envelope::ROSTER {
            self.handle_entry(envelope)?;
            return Ok(handled);
        }
        let ciphertext = CiphertextId::of(&envelope.sealed.ciphertext);
        let thread = self.tx.thread(envelope.thread)?;
        if envelope.source().is_impossible(self.us) {
            if thread.is_some() && envelope.sender == self.us.user {
                self.tx.account_for(envelope.thread, envelope.epoch, envelope.server_seq)?;
            }
            return Ok(handled);
        }
        let is_from_us = envelope.sender == self.us.user;
        let is_group = thread.is_some_and(|thread| thread.peer.is_none());
        if self.tx.was_opened(ciphertext)? {
            if thread.is_some() {
                self.tx.account_for(envelope.thread, envelope.epoch, envelope.server_seq)?;
            }
            return Ok(handled);
        }
        let is_discarded = self.tx.is_discarded(envelope.thread, envelope.sender)?;
        if is_discarded && thread.is_none() {
            return Ok(handled);
        }
        let may_write = thread.is_none() || self.tx.is_member(envelope.thread, envelope.sender)?;
        let (opened, record) = if is_group && may_write {
            (self.open_in_group(&envelope.source())?, None)
        } else if may_write {
            self.open(&envelope.source(), rng)?
        } else if is_group && self.tx.is_roster_due(envelope.thread)? {
            // More of the roster may say that they are a member.
            (Opened::Undecryptable(Undecryptable::AwaitsSenderKey), None)
        } else {
            // Only members write into a thread.
            (Opened::Undecryptable(Undecryptable::Misrouted), None)
        };
        let now_ms = self.ctx.server_now_ms();
        if matches!(opened, Opened::Undecryptable(Undecryptable::UnlistedDevice))
            && !is_discarded
            && self.awaits_list(envelope.sender)?
        {
            handled.cause = Some(Undecryptable::UnlistedDevice);
            self.defer(envelope, None, now_ms)?;
            if thread.is_some() {
                self.tx.account_for(envelope.thread, envelope.epoch, envelope.server_seq)?;
            }
            return Ok(handled);
        }
        if matches!(opened, Opened::Undecryptable(Undecryptable::AwaitsSenderKey))
            && !is_discarded
            && self.may_wait_unseen
        {
            handled.cause = Some(Undecryptable::AwaitsSenderKey);
            self.wait_unseen(envelope, now_ms)?;
            self.tx.account_for(envelope.thread, envelope.epoch, envelope.server_seq)?;
            return Ok(handled);
        }
        if thread.is_none() {
            if !self.begins(envelope, (&opened, ciphertext), &mut handled, now_ms)? {
                tracing::warn!(
                    "the relay delivered an envelope of an unknown thread, which does not start one"
                );
                // The session goes on nevertheless: what its sender writes next may begin the thread.
                handled.record = record;
                return Ok(handled);
            }
            handled.begun = true;
        }
        let mut renewed = None;
        match opened {
            // Its sender is blocked. The session advances, so that later messages can be opened if the person unblocks them.
            opened if is_discarded => {
                if matches!(opened, Opened::Content(_)) {
                    self.tx.set_opened(ciphertext, now_ms)?;
                }
            }
            Opened::Undecryptable(cause) => {
                handled.cause = Some(cause);
                self.park(envelope, cause, now_ms)?;
                // Its sender still uses a session that was ended here when this database turned out to be a copy.
                if !handled.begun
                    && !is_group
                    && self.tx.has_only_old_sessions(envelope.sender, envelope.sender_device)?
                    && self.tx.may_answer(envelope.thread)?
                {
                    self.tx.renew_session(envelope.thread, now_ms, self.ctx.new_client_msg_id())?;
                    handled.queued = true;
                }
            }
            // At the same position, this is a copy of an earlier envelope. At another position, it is another message that was
            // encrypted with a key that was already used, for example by a device whose database was restored from an older
            // copy.
            Opened::Duplicate => {
                handled.cause = Some(Undecryptable::KeyUsedTwice);
                if !self.is_repeated(envelope)? {
                    if !is_group {
                        renewed = self.renew_after_reuse(envelope, now_ms)?;
                        handled.queued = true;
                    }
                    self.park(envelope, Undecryptable::KeyUsedTwice, now_ms)?;
                }
            }
            Opened::Content(content) => {
                self.tx.set_opened(ciphertext, now_ms)?;
                handled.to_confirm = content.body.kind().is_confirmed()
                    && !is_from_us
                    && (!is_group || self.tx.confirms_in_group(envelope.thread, self.us.user)?);
                // Whoever writes in a thread accepts it.
                if is_from_us && content.body.kind().is_post() {
                    handled.begun |= self.tx.accept_request(envelope.thread)?;
                }
                if !is_from_us
                    && content.body.kind().is_shown()
                    && now_ms.saturating_sub(content.sent_ms) < RECENT_MS
                {
                    let (live, thread, user) = (self.ctx.ephemeral.clone(), envelope.thread, envelope.sender);
                    let sent_ms = content.sent_ms;
                    self.tx.after_commit(move || live.has_written(thread, user, sent_ms));
                }
                let (header, kind) = (content.header.clone(), content.body.kind());
                handled.lists = header.lists;
                let written_ms = content.sent_ms.min(envelope.server_ms);
                let us = (self.us, is_group);
                let is_new = apply(self.tx, envelope, *content, us, (now_ms, self.ctx.limits))?;
                let place = (envelope.epoch, envelope.server_seq);
                handled.header = Some(Stated { header, kind, is_new, place, written_ms });
            }
        }
        handled.record = record.or(renewed);
        self.tx.account_for(envelope.thread, envelope.epoch, envelope.server_seq)?;
        Ok(handled)
    }

    /// Handles a device that uses keys again, because its database was restored from an older copy and the relay could not
    /// detect that. Starts a new session with the device, so that it stops using them, at most once an hour. Returns the
    /// sessions without an active one.
    fn renew_after_reuse(&mut self, envelope: &Envelope, now_ms: u64) -> Result<Option<SessionRecord>> {
        let since_ms = now_ms.saturating_sub(RENEWAL_MS);
        if self.tx.has_reused_keys_since(envelope.thread, envelope.sender, since_ms)?
            || !self.tx.may_answer(envelope.thread)?
        {
            return Ok(None);
        }
        self.tx.renew_session(envelope.thread, now_ms, self.ctx.new_client_msg_id())?;
        let sessions = self.sessions.get(&(envelope.sender, envelope.sender_device));
        Ok(sessions.map(|(_, sessions)| sessions.record.archive(UnixSeconds(now_ms / 1000))))
    }

    /// Whether an envelope from this position was processed before.
    fn is_repeated(&self, envelope: &Envelope) -> Result<bool> {
        self.tx.is_accounted_for(envelope.thread, envelope.epoch, envelope.server_seq)
    }

    /// Stores the sessions and queues the receipts.
    fn finish(mut self) -> Result<Finished> {
        for (_, sessions) in self.sessions.values_mut() {
            self.tx.store_sessions(sessions)?;
        }
        self.headers.store(self.tx, self.us)?;
        self.lists.store(self.ctx, self.tx, self.us)?;
        for from in std::mem::take(&mut self.delivered) {
            (self.confirm)(self.ctx, self.tx, from, self.more_follow)?;
        }
        Ok(Finished { begun: self.begun, queued: self.queued, retry: self.tx.has_due_deferred()? })
    }
}
