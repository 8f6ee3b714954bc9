//! What becomes of a content on its way out: the answer of the relay, written down.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension as _, params};

use super::message::{STATE_DELIVERED, STATE_FAILED};
use super::outgoing::{ACCEPTED, SEALED, TO_SEAL};
use super::{OutgoingId, Tx, to_sql};
use crate::error::{Offline, Result};
use crate::id::{ClientMsgId, MessageId, ThreadId};
use crate::message::FailReason;

/// Until somebody says that it is worth trying again.
const UNTIL_HURRIED_MS: u64 = u64::MAX >> 2;
/// How often a relay is asked for a thread that it knows when it is asked, and does not when something is sent there.
const MOST_LOOKS: u32 = 8;

/// What became of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Settlement {
    /// The relay has it on disk.
    Accepted { epoch: u64, server_seq: u64, server_ms: u64 },
    /// The relay stored nothing: to be sealed anew. `refused`: for what this parcel was; otherwise for one before it.
    Requeue { refused: bool },
    /// The relay stored nothing, and does not take the parcel for its age: to be sealed anew, at this local time.
    Outdated { due_ms: u64 },
    /// Not now: to be tried again at this local time.
    Later { due_ms: u64 },
    /// Not without the person.
    Failed(FailReason),
}

/// What became of an entry, and of which parcel; none when it is still to be sealed.
pub(crate) type Settled = (OutgoingId, Option<ClientMsgId>, Settlement);

/// What the relay has accepted of one lane.
struct Gained {
    places: Vec<(u64, u64)>,
    /// When it accepted the last one, by its clock.
    server_ms: u64,
}

