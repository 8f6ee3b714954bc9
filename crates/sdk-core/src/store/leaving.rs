//! An account that the person has left: what has to be told to the relay, and what is removed here.
//!
//! Secrets go in the transaction in which the person leaves, except the tokens, with which the relay is told; they go when
//! it has answered. Until then the account row says what is still to be done, so that neither a crash nor an outage undoes it.

use rusqlite::{OptionalExtension as _, params};

use super::{Rows, Tx, narrow};
use crate::error::{Error, Result, Storage};
use crate::id::{DeviceId, MessageId, UserId};
use crate::message::FailReason;
use crate::store::Registered;

/// What the relay is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// The tokens of this device end.
    LogOut,
    /// The account is deleted.
    DeleteAccount,
}

/// Whether the person has left the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// They have not.
    Present,
    /// They have, and the relay is still to be told.
    Leaving(Farewell),
    /// They have, and nothing is left to do.
    Left,
}

/// What is known at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Occupant {
    pub(crate) registered: Registered,
    pub(crate) standing: Standing,
}

const PRESENT: i64 = 0;
const LOGGING_OUT: i64 = 1;
const DELETING: i64 = 2;
const LEFT: i64 = 3;
/// Added while the history is kept.
const HISTORY: i64 = 10;

impl Rows<'_> {
    /// Whose database this is, and the offset of the clock; none before the registration.
    pub(crate) fn occupant(&self) -> Result<(Option<Occupant>, i64)> {
        let sql = "SELECT user_id, device_id, leaving % 10, clock_offset FROM account";
        let row = self.connection.prepare_cached(sql)?.query_row([], |row| {
            Ok((
                row.get::<_, Option<Vec<u8>>>(0)?,
                row.get::<_, Option<i64>>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, i64>(3)?,
            ))
        });
        let Some((user, device, leaving, clock_offset_ms)) = row.optional()? else { return Ok((None, 0)) };
        let (Some(user), Some(device)) = (user, device) else { return Ok((None, clock_offset_ms)) };
        let registered =
            Registered { user: UserId::from_slice(&user)?, device: DeviceId::new(narrow(device)?)? };
        let standing = match leaving {
            PRESENT => Standing::Present,
            LOGGING_OUT => Standing::Leaving(Farewell::LogOut),
            DELETING => Standing::Leaving(Farewell::DeleteAccount),
            LEFT => Standing::Left,
            _ => return Err(Error::Storage(Storage::Corrupt)),
        };
        Ok((Some(Occupant { registered, standing }), clock_offset_ms))
    }

    /// Whether the person has left the account: then it has no keys any more.
    pub(crate) fn has_left(&self) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM account WHERE leaving <> 0)";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// The person leaves the account. Everything secret is removed, except the tokens. What waits to be sent has failed.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] to delete an account after this device was logged out: it has nothing left to prove itself with.
    pub(crate) fn leave(&mut self, farewell: Farewell, keeps_history: bool) -> Result<Standing> {
        let (occupant, _) = self.occupant()?;
        let standing = occupant.ok_or(Error::Bug("not registered"))?.standing;
        let next = match (standing, farewell) {
            (Standing::Left, Farewell::DeleteAccount) => return Err(Error::Unauthorized),
            (Standing::Left, Farewell::LogOut) => Standing::Left,
            // A deletion that has begun is not taken back.
            (Standing::Leaving(Farewell::DeleteAccount), _) => Standing::Leaving(Farewell::DeleteAccount),
            (Standing::Present | Standing::Leaving(Farewell::LogOut), farewell) => {
                Standing::Leaving(farewell)
            }
        };
        self.remove_keys()?;
        if !keeps_history {
            self.remove_history()?;
        }
        let code = match next {
            Standing::Leaving(Farewell::LogOut) => LOGGING_OUT,
            Standing::Leaving(Farewell::DeleteAccount) => DELETING,
            Standing::Left | Standing::Present => LEFT,
        };
        // History that was removed before is not there to be kept.
        self.change_one(
            "UPDATE account SET leaving = ?1 + iif(?2 AND (leaving = 0 OR leaving >= 10), 10, 0)",
            params![code, keeps_history],
        )?;
        if next == Standing::Left {
            self.set_left()?;
        }
        Ok(next)
    }

    /// The relay has been told, or would not listen to this device any more. Without a history, the database is as new.
    pub(crate) fn set_left(&mut self) -> Result<()> {
        let code = LEFT.saturating_add(HISTORY);
        self.change(
            "UPDATE account SET leaving = ?1, access_token = NULL, access_expires = NULL, refresh_token = NULL,
                exchange = NULL WHERE leaving >= 10",
            [code],
        )?;
        self.change("DELETE FROM account WHERE leaving BETWEEN 1 AND 9", [])?;
        Ok(())
    }

    fn remove_keys(&mut self) -> Result<()> {
        let failed = "UPDATE message SET state = 4, cause = ?1 WHERE id IN (
                SELECT message_id FROM outgoing WHERE state < 3 AND message_id IS NOT NULL) AND state = 0";
        self.change(failed, [FailReason::LoggedOut.to_stored()])?;
        for table in [
            "outgoing",
            "lane",
            "session",
            "skipped_key",
            "signed_pre_key",
            "one_time_pre_key",
            "kem_pre_key",
            "last_resort_use",
            "opened",
        ] {
            self.change(&format!("DELETE FROM {table}"), [])?;
        }
        self.change_one("UPDATE account SET identity = x'', registration_id = 0", [])
    }

    fn remove_history(&mut self) -> Result<()> {
        let newest = self.last_message()?;
        for table in ["parked", "message", "seen_ahead", "thread", "device", "replaced_identity", "contact"] {
            self.change(&format!("DELETE FROM {table}"), [])?;
        }
        self.change("INSERT INTO search (search) VALUES ('delete-all')", [])?;
        let MessageId(newest) = newest;
        self.change_one("UPDATE account SET indexed_after = ?1, indexed_up_to = ?1", [newest])
    }
}
