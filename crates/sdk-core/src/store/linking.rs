//! A companion that is being linked, before it has an account: what it needs to continue after its process has ended.

use rusqlite::{OptionalExtension as _, params};
use sealpost_protocol::device::VerifiedDeviceList;
use sealpost_protocol::device::link::LinkKeys;
use zeroize::Zeroizing;

use super::{Rows, Tx, narrow};
use crate::error::Result;

/// A new attempt to be linked.
pub(crate) struct NewAttempt {
    pub(crate) keys: LinkKeys,
    pub(crate) relay_secret: Vec<u8>,
    pub(crate) name: String,
    pub(crate) registration_id: u32,
}

/// The attempt as it is stored.
pub(crate) struct LinkAttempt {
    pub(crate) keys: LinkKeys,
    pub(crate) relay_secret: Zeroizing<Vec<u8>>,
    pub(crate) name: String,
    pub(crate) registration_id: u32,
    /// What the primary device has sent, and what is sent to it.
    pub(crate) exchanged: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) nonce: Option<Vec<u8>>,
    /// The list with this companion.
    pub(crate) released: Option<Vec<u8>>,
}

impl Rows<'_> {
    pub(crate) fn link_attempt(&self) -> Result<Option<LinkAttempt>> {
        let sql =
            "SELECT keys, relay_secret, name, registration_id, offer, answer, nonce, released FROM linking";
        let row = self.connection.prepare_cached(sql)?.query_row([], |row| {
            let keys = Zeroizing::new(row.get::<_, Vec<u8>>(0)?);
            let relay_secret = Zeroizing::new(row.get::<_, Vec<u8>>(1)?);
            let (offer, answer): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(4)?, row.get(5)?);
            let rest = (row.get::<_, String>(2)?, row.get::<_, i64>(3)?, row.get(6)?, row.get(7)?);
            Ok((keys, relay_secret, offer.zip(answer), rest))
        });
        let Some((keys, relay_secret, exchanged, rest)) = row.optional()? else { return Ok(None) };
        let (name, registration_id, nonce, released) = rest;
        let (keys, registration_id) = (LinkKeys::from_bytes(&keys)?, narrow(registration_id)?);
        Ok(Some(LinkAttempt { keys, relay_secret, name, registration_id, exchanged, nonce, released }))
    }
}

impl Tx<'_> {
    /// Begins an attempt. What an unfinished registration has left is removed.
    pub(crate) fn begin_attempt(&mut self, attempt: &NewAttempt) -> Result<()> {
        self.end_attempt()?;
        let NewAttempt { keys, relay_secret, name, registration_id } = attempt;
        self.change_one(
            "INSERT INTO linking (only, keys, relay_secret, name, registration_id) VALUES (1, ?1, ?2, ?3, ?4)",
            params![&*keys.to_bytes(), relay_secret, name, registration_id],
        )
    }

    pub(crate) fn set_exchanged(&mut self, offer: &[u8], answer: &[u8]) -> Result<()> {
        self.change_one("UPDATE linking SET offer = ?1, answer = ?2", params![offer, answer])
    }

    pub(crate) fn set_link_nonce(&mut self, nonce: &[u8]) -> Result<()> {
        self.change_one("UPDATE linking SET nonce = ?1", [nonce])
    }

    /// The companion is on the list. From now on it has an identity, as a device that is being registered.
    pub(crate) fn set_released(&mut self, list: &VerifiedDeviceList) -> Result<()> {
        self.change_one("UPDATE linking SET released = ?1", [list.serialize()])?;
        if let Some(attempt) = self.link_attempt()?
            && self.account()?.is_none()
        {
            self.insert_account(attempt.keys.identity(), attempt.registration_id)?;
        }
        Ok(())
    }

    /// The attempt has led to an account.
    pub(crate) fn finish_attempt(&mut self) -> Result<()> {
        self.change_one("DELETE FROM linking", [])
    }

    /// Removes everything of an attempt, and of an account that was never registered.
    pub(crate) fn end_attempt(&mut self) -> Result<()> {
        self.change("DELETE FROM linking", [])?;
        if self.change("DELETE FROM account WHERE user_id IS NULL", [])? > 0 {
            for table in ["signed_pre_key", "one_time_pre_key", "kem_pre_key"] {
                self.change(&format!("DELETE FROM {table}"), [])?;
            }
        }
        Ok(())
    }
}
