//! What was opened, and what could not be.
//!
//! Only what was opened counts as handled, and it is known by its bytes: the relay's word for an id proves nothing. What could
//! not be opened is parked beside the message that stands for it, under the id that the relay told; if the true one comes under
//! the same id, it takes that place.

use rusqlite::{OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};

use super::{NewIncoming, Rows, Tx, to_sql};
use crate::error::Result;
use crate::id::{ClientMsgId, MessageId, ThreadId, UserId};

/// Names a ciphertext: the first 16 bytes of its SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CiphertextId([u8; 16]);

impl CiphertextId {
    pub(crate) fn of(ciphertext: &[u8]) -> Self {
        let digest = Sha256::digest(ciphertext);
        Self(std::array::from_fn(|at| digest.get(at).copied().unwrap_or_default()))
    }
}

/// Where an envelope was, and under which name, says the relay.
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
    /// Whether these very bytes were opened before.
    pub(crate) fn was_opened(&self, ciphertext: CiphertextId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM opened WHERE ciphertext = ?1)";
        Ok(self.connection.prepare_cached(sql)?.query_row([ciphertext.0], |row| row.get(0))?)
    }

    /// What was parked under this name.
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
    /// These bytes were opened, and what was inside has its effect in this transaction.
    pub(crate) fn set_opened(&mut self, ciphertext: CiphertextId, now_ms: u64) -> Result<()> {
        self.change(
            "INSERT INTO opened (ciphertext, at) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            params![ciphertext.0, to_sql(now_ms)?],
        )?;
        Ok(())
    }

    /// Parks what could not be opened, with a message that stands for it. One that is parked under this name already keeps its
    /// message: it is the same envelope once more, or another damaged copy.
    pub(crate) fn park(
        &mut self,
        name: EnvelopeName,
        ciphertext: CiphertextId,
        placeholder: &NewIncoming,
        now_ms: u64,
    ) -> Result<()> {
        if self.parked(name)?.is_some() {
            return Ok(());
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
        )
    }

    /// The true one is here: the message that stood for it, if one did.
    pub(crate) fn unpark(&mut self, name: EnvelopeName) -> Result<Option<MessageId>> {
        let Some(Parked { message, .. }) = self.parked(name)? else { return Ok(None) };
        self.change_one("DELETE FROM parked WHERE message_id = ?1", [message.0])?;
        Ok(Some(message))
    }

    /// Forgets what the relay can not deliver again.
    pub(crate) fn forget_opened(&mut self, before_ms: u64) -> Result<()> {
        self.change("DELETE FROM opened WHERE at < ?1", [to_sql(before_ms)?])?;
        self.change("DELETE FROM parked WHERE at < ?1", [to_sql(before_ms)?])?;
        Ok(())
    }
}
