//! An account that has been left: what the relay still has to be told, and what is removed here.
//!
//! Secrets are removed in the transaction in which the account is left. The tokens and the login key are the exception: they
//! are needed to tell the relay, and are removed when it has answered. Until then the account row records what is still to be
//! done, so that neither a crash nor an outage undoes it.

use rusqlite::{OptionalExtension as _, params};

use super::{Clocks, Rows, Tx, from_sql, narrow};
use crate::error::{Error, Result, Storage};
use crate::id::{DeviceId, MessageId, UserId};
use crate::message::FailReason;
use crate::store::Registered;

/// The request that tells the relay that the account was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaveRequest {
    /// The relay ends the tokens of this device.
    LogOut,
    /// The relay deletes the account.
    DeleteAccount,
}

/// Whether the account has been left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccountStatus {
    /// The account has not been left.
    Present,
    /// The account has been left, and the relay still has to be told.
    Leaving(LeaveRequest),
    /// The account has been left, and nothing remains to be done.
    Left,
}

/// A registered account, and whether it has been left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredAccount {
    pub(crate) registered: Registered,
    pub(crate) status: AccountStatus,
}

const PRESENT: i64 = 0;
const LOGGING_OUT: i64 = 1;
const DELETING: i64 = 2;
const LEFT: i64 = 3;
/// Added to the value if the history is kept.
const HISTORY: i64 = 10;

impl Rows<'_> {
    /// The account of this database (`None` before the registration), and what is known about the clocks.
    pub(crate) fn stored_account(&self) -> Result<(Option<StoredAccount>, Clocks)> {
        let sql = "SELECT user_id, device_id, leaving % 10, clock_offset, passed FROM account";
        let row = self.connection.prepare_cached(sql)?.query_row([], |row| {
            Ok((
                row.get::<_, Option<Vec<u8>>>(0)?,
                row.get::<_, Option<i64>>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, i64>(3)?,
                row.get::<_, i64>(4)?,
            ))
        });
        let Some((user, device, leaving, offset_ms, passed)) = row.optional()? else {
            return Ok((None, Clocks::default()));
        };
        let clocks = Clocks { offset_ms, passed_ms: from_sql(passed)? };
        let (Some(user), Some(device)) = (user, device) else { return Ok((None, clocks)) };
        let registered =
            Registered { user: UserId::from_slice(&user)?, device: DeviceId::new(narrow(device)?)? };
        let status = match leaving {
            PRESENT => AccountStatus::Present,
            LOGGING_OUT => AccountStatus::Leaving(LeaveRequest::LogOut),
            DELETING => AccountStatus::Leaving(LeaveRequest::DeleteAccount),
            LEFT => AccountStatus::Left,
            _ => return Err(Error::Storage(Storage::Corrupt)),
        };
        Ok((Some(StoredAccount { registered, status }), clocks))
    }

    /// Whether the account has been left and therefore has no keys any more.
    pub(crate) fn has_left(&self) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM account WHERE leaving <> 0)";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Leaves the account. Removes all secrets except the tokens and the login key, and marks messages that wait to be sent as failed.
    ///
    /// # Errors
    /// Returns [`Error::Unauthorized`] if an account is to be deleted after this device was logged out, because the
    /// device can no longer authenticate itself.
    pub(crate) fn leave(&mut self, request: LeaveRequest, keeps_history: bool) -> Result<AccountStatus> {
        let (account, _) = self.stored_account()?;
        let status = account.ok_or(Error::Bug("not registered"))?.status;
        let next = match (status, request) {
            (AccountStatus::Left, LeaveRequest::DeleteAccount) => return Err(Error::Unauthorized),
            (AccountStatus::Left, LeaveRequest::LogOut) => AccountStatus::Left,
            // A deletion that has begun is not withdrawn.
            (AccountStatus::Leaving(LeaveRequest::DeleteAccount), _) => {
                AccountStatus::Leaving(LeaveRequest::DeleteAccount)
            }
            (AccountStatus::Present | AccountStatus::Leaving(LeaveRequest::LogOut), request) => {
                AccountStatus::Leaving(request)
            }
        };
        self.remove_keys()?;
        if !keeps_history {
            self.remove_history()?;
        }
        let code = match next {
            AccountStatus::Leaving(LeaveRequest::LogOut) => LOGGING_OUT,
            AccountStatus::Leaving(LeaveRequest::DeleteAccount) => DELETING,
            AccountStatus::Left | AccountStatus::Present => LEFT,
        };
        // A history that was removed earlier cannot be kept.
        self.change_one(
            "UPDATE account SET leaving = ?1 + iif(?2 AND (leaving = 0 OR leaving >= 10), 10, 0)",
            params![code, keeps_history],
        )?;
        if next == AccountStatus::Left {
            self.set_left()?;
        }
        Ok(next)
    }

    /// Records that the relay has been told or no longer accepts this device. If the history is not kept, the
    /// database is then like a new one.
    pub(crate) fn set_left(&mut self) -> Result<()> {
        let code = LEFT.saturating_add(HISTORY);
        self.change(
            "UPDATE account SET leaving = ?1, access_token = NULL, access_expires = NULL, refresh_token = NULL,
                exchange = NULL, login_key = NULL, registration_tag = NULL WHERE leaving >= 10",
            [code],
        )?;
        self.change("DELETE FROM account WHERE leaving BETWEEN 1 AND 9", [])?;
        Ok(())
    }

    fn remove_keys(&mut self) -> Result<()> {
        let failed = "UPDATE message SET state = 4, cause = ?1 WHERE id IN (
                SELECT message_id FROM outgoing WHERE state < 3 AND message_id IS NOT NULL) AND state = 0";
        self.change(failed, [FailReason::LoggedOut.to_stored()])?;
        self.erase_all_deleted()?;
        for table in [
            "outgoing",
            "lane",
            "mail",
            "session",
            "skipped_key",
            "signed_pre_key",
            "one_time_pre_key",
            "kem_pre_key",
            "last_resort_use",
            "opened",
            "deferred",
            "generation",
            "own_link",
            "account_move",
            "revocation",
        ] {
            self.change(&format!("DELETE FROM {table}"), [])?;
        }
        self.change_one("UPDATE account SET identity = x'', account_key = NULL, registration_id = 0", [])
    }

    fn remove_history(&mut self) -> Result<()> {
        let newest = self.last_message()?;
        for table in [
            "parked",
            "message",
            "seen_ahead",
            "thread",
            "device",
            "replaced_identity",
            "device_list",
            "own_device",
            "replaced_account_key",
            "contact",
            "privacy",
            "last_seen",
        ] {
            self.change(&format!("DELETE FROM {table}"), [])?;
        }
        self.change("INSERT INTO search (search) VALUES ('delete-all')", [])?;
        let MessageId(newest) = newest;
        self.change_one("UPDATE account SET indexed_after = ?1, indexed_up_to = ?1", [newest])
    }
}
