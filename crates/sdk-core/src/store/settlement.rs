//! Settlements: records the relay's answers for the contents of the outbox.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension as _, params};

use super::lane::NEVER_MS;
use super::message::position;
use super::outgoing::{ACCEPTED, SEALED, TO_SEAL};
use super::{OutgoingId, Tx, stage, to_sql};
use crate::error::{Offline, Result};
use crate::id::{ClientMsgId, MessageId, ThreadId};
use crate::message::{DeliveryEvent, FailReason, Stage};

/// How often a thread that the relay denies is looked for. A faulty relay could name it in its list each time, and refuse
/// what is sent there.
const MAX_SEARCHES: u32 = 8;

/// The outcome of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Settlement {
    /// The relay has stored it durably.
    Accepted { epoch: u64, server_seq: u64, server_ms: u64 },
    /// The relay has stored nothing, and the entry is sealed anew. `refused` says whether its own parcel was refused,
    /// rather than an earlier one.
    Requeue { refused: bool },
    /// The relay has stored nothing, and refused the parcel for its age. The entry is sealed anew at this local time.
    Outdated { due_ms: u64 },
    /// The entry is submitted again at this local time.
    Later { due_ms: u64 },
    /// The recipients do not accept the thread. The entry is submitted again at this local time.
    Unwelcome { due_ms: u64 },
    /// The entry has failed, and is not submitted again unless the person asks for it.
    Failed(FailReason),
}

/// The outcome of an entry, and the parcel that it belongs to. There is none if the entry was not sealed.
pub(crate) type Settled = (OutgoingId, Option<ClientMsgId>, Settlement);

/// The accepted entries of a lane.
#[derive(Default)]
struct Accepted {
    places: Vec<(u64, u64)>,
    /// The relay's time of the last one that is a message.
    shown_ms: Option<u64>,
}

