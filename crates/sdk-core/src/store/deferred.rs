//! Envelopes that could not be processed because of a fault on this side, such as a damaged row or a bug.
//!
//! The relay deletes an envelope once it is acknowledged, so its bytes are kept here and tried again: when the client
//! starts, and after a new session with the sender has been started. A row exists only until its ciphertext is opened
//! ([`Tx::set_opened`]) or given up ([`Tx::give_up_deferred`]). The table is bounded for each sender and in total; a
//! sender who exceeds a bound loses their own oldest envelope first.
//!
//! A message of a group whose chain has not come is kept here, too. For some seconds it waits unseen, because the chain is probably on its
//! way (`due` is 2). Then a message represents it until it can be opened.

use rusqlite::{OptionalExtension as _, params};
use sealpost_wire as wire;

use super::message::KIND_UNDECRYPTABLE;
use super::{CiphertextId, Rows, Tx, from_sql, to_sql};
use crate::error::Result;
use crate::id::{MessageId, ThreadId, UserId};
use crate::message::Undecryptable;

/// Maximum number of envelopes of one sender.
pub(super) const MAX_SENDER_ENVELOPES: u32 = 64;
/// Maximum size of the envelopes of one sender, in bytes.
pub(super) const MAX_SENDER_BYTES: u64 = 1 << 20;
/// Maximum number of envelopes.
pub(super) const MAX_ENVELOPES: u32 = 512;
/// Maximum size of all envelopes, in bytes.
pub(super) const MAX_BYTES: u64 = 8 << 20;
/// Maximum number of attempts by one version of the library.
pub(super) const MAX_ATTEMPTS: u32 = 5;
/// The minimum time between two attempts at a start of the client, in milliseconds. It is multiplied by the square of
/// the number of attempts so far.
const PAUSE_MS: u64 = 3_600_000;

/// How long a message of a group waits for its chain without being shown, in milliseconds.
pub(crate) const UNSEEN_MS: u64 = 5_000;
/// How many messages of one sender wait unseen at most.
pub(super) const MAX_UNSEEN: u32 = 32;
/// How many bytes their envelopes have at most.
pub(super) const MAX_UNSEEN_BYTES: u64 = 256 << 10;

/// The number of a deferred envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeferredId(i64);

/// An envelope that is to be tried again.
pub(crate) struct Deferred {
    pub(crate) id: DeferredId,
    pub(crate) sender: UserId,
    /// The number of attempts, including this one.
    pub(crate) tries: u32,
    /// The `Deliver` or `DeliverMail` frame.
    pub(crate) bytes: Vec<u8>,
    /// When it came, by server time.
    pub(crate) since_ms: u64,
}

/// An envelope that cannot be processed now.
pub(crate) struct NewDeferred<'e> {
    pub(crate) sender: UserId,
    pub(crate) thread: ThreadId,
    /// The epoch and sequence number in its thread; `None` for mail.
    pub(crate) place: Option<(u64, u64)>,
    pub(crate) ciphertext: CiphertextId,
    pub(crate) bytes: &'e [u8],
    /// The message that represents it; `None` if that could not be stored either, or it waits unseen.
    pub(crate) message: Option<MessageId>,
    /// Whether it waits unseen for a moment.
    pub(crate) is_unseen: bool,
}

