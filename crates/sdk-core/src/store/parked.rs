//! The envelopes that were opened, and those that could not be.
//!
//! Only an envelope that was opened counts as handled. It is recognised by its bytes, because the id that the relay
//! states proves nothing. An envelope that could not be opened is parked, together with the message that represents
//! it, under the id that the relay stated. If another envelope with the same id can be opened later, its message
//! replaces that one.

use rusqlite::{OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};

use super::{NewIncoming, Rows, Tx, to_sql};
use crate::error::Result;
use crate::id::{ClientMsgId, MessageId, ThreadId, UserId};
use crate::message::Undecryptable;

/// Identifies a ciphertext by the first 16 bytes of its SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CiphertextId([u8; 16]);

impl CiphertextId {
    pub(crate) fn of(ciphertext: &[u8]) -> Self {
        let digest = Sha256::digest(ciphertext);
        Self(std::array::from_fn(|at| digest.get(at).copied().unwrap_or_default()))
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// The position and the id of an envelope, as stated by the relay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EnvelopeName {
    pub(crate) thread: ThreadId,
    pub(crate) sender: UserId,
    pub(crate) id: ClientMsgId,
}

/// An envelope that could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parked {
    pub(crate) message: MessageId,
    pub(crate) ciphertext: CiphertextId,
}

impl Rows<'_> {
    /// Whether exactly these bytes were opened before.
    pub(crate) fn was_opened(&self, ciphertext: CiphertextId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM opened WHERE ciphertext = ?1)";
        Ok(self.connection.prepare_cached(sql)?.query_row([ciphertext.0], |row| row.get(0))?)
    }

    /// Whether an envelope of this sender whose key had been used before was parked since this time.
    pub(crate) fn has_reused_keys_since(
        &self,
        thread: ThreadId,
        sender: UserId,
        since_ms: u64,
    ) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM parked JOIN message ON message.id = parked.message_id
                   WHERE parked.thread_id = ?1 AND parked.sender = ?2 AND parked.at >= ?3 AND message.cause = ?4)";
        let cause = Undecryptable::KeyUsedTwice.to_stored();
        let values = params![thread.as_bytes(), sender.as_bytes(), to_sql(since_ms)?, cause];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }

    /// The envelope that was parked with this id.
    pub(crate) fn parked(&self, name: EnvelopeName) -> Result<Option<Parked>> {
        let sql =
            "SELECT message_id, ciphertext FROM parked WHERE thread_id = ?1 AND sender = ?2 AND told_id = ?3";
        let key = params![name.thread.as_bytes(), name.sender.as_bytes(), name.id.as_bytes()];
        let row = self.connection.prepare_cached(sql)?.query_row(key, |row| {
            Ok(Parked { message: MessageId(row.get(0)?), ciphertext: CiphertextId(row.get(1)?) })
        });
        Ok(row.optional()?)
    }
}

impl Tx<'_> {
    /// Records that these bytes were opened; the effect of their content is in the same transaction. They are not tried
    /// again.
    pub(crate) fn set_opened(&mut self, ciphertext: CiphertextId, now_ms: u64) -> Result<()> {
        self.change(
            "INSERT INTO opened (ciphertext, at) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            params![ciphertext.0, to_sql(now_ms)?],
        )?;
        self.change("DELETE FROM deferred WHERE ciphertext = ?1", [ciphertext.0])?;
        Ok(())
    }

    /// Parks an envelope that could not be opened, with a message that represents it. If one is already parked with
    /// this id, its message is kept: it is the same envelope again, or another damaged copy. Returns the message.
    pub(crate) fn park(
        &mut self,
        name: EnvelopeName,
        ciphertext: CiphertextId,
        placeholder: &NewIncoming,
        now_ms: u64,
    ) -> Result<MessageId> {
        if let Some(parked) = self.parked(name)? {
            return Ok(parked.message);
        }
        let message = self.insert_incoming(placeholder)?;
        self.change_one(
            "INSERT INTO parked (thread_id, sender, told_id, ciphertext, message_id, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                name.thread.as_bytes(),
                name.sender.as_bytes(),
                name.id.as_bytes(),
                ciphertext.0,
                message.0,
                to_sql(now_ms)?,
            ],
        )?;
        Ok(message)
    }

    /// The intact envelope has arrived. Returns the message that represented it, if there was one.
    pub(crate) fn unpark(&mut self, name: EnvelopeName) -> Result<Option<MessageId>> {
        let Some(Parked { message, .. }) = self.parked(name)? else { return Ok(None) };
        self.change_one("DELETE FROM parked WHERE message_id = ?1", [message.0])?;
        Ok(Some(message))
    }

    /// Forgets envelopes that the relay can no longer deliver.
    pub(crate) fn forget_opened(&mut self, before_ms: u64) -> Result<()> {
        self.expire_deferred(before_ms)?;
        self.forget_applied(before_ms)?;
        self.change("DELETE FROM opened WHERE at < ?1", [to_sql(before_ms)?])?;
        self.change("DELETE FROM parked WHERE at < ?1", [to_sql(before_ms)?])?;
        Ok(())
    }
}
