//! Leaving an account.

use sealpost_core as core;

use super::Client;
use crate::{Result, runtime};

/// What becomes of the messages here when an account is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum History {
    /// They stay, and can be read and searched, also when the database is opened again: the client is signed out.
    Keep,
    /// They are deleted, with everything else. Once the relay has been told, the database is as new.
    Delete,
}

/// How far leaving has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Departure {
    /// The relay knows.
    Complete,
    /// The relay cannot be reached. It is told as soon as it can be, by this client or by the next one that opens the database;
    /// the file must not be deleted until then.
    RelayPending,
}

#[uniffi::export]
impl Client {
    /// Leaves the account on this device: its tokens end at the relay, and its keys are deleted here. Messages that wait to be sent
    /// fail with the reason `LoggedOut`. The account stays, but this device can never use it again. It cannot be undone.
    /// From here on, calls that need the account throw `Unauthorized`; reading goes on.
    ///
    /// Throws `Storage`; `Misuse` while the client is suspended.
    pub async fn log_out(&self, history: History) -> Result<Departure> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.log_out(history.into()).await?.into()) }).await
    }

    /// Deletes the account: at the relay, its keys, mailboxes and tokens are deleted and all its devices are disconnected at once;
    /// here, as `log_out`. Whoever writes to it is told with the reason `RecipientDeleted`.
    ///
    /// Throws as `log_out`, and `Unauthorized` after it.
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