impl Tx<'_> {
    /// Writes down what became of entries, as [`Tx::settle`] does for one: what counts for a lane is written once.
    ///
    /// # Errors
    /// As [`Tx::settle`]; then none of it is to be kept.
    pub(crate) fn settle_all(&mut self, settled: Vec<Settled>) -> Result<()> {
        let mut gained = BTreeMap::<ThreadId, Gained>::new();
        let mut current_epoch = None;
        for (id, submitted, settlement) in settled {
            let Settlement::Accepted { epoch, server_seq, server_ms } = settlement else {
                self.settle(id, submitted, settlement)?;
                continue;
            };
            if current_epoch != Some(epoch) {
                self.check_epoch(epoch)?;
                current_epoch = Some(epoch);
            }
            if let Some(lane) = self.accept(id, epoch, server_seq)? {
                let lane = gained.entry(lane).or_insert(Gained { places: Vec::new(), server_ms });
                lane.places.push((epoch, server_seq));
                lane.server_ms = server_ms;
            }
        }
        for (lane, Gained { places, server_ms }) in gained {
            self.account_for_all(lane, &places)?;
            self.set_activity(lane, server_ms)?;
            self.end_lane(lane)?;
        }
        Ok(())
    }

    /// Writes down what became of an entry: of the parcel that was submitted, or of one that is still to be sealed. A
    /// cancelled one is gone by now, which is no fault; nor is it when another process has taken the entry further.
    ///
    /// # Errors
    /// [`Error::Offline`](crate::error::Error::Offline) when the relay was restored from a backup since it accepted the entry,
    /// as another process has found out meanwhile: it may have lost it, and is to be asked again.
    pub(crate) fn settle(
        &mut self,
        id: OutgoingId,
        submitted: Option<ClientMsgId>,
        settlement: Settlement,
    ) -> Result<()> {
        let Some((lane, message)) = self.pending(id)? else { return Ok(()) };
        // What was accepted is there, whichever parcel it was in.
        let counts = matches!(settlement, Settlement::Accepted { .. }) || self.is_still(id, submitted)?;
        if !counts {
            return Ok(());
        }
        match settlement {
            Settlement::Accepted { .. } => self.settle_all(vec![(id, submitted, settlement)]),
            Settlement::Requeue { refused } => self.unseal(id, refused.into()),
            Settlement::Outdated { due_ms } => {
                self.unseal(id, 0)?;
                self.put_off((id, lane, message), due_ms)
            }
            Settlement::Later { due_ms } => self.put_off((id, lane, message), due_ms),
            // It says how far something came, and may be said twice.
            Settlement::Failed(FailReason::TooOld) if message.is_none() => self.unseal(id, 0),
            Settlement::Failed(reason @ (FailReason::NotAMember | FailReason::UnknownRecipient))
                if self.may_come_back(id, lane, reason)? =>
            {
                self.put_off((id, lane, message), UNTIL_HURRIED_MS)
            }
            Settlement::Failed(reason) => self.fail(id, lane, message, reason),
        }
    }

    /// Whether the relay may know the thread again soon, or its other member: it was restored from a backup, and both of them
    /// register and open again what it has lost. Who looks after that is told to look.
    fn may_come_back(&mut self, id: OutgoingId, lane: ThreadId, reason: FailReason) -> Result<bool> {
        let sql =
            "SELECT accepted, (SELECT attempts FROM outgoing WHERE id = ?2) FROM thread WHERE thread_id = ?1";
        let (accepted, attempts): (i64, u32) = self
            .connection
            .prepare_cached(sql)?
            .query_row(params![lane.as_bytes(), id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        match accepted {
            0 => Ok(true),
            1 if reason == FailReason::NotAMember && attempts < MOST_LOOKS => {
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
        self.remove_outgoing(id, lane)?;
        // What nobody sees, and cannot be sent, is nobody's concern. What the other side has seen did arrive, whatever the relay
        // says now.
        let Some(message) = message else { return Ok(()) };
        self.change_one(
            "UPDATE message SET state = CASE WHEN state IN (2, 3) THEN state ELSE ?2 END, cause = ?3
             WHERE id = ?1",
            params![message.0, STATE_FAILED, reason.to_stored()],
        )?;
        self.emit_changed(message)
    }

    /// The lane of an entry that is not settled, and its message.
    fn pending(&self, id: OutgoingId) -> Result<Option<(ThreadId, Option<MessageId>)>> {
        let sql = "SELECT lane, message_id FROM outgoing WHERE id = ?1 AND state < 3";
        let row = self
            .connection
            .prepare_cached(sql)?
            .query_row([id.0], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Option<i64>>(1)?)));
        let Some((lane, message)) = row.optional()? else { return Ok(None) };
        Ok(Some((ThreadId::from_slice(&lane)?, message.map(MessageId))))
    }

    /// Whether the entry is as it was: sealed into this parcel, or not sealed.
    fn is_still(&self, id: OutgoingId, parcel: Option<ClientMsgId>) -> Result<bool> {
        let state = if parcel.is_some() { SEALED } else { TO_SEAL };
        let sql = "SELECT EXISTS (SELECT 1 FROM outgoing WHERE id = ?1 AND state = ?2
                       AND (SELECT client_msg_id FROM parcel WHERE outgoing_id = ?1) IS ?3)";
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
            "UPDATE lane SET due = ?2 WHERE lane = ?1",
            params![lane.as_bytes(), to_sql(due_ms)?],
        )?;
        // What it waits for may be another thing now.
        message.map_or(Ok(()), |message| self.emit_changed(message))
    }

    fn unseal(&mut self, id: OutgoingId, refusals: u32) -> Result<()> {
        self.change("DELETE FROM parcel WHERE outgoing_id = ?1", [id.0])?;
        self.change_one(
            "UPDATE outgoing SET state = ?2, refusals = refusals + ?3 WHERE id = ?1",
            params![id.0, TO_SEAL, refusals],
        )
    }

    /// # Errors
    /// [`Error::Offline`](crate::error::Error::Offline) when the relay is in a later epoch by now.
    fn check_epoch(&self, epoch: u64) -> Result<()> {
        let sql = "SELECT EXISTS (SELECT 1 FROM account WHERE epoch > ?1)";
        let is_past: bool =
            self.connection.prepare_cached(sql)?.query_row([to_sql(epoch)?], |row| row.get(0))?;
        if is_past { Err(Offline::Unreachable.into()) } else { Ok(()) }
    }

    /// The relay has an entry, whichever parcel it was in. Its lane, of which the caller writes the rest; none when it was settled
    /// before, or cancelled.
    fn accept(&mut self, id: OutgoingId, epoch: u64, server_seq: u64) -> Result<Option<ThreadId>> {
        let sql = "UPDATE outgoing SET state = ?2 WHERE id = ?1 AND state < 3 RETURNING lane, message_id";
        let row = self.connection.prepare_cached(sql)?.query_row(params![id.0, ACCEPTED], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Option<i64>>(1)?))
        });
        let Some((lane, message)) = row.optional()? else { return Ok(None) };
        let state = match message.map(MessageId) {
            Some(message) => {
                let state = self.accept_message(message, epoch, server_seq)?;
                self.emit_changed(message)?;
                state
            }
            None => STATE_DELIVERED,
        };
        // The parcel is kept until the other side has the message, in case the relay loses it; unless it has it already, or
        // nobody tells.
        if state >= STATE_DELIVERED {
            self.change_one("DELETE FROM outgoing WHERE id = ?1", [id.0])?;
        }
        Ok(Some(ThreadId::from_slice(&lane)?))
    }
}
