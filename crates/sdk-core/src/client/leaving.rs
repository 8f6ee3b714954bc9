//! Leaving an account.

use std::time::Duration;

use tokio::time::timeout;

use super::Client;
use crate::account::{leaving, tokens};
use crate::error::{Error, Result};
use crate::event::ConnectionState;
use crate::store::{Farewell, Standing};
use crate::sync::Tasks;

/// How long the relay is waited for before the rest is left to later.
const PATIENCE: Duration = Duration::from_secs(10);

/// What becomes of the messages here when an account is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// They stay, and can be read and searched: the client goes on as
    /// [`SignedOut`](crate::ConnectionState::SignedOut), also when it is opened again.
    Keep,
    /// They are deleted, with everything else. Once the relay has been told, the database is as new: opened again, it is
    /// [`Unregistered`](crate::Opened::Unregistered).
    Delete,
}

/// How far leaving has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// The relay knows.
    Complete,
    /// The relay cannot be reached. It is told as soon as it can be, by this client or by the next one that opens the
    /// database; the file must not be deleted until then.
    RelayPending,
}

impl Client {
    /// Leaves the account on this device: its tokens end at the relay, and its keys are deleted here. Messages that wait to be sent
    /// fail with [`LoggedOut`](crate::FailReason::LoggedOut). The account stays, and so does its mailbox; this device
    /// can never use them again. It cannot be undone, and a crash does not undo it.
    ///
    /// From here on, calls that need the account fail with [`Error::Unauthorized`]; reading goes on.
    ///
    /// # Errors
    /// [`Error::Storage`]; [`Error::Misuse`] while the client is suspended.
    pub async fn log_out(&self, history: History) -> Result<Departure> {
        self.leave(Farewell::LogOut, history).await
    }

    /// Deletes the account: at the relay, its keys, mailboxes and tokens are deleted and all its devices are disconnected at once; here, as
    /// [`log_out`](Self::log_out). Whoever writes to it is told with
    /// [`RecipientDeleted`](crate::FailReason::RecipientDeleted). What others have received stays with them.
    ///
    /// # Errors
    /// As [`log_out`](Self::log_out), and [`Error::Unauthorized`] after it: this device has nothing left to prove itself with.
    pub async fn delete_account(&self, history: History) -> Result<Departure> {
        self.leave(Farewell::DeleteAccount, history).await
    }

    async fn leave(&self, farewell: Farewell, history: History) -> Result<Departure> {
        self.finish_here(move |inner| async move {
            let mut tasks = inner.tasks.lock().await;
            // Its answer has the tokens with which the relay is told.
            let exchanged = tokens::wait_for_exchange(&inner.ctx).await;
            let standing = leaving::leave(&inner.ctx, farewell, history == History::Keep).await?;
            if let Some(tasks) = tasks.take() {
                tasks.stop().await;
            }
            drop(exchanged);
            inner.ctx.transport.go_offline();
            inner.state.set(ConnectionState::SignedOut);
            let told = match timeout(PATIENCE, leaving::tell(&inner.ctx)).await {
                Ok(Err(error @ Error::Storage(_))) => Err(error),
                Ok(Ok(())) => Ok(Departure::Complete),
                Ok(Err(_)) | Err(_) => Ok(Departure::RelayPending),
            };
            let left = if told == Ok(Departure::Complete) { Standing::Left } else { standing };
            *tasks = Some(Tasks::start_for(left, &inner.ctx, &inner.state));
            told
        })
        .await
    }
}
