//! Leaving an account.

use std::time::Duration;

use tokio::time::timeout;

use super::Client;
use crate::account::{leaving, tokens};
use crate::error::{Error, LinkFailure, Result};
use crate::event::ConnectionState;
use crate::store::{AccountStatus, LeaveRequest};
use crate::sync::Tasks;

/// How long to wait for the relay before telling it is left to the background.
const RELAY_TIMEOUT: Duration = Duration::from_secs(10);

/// What to do with the messages on this device when the account is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// Keep them. They can still be read and searched. The client continues as
    /// [`SignedOut`](crate::ConnectionState::SignedOut), also after it is opened again.
    Keep,
    /// Delete them, together with everything else. Once the relay has been told, the database is like a new one, and
    /// opening it again gives [`Unregistered`](crate::Opened::Unregistered).
    Delete,
}

/// Whether the relay has been told that the account was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// The relay has been told.
    Complete,
    /// The relay could not be reached. It will be told as soon as it can be, by this client or by the next one that
    /// opens the database. The file must not be deleted before that.
    RelayPending,
}

impl Client {
    /// Logs out this device: the relay ends its tokens, and its keys are deleted here. Messages that wait to be sent
    /// fail with [`LoggedOut`](crate::FailReason::LoggedOut). The account and its mailbox continue to exist, but this
    /// device can never use them again. A companion leaves the account: its mailbox is deleted, and the primary device signs a list
    /// without it. This cannot be undone, and a crash does not undo it.
    ///
    /// From now on, calls that need the account fail with [`Error::Unauthorized`]. Messages can still be read.
    ///
    /// # Errors
    /// Returns [`Error::Storage`], or [`Error::Misuse`] while the client is suspended.
    pub async fn log_out(&self, history: History) -> Result<Departure> {
        self.leave(LeaveRequest::LogOut, history).await
    }

    /// Deletes the account. The relay deletes its keys, mailboxes and tokens, and disconnects all its devices at
    /// once. On this device, the effect is that of [`log_out`](Self::log_out). Messages that others send to the
    /// account fail with [`RecipientDeleted`](crate::FailReason::RecipientDeleted). Messages that others have already
    /// received are not affected.
    ///
    /// # Errors
    /// Returns the errors of [`log_out`](Self::log_out), [`Error::Link`] on a companion, and [`Error::Unauthorized`] after logging out, because this
    /// device can no longer authenticate itself.
    pub async fn delete_account(&self, history: History) -> Result<Departure> {
        self.leave(LeaveRequest::DeleteAccount, history).await
    }

    async fn leave(&self, request: LeaveRequest, history: History) -> Result<Departure> {
        let is_primary = self.inner.ctx.store.read(|rows| rows.holds_account_key());
        if request == LeaveRequest::DeleteAccount && !is_primary.await? {
            return Err(LinkFailure::NotPrimary.into());
        }
        self.finish_here(move |inner| async move {
            let mut tasks = inner.tasks.lock().await;
            // The answer to a running exchange contains the tokens with which the relay is told.
            let exchanged = tokens::wait_for_exchange(&inner.ctx).await;
            let status = leaving::leave(&inner.ctx, request, history == History::Keep).await?;
            if let Some(tasks) = tasks.take() {
                tasks.stop().await;
            }
            drop(exchanged);
            inner.ctx.transport.go_offline();
            inner.state.set(ConnectionState::SignedOut);
            let told = match timeout(RELAY_TIMEOUT, leaving::tell(&inner.ctx)).await {
                Ok(Err(error @ Error::Storage(_))) => Err(error),
                Ok(Ok(())) => Ok(Departure::Complete),
                Ok(Err(_)) | Err(_) => Ok(Departure::RelayPending),
            };
            let left = if told == Ok(Departure::Complete) { AccountStatus::Left } else { status };
            *tasks = Some(Tasks::start_for(left, &inner.ctx, &inner.state));
            told
        })
        .await
    }
}
