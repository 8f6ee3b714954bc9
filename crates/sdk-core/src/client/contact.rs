//! The handle of a contact.

use super::Client;
use crate::contact;
use crate::error::Result;
use crate::id::UserId;
use crate::store::TrustState;

/// Another user.
#[derive(Debug, Clone)]
pub struct Contact {
    client: Client,
    user: UserId,
}

impl Contact {
    pub(super) fn new(client: Client, user: UserId) -> Self {
        Self { client, user }
    }

    /// The user's id.
    pub fn user_id(&self) -> UserId {
        self.user
    }

    /// The safety number that two people compare: 60 digits, the same on both sides.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) before the first message in either direction,
    /// [`Error::Misuse`](crate::Error::Misuse) for oneself, [`Error::Storage`](crate::Error::Storage).
    pub async fn safety_number(&self) -> Result<String> {
        contact::safety_number(&self.client.inner.ctx, self.user).await
    }

    /// How far the person trusts this contact.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound), [`Error::Storage`](crate::Error::Storage).
    pub async fn trust(&self) -> Result<TrustState> {
        contact::trust(&self.client.inner.ctx, self.user).await
    }

    /// Records that the person has compared this safety number and that it was the same on both sides. The digits may
    /// be of any script, and spaces, line breaks and dashes between them are ignored. Returns false if it is not the
    /// current number any more; it must then be compared again. From now on, a change stops sends to this contact.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound), [`Error::Storage`](crate::Error::Storage).
    pub async fn verify(&self, compared: &str) -> Result<bool> {
        contact::verify(&self.client.inner.ctx, self.user, compared.to_owned()).await
    }

    /// Records that the person accepts a changed safety number without comparing it. Failed messages can then be
    /// retried. This does nothing if the number has not changed.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound), [`Error::Storage`](crate::Error::Storage).
    pub async fn accept(&self) -> Result<()> {
        contact::accept(&self.client.inner.ctx, self.user).await
    }
}