impl Rows<'_> {
    /// Whether any envelope is deferred.
    pub(crate) fn has_deferred(&self) -> Result<bool> {
        self.exists("SELECT EXISTS (SELECT 1 FROM deferred)")
    }

    /// Whether a deferred envelope is to be tried now.
    pub(crate) fn has_due_deferred(&self) -> Result<bool> {
        self.exists("SELECT EXISTS (SELECT 1 FROM deferred WHERE due = 1)")
    }

    /// When the first of the envelopes came that wait unseen, by server time.
    pub(crate) fn oldest_unseen(&self) -> Result<Option<u64>> {
        let sql = "SELECT min(at) FROM deferred WHERE due = 2";
        let at: Option<i64> = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        at.map(from_sql).transpose()
    }

    /// The envelopes of a sender that wait unseen, if they are more than may wait so.
    pub(crate) fn too_many_unseen(&self, sender: UserId) -> Result<Vec<Vec<u8>>> {
        let sql = "SELECT envelope FROM deferred WHERE sender = ?1 AND due = 2 AND EXISTS (
                       SELECT min(id) FROM deferred WHERE sender = ?1 AND due = 2
                       HAVING count(*) > ?2 OR sum(length(envelope)) > ?3) ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let bounds = params![sender.as_bytes(), MAX_UNSEEN, to_sql(MAX_UNSEEN_BYTES)?];
        let rows = statement.query_map(bounds, |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn exists(&self, sql: &str) -> Result<bool> {
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Keeps an envelope in order to try it again. If there is no room for it, the oldest envelope of its sender, or of
    /// the sender who uses the most space, is given up.
    pub(crate) fn defer(&mut self, new: &NewDeferred<'_>, now_ms: u64) -> Result<()> {
        self.change(
            "INSERT INTO deferred (message_id, sender, thread_id, ciphertext, envelope, at, epoch, server_seq, due)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, iif(?9, 2, 0))
             ON CONFLICT (ciphertext, sender, thread_id) DO UPDATE SET message_id = coalesce(message_id, excluded.message_id),
                due = iif(due = 2 AND excluded.message_id IS NOT NULL, 0, due)",
            params![
                new.message.map(|message| message.0),
                new.sender.as_bytes(),
                new.thread.as_bytes(),
                new.ciphertext.as_bytes(),
                new.bytes,
                to_sql(now_ms)?,
                new.place.map(|(epoch, _)| to_sql(epoch)).transpose()?,
                new.place.map(|(_, server_seq)| to_sql(server_seq)).transpose()?,
                new.is_unseen,
            ],
        )?;
        let of_sender = "SELECT min(id) FROM deferred WHERE sender = ?1
            HAVING count(*) > ?2 OR sum(length(envelope)) > ?3";
        let bounds = params![new.sender.as_bytes(), MAX_SENDER_ENVELOPES, to_sql(MAX_SENDER_BYTES)?];
        while let Some(oldest) = self.deferred_over(of_sender, bounds)? {
            self.drop_oldest(oldest)?;
        }
        let of_all = "SELECT min(id) FROM deferred WHERE sender = (
                SELECT sender FROM deferred GROUP BY sender ORDER BY sum(length(envelope)) DESC, max(id) DESC LIMIT 1)
            AND (SELECT count(*) > ?1 OR sum(length(envelope)) > ?2 FROM deferred)";
        while let Some(oldest) = self.deferred_over(of_all, params![MAX_ENVELOPES, to_sql(MAX_BYTES)?])? {
            self.drop_oldest(oldest)?;
        }
        Ok(())
    }

    /// Marks every envelope to be tried again, unless this version of the library has tried it too often or too
    /// recently.
    pub(crate) fn retry_deferred(&mut self, version: &str, now_ms: u64) -> Result<()> {
        self.change(
            "UPDATE deferred SET due = 1, tries = iif(version = ?1, tries, 0), version = ?1
             WHERE version <> ?1 OR (tries < ?2 AND tried + tries * tries * ?3 <= ?4)",
            params![version, MAX_ATTEMPTS, to_sql(PAUSE_MS)?, to_sql(now_ms)?],
        )?;
        Ok(())
    }

    /// Marks the envelopes of a sender to be tried again, because the cause may be gone.
    pub(super) fn retry_deferred_of(&mut self, sender: &[u8; 16]) -> Result<()> {
        let sql = "UPDATE deferred SET due = 1 WHERE sender = ?1 AND tries < ?2";
        self.change(sql, params![sender, MAX_ATTEMPTS])?;
        Ok(())
    }

    /// Marks the envelopes of a sender to be tried once more, because another device list of theirs is known, or will not be.
    pub(crate) fn retry_deferred_for_list(&mut self, sender: UserId) -> Result<()> {
        let sql = "UPDATE deferred SET due = 1, tries = min(tries, ?2 - 1) WHERE sender = ?1";
        self.change(sql, params![sender.as_bytes(), MAX_ATTEMPTS])?;
        Ok(())
    }

    /// Marks the envelopes of a sender in a group to be tried once more, because a chain of theirs has arrived.
    pub(crate) fn retry_deferred_in(&mut self, thread: ThreadId, sender: UserId) -> Result<()> {
        let sql =
            "UPDATE deferred SET due = 1, tries = min(tries, ?3 - 1) WHERE sender = ?1 AND thread_id = ?2";
        self.change(sql, params![sender.as_bytes(), thread.as_bytes(), MAX_ATTEMPTS])?;
        Ok(())
    }

    /// Marks the envelopes of a group to be tried once more, because more of its roster is known.
    pub(crate) fn retry_deferred_of_group(&mut self, thread: ThreadId) -> Result<()> {
        let sql = "UPDATE deferred SET due = 1, tries = min(tries, ?2 - 1) WHERE thread_id = ?1";
        self.change(sql, params![thread.as_bytes(), MAX_ATTEMPTS])?;
        Ok(())
    }

    /// Marks the envelopes to be tried, and then shown, that have waited unseen for long enough.
    pub(crate) fn end_unseen(&mut self, now_ms: u64) -> Result<()> {
        let sql =
            "UPDATE deferred SET due = 1, tries = min(tries, ?3 - 1) WHERE due = 2 AND abs(?1 - at) >= ?2";
        self.change(sql, params![to_sql(now_ms)?, to_sql(UNSEEN_MS)?, MAX_ATTEMPTS])?;
        Ok(())
    }

    /// The oldest envelope that is to be tried, counting the attempt. The count is committed before the attempt, so
    /// that an envelope that crashes the process does so only a few times.
    pub(crate) fn claim_deferred(&mut self, now_ms: u64) -> Result<Option<Deferred>> {
        let sql = "UPDATE deferred SET tries = tries + 1, tried = ?2
                   WHERE id = (SELECT min(id) FROM deferred WHERE due = 1 AND tries < ?1) RETURNING id, tries, envelope, sender, at";
        let row =
            self.connection.prepare_cached(sql)?.query_row(params![MAX_ATTEMPTS, to_sql(now_ms)?], |row| {
                let place: (_, _, _) =
                    (DeferredId(row.get(0)?), row.get::<_, Vec<u8>>(3)?, row.get::<_, i64>(4)?);
                Ok((place, row.get(1)?, row.get(2)?))
            });
        let Some(((id, sender, at), tries, bytes)) = row.optional()? else { return Ok(None) };
        let (sender, since_ms) = (UserId::from_slice(&sender)?, from_sql(at)?);
        Ok(Some(Deferred { id, sender, tries, bytes, since_ms }))
    }

    /// Records that the envelope still cannot be processed.
    pub(crate) fn defer_again(&mut self, id: DeferredId) -> Result<()> {
        self.change("UPDATE deferred SET due = 0 WHERE id = ?1", [id.0])?;
        Ok(())
    }

    /// Records that the envelope still waits for its chain: unseen, unless a message represents it.
    pub(crate) fn wait_again(&mut self, id: DeferredId) -> Result<()> {
        self.change("UPDATE deferred SET due = iif(message_id IS NULL, 2, 0) WHERE id = ?1", [id.0])?;
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn age_deferred(&mut self, by_ms: u64) -> Result<()> {
        self.change("UPDATE deferred SET at = at - ?1", [to_sql(by_ms)?]).map(drop)
    }

    /// Deletes the row of an envelope that was processed.
    pub(crate) fn forget_deferred(&mut self, id: DeferredId) -> Result<()> {
        self.change("DELETE FROM deferred WHERE id = ?1", [id.0])?;
        Ok(())
    }

    /// Records that the envelope cannot be opened. The message that represents it shows this cause from now on. If there is no
    /// such message, it is reported as missing.
    pub(crate) fn give_up_deferred(&mut self, id: DeferredId, cause: Undecryptable) -> Result<()> {
        let sql = format!(
            "UPDATE message SET cause = ?2 WHERE id = (SELECT message_id FROM deferred WHERE id = ?1)
                AND kind = {KIND_UNDECRYPTABLE} AND cause IN (?3, ?4) AND cause <> ?2 RETURNING id"
        );
        let [damaged, awaits] = [Undecryptable::StorageDamaged, Undecryptable::AwaitsSenderKey];
        let values = params![id.0, cause.to_stored(), damaged.to_stored(), awaits.to_stored()];
        let message: Option<i64> =
            self.connection.prepare_cached(&sql)?.query_row(values, |row| row.get(0)).optional()?;
        let unrepresented = self.unrepresented_place(id)?;
        self.forget_deferred(id)?;
        if let Some(message) = message {
            self.emit_changed(MessageId(message))?;
        }
        if let Some((thread, epoch, server_seq)) = unrepresented {
            self.miss(thread, epoch, server_seq)?;
        }
        Ok(())
    }

    /// Gives up the envelopes that were deferred before `before_ms`.
    pub(super) fn expire_deferred(&mut self, before_ms: u64) -> Result<()> {
        let sql = "SELECT min(id) FROM deferred WHERE at < ?1 HAVING count(*) > 0";
        while let Some(old) = self.deferred_over(sql, params![to_sql(before_ms)?])? {
            self.give_up_deferred(old, Undecryptable::NotDecryptable)?;
        }
        Ok(())
    }

    fn drop_oldest(&mut self, id: DeferredId) -> Result<()> {
        tracing::warn!("too many envelopes could not be processed: the oldest is given up");
        self.give_up_deferred(id, Undecryptable::NotDecryptable)
    }

    /// The thread, epoch and sequence number of an envelope that no message represents.
    fn unrepresented_place(&self, id: DeferredId) -> Result<Option<(ThreadId, u64, u64)>> {
        let sql = "SELECT thread_id, epoch, server_seq, envelope FROM deferred WHERE id = ?1 AND message_id IS NULL";
        let place = self.connection.prepare_cached(sql)?.query_row([id.0], |row| {
            let place: (Option<i64>, Option<i64>) = (row.get(1)?, row.get(2)?);
            Ok((row.get::<_, Vec<u8>>(0)?, place, row.get(3)?))
        });
        match place.optional()? {
            Some((thread, (Some(epoch), Some(server_seq)), _)) => {
                Ok(Some((ThreadId::from_slice(&thread)?, from_sql(epoch)?, from_sql(server_seq)?)))
            }
            Some((_, _, envelope)) => Ok(place_of(envelope)),
            None => Ok(None),
        }
    }

    fn deferred_over(&self, sql: &str, params: impl rusqlite::Params) -> Result<Option<DeferredId>> {
        let id: Option<Option<i64>> =
            self.connection.prepare_cached(sql)?.query_row(params, |row| row.get(0)).optional()?;
        Ok(id.flatten().map(DeferredId))
    }
}

/// The thread, epoch and sequence number of a stored envelope, in a row that has no columns for them because an earlier version
/// wrote it.
fn place_of(envelope: Vec<u8>) -> Option<(ThreadId, u64, u64)> {
    let frame: wire::Frame = wire::decode(envelope.into()).ok()?;
    let Some(wire::frame::Body::Deliver(deliver)) = frame.body else { return None };
    let key = deliver.key?;
    Some((ThreadId::from_slice(&key.thread_id).ok()?, deliver.epoch, key.server_seq))
}