impl Tx<'_> {
    /// Records the outcomes of several entries, like [`Tx::settle`] for one. What concerns a whole lane is written once.
    ///
    /// # Errors
    /// As [`Tx::settle`]. The caller must then undo the transaction.
    pub(crate) fn settle_all(&mut self, settled: &[Settled]) -> Result<()> {
        let mut accepted = BTreeMap::<ThreadId, Accepted>::new();
        let mut current_epoch = None;
        for (id, submitted, settlement) in settled.iter().copied() {
            let Settlement::Accepted { epoch, server_seq, server_ms } = settlement else {
                self.settle(id, submitted, settlement)?;
                continue;
            };
            if current_epoch != Some(epoch) {
                self.check_epoch(epoch)?;
                current_epoch = Some(epoch);
            }
            if let Some((lane, is_shown)) = self.accept(id, (epoch, server_seq), server_ms)? {
                let lane = accepted.entry(lane).or_default();
                lane.places.push((epoch, server_seq));
                if is_shown {
                    lane.shown_ms = Some(server_ms);
                }
            }
        }
        for (lane, Accepted { places, shown_ms }) in accepted {
            self.account_for_all(lane, &places)?;
            if let Some(shown_ms) = shown_ms {
                self.set_activity(lane, shown_ms)?;
            }
            self.end_lane(lane)?;
        }
        Ok(())
    }

    /// Records the outcome of an entry, either of the parcel that was submitted or of an entry that was not sealed. It does
    /// nothing if the entry was cancelled or another process has changed its state since.
    ///
    /// # Errors
    /// [`Error::Offline`](crate::error::Error::Offline) if another process has noticed that the relay was restored from a
    /// backup after it accepted the entry. It may have lost the entry, which must be submitted again.
    pub(crate) fn settle(
        &mut self,
        id: OutgoingId,
        submitted: Option<ClientMsgId>,
        settlement: Settlement,
    ) -> Result<()> {
        let Some((lane, message)) = self.pending(id)? else { return Ok(()) };
        // An accepted content is stored, whichever parcel it was in.
        let counts = matches!(settlement, Settlement::Accepted { .. }) || self.is_unchanged(id, submitted)?;
        if !counts {
            return Ok(());
        }
        match settlement {
            Settlement::Accepted { .. } => self.settle_all(&[(id, submitted, settlement)]),
            Settlement::Requeue { refused } => self.unseal(id, refused.into()),
            Settlement::Outdated { due_ms } => {
                self.unseal(id, 0)?;
                self.put_off((id, lane, message), due_ms)
            }
            Settlement::Later { due_ms } | Settlement::Unwelcome { due_ms } => {
                self.put_off((id, lane, message), due_ms)
            }
            // A receipt may be sent twice.
            Settlement::Failed(FailReason::TooOld) if message.is_none() => self.unseal(id, 0),
            // It was submitted again because the relay may have lost it, and nothing proves that it has not.
            Settlement::Failed(FailReason::TooOld) if self.was_accepted(message)? => self.unseal(id, 0),
            Settlement::Failed(reason @ (FailReason::NotAMember | FailReason::UnknownRecipient))
                if self.may_come_back(id, lane, reason)? =>
            {
                self.put_off((id, lane, message), NEVER_MS)
            }
            Settlement::Failed(reason) => self.fail(id, lane, message, reason),
        }
    }

    /// Whether the relay had accepted a message, and the person has not sent it again since.
    fn was_accepted(&self, message: Option<MessageId>) -> Result<bool> {
        let sql =
            "SELECT EXISTS (SELECT 1 FROM message WHERE id = ?1 AND server_seq IS NOT NULL AND state <> ?2)";
        let values = params![message.map(|message| message.0), Stage::Queued as i64];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }

    /// Whether the relay may soon know the thread and its members again, because it was restored from a backup and all of them
    /// restore what it has lost. Causes the acceptance task to look for the thread.
    fn may_come_back(&mut self, id: OutgoingId, lane: ThreadId, reason: FailReason) -> Result<bool> {
        let sql =
            "SELECT accepted, (SELECT attempts FROM outgoing WHERE id = ?2) FROM thread WHERE thread_id = ?1";
        let (accepted, attempts): (i64, u32) = self
            .connection
            .prepare_cached(sql)?
            .query_row(params![lane.as_bytes(), id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        match accepted {
            0 => Ok(true),
            1 if reason == FailReason::NotAMember && attempts < MAX_SEARCHES => {
                self.accept_once_more(lane)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    pub(super) fn fail(
        &mut self,
        id: OutgoingId,
        lane: ThreadId,
        message: Option<MessageId>,
        reason: FailReason,
    ) -> Result<()> {
        if message.is_none() {
            self.fail_change(id, lane, reason)?;
        }
        // A message for which there is a receipt has arrived, whatever the relay says now. It keeps its number for the case that it is
        // sent again.
        let Some(message) = message else {
            let is_lasting =
                matches!(reason, FailReason::TooLarge | FailReason::TooOld | FailReason::Refused);
            return if is_lasting { self.abandon(id, lane) } else { self.remove_outgoing(id, lane) };
        };
        self.remove_outgoing(id, lane)?;
        self.forget_pending_timer(lane, message)?;
        let sql = format!(
            "UPDATE message SET state = {}, cause = ?2 WHERE id = ?1",
            stage::state_after(DeliveryEvent::Failed)
        );
        self.change_one(&sql, params![message.0, reason.to_stored()])?;
        self.emit_changed(message)
    }

    /// The lane and the message of an entry that is not settled.
    fn pending(&self, id: OutgoingId) -> Result<Option<(ThreadId, Option<MessageId>)>> {
        let sql = "SELECT lane, message_id FROM outgoing WHERE id = ?1 AND state < 3";
        let row = self
            .connection
            .prepare_cached(sql)?
            .query_row([id.0], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Option<i64>>(1)?)));
        let Some((lane, message)) = row.optional()? else { return Ok(None) };
        Ok(Some((ThreadId::from_slice(&lane)?, message.map(MessageId))))
    }

    /// Whether the entry is still sealed into this parcel, or still not sealed.
    fn is_unchanged(&self, id: OutgoingId, parcel: Option<ClientMsgId>) -> Result<bool> {
        let state = if parcel.is_some() { SEALED } else { TO_SEAL };
        let sql = "SELECT EXISTS (SELECT 1 FROM outgoing WHERE id = ?1 AND state = ?2
                       AND client_msg_id IS ?3)";
        let values = params![id.0, state, parcel.as_ref().map(ClientMsgId::as_bytes)];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }

    fn put_off(
        &mut self,
        (id, lane, message): (OutgoingId, ThreadId, Option<MessageId>),
        due_ms: u64,
    ) -> Result<()> {
        self.change_one("UPDATE outgoing SET attempts = attempts + 1 WHERE id = ?1", [id.0])?;
        self.change_one(
            "INSERT INTO lane (lane, due) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET due = excluded.due",
            params![lane.as_bytes(), to_sql(due_ms)?],
        )?;
        // The reason for which it waits may have changed.
        message.map_or(Ok(()), |message| self.emit_changed(message))
    }

    fn unseal(&mut self, id: OutgoingId, refusals: u32) -> Result<()> {
        self.change_one(
            "UPDATE outgoing SET state = ?2, refusals = refusals + ?3, client_msg_id = NULL, bytes = NULL, made = NULL
             WHERE id = ?1",
            params![id.0, TO_SEAL, refusals],
        )
    }

    /// # Errors
    /// [`Error::Offline`](crate::error::Error::Offline) if the relay is known to be in a later epoch.
    fn check_epoch(&self, epoch: u64) -> Result<()> {
        let sql = "SELECT EXISTS (SELECT 1 FROM account WHERE epoch > ?1)";
        let is_past: bool =
            self.connection.prepare_cached(sql)?.query_row([to_sql(epoch)?], |row| row.get(0))?;
        if is_past { Err(Offline::Unreachable.into()) } else { Ok(()) }
    }

    /// Records that the relay has stored an entry, whichever parcel it was in. Returns its lane, for which the caller writes
    /// the rest, or `None` if the entry was cancelled or settled before.
    pub(super) fn accept(
        &mut self,
        id: OutgoingId,
        (epoch, server_seq): (u64, u64),
        server_ms: u64,
    ) -> Result<Option<(ThreadId, bool)>> {
        let Some((lane, message)) = self.pending(id)? else { return Ok(None) };
        self.change_one("UPDATE outgoing SET state = ?2 WHERE id = ?1", [id.0, ACCEPTED])?;
        // The content is kept until the recipient has it, in case the relay loses it. It is not kept if the recipient has it already,
        // if it is not a post, or if it was deleted for everyone.
        let is_kept = match message {
            Some(message) => self.accept_message(message, (epoch, server_seq), server_ms)?,
            None => {
                self.accept_change(id, lane, position(epoch, server_seq)?)?;
                self.number_of_outgoing(id, lane)?.is_some()
            }
        };
        if !is_kept {
            self.change_one("DELETE FROM outgoing WHERE id = ?1", [id.0])?;
        }
        Ok(Some((lane, message.is_some())))
    }
}
