//! Leaving an account.

use sealpost_core as core;

use super::Client;
use crate::{Result, runtime};

/// What to do with the messages on this device when the account is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum History {
    /// Keep them. They can still be read and searched, also when the database is opened again. The client is then
    /// signed out.
    Keep,
    /// Delete them, together with everything else. Once the relay has been told, the database is like a new one.
    Delete,
}

/// Whether the relay has been told that the account was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Departure {
    /// The relay has been told.
    Complete,
    /// The relay could not be reached. It will be told as soon as it can be, by this client or by the next one that
    /// opens the database. The file must not be deleted before that.
    RelayPending,
}

#[uniffi::export]
impl Client {
    /// Logs out this device: the relay ends its tokens, and its keys are deleted here. Messages that wait to be sent
    /// fail with the reason `LoggedOut`. The account continues to exist, but this device can never use it again. A companion
    /// leaves the account: its mailbox is deleted, and the primary device signs a list without it. This cannot be undone. From now on, calls that need the account throw `Unauthorized`. Messages can still be read.
    ///
    /// Throws `Storage`, or `Misuse` while the client is suspended.
    pub async fn log_out(&self, history: History) -> Result<Departure> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.log_out(history.into()).await?.into()) }).await
    }

    /// Deletes the account. The relay deletes its keys, mailboxes and tokens, and disconnects all its devices at
    /// once. On this device, the effect is that of `log_out`. Messages that others send to the account fail with the
    /// reason `RecipientDeleted`.
    ///
    /// Throws the errors of `log_out`, `Link` with `NotPrimary` on a companion, and `Unauthorized` after logging out.
    pub async fn delete_account(&self, history: History) -> Result<Departure> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.delete_account(history.into()).await?.into()) }).await
    }
}

impl From<History> for core::History {
    fn from(history: History) -> Self {
        match history {
            History::Keep => Self::Keep,
            History::Delete => Self::Delete,
        }
    }
}

impl From<core::Departure> for Departure {
    fn from(departure: core::Departure) -> Self {
        match departure {
            core::Departure::Complete => Self::Complete,
            core::Departure::RelayPending => Self::RelayPending,
        }
    }
}
