//! Contacts, and how far the person trusts their identity.

use sealpost_core as core;

use super::Client;
use crate::{Result, UserId, runtime};

/// How far the person trusts a contact's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum TrustState {
    /// The key has been trusted since the first message, and was never compared.
    FirstUse,
    /// The person has compared the safety number.
    Verified,
    /// The key has changed since the person compared it. Sends stop until the person accepts the change.
    ChangedSinceVerified,
}

#[uniffi::export]
impl Client {
    /// The safety number that two people compare: 60 digits, the same on both sides.
    ///
    /// Throws `NotFound` before the first message in either direction, `Misuse` for oneself, and `Storage`.
    pub async fn safety_number(&self, user: UserId) -> Result<String> {
        let contact = self.core.contact(user);
        runtime::run(async move { Ok(contact.safety_number().await?) }).await
    }

    /// How far the person trusts a user.
    ///
    /// Throws `NotFound`, `Storage`.
    pub async fn trust_state(&self, user: UserId) -> Result<TrustState> {
        let contact = self.core.contact(user);
        runtime::run(async move { Ok(contact.trust().await?.into()) }).await
    }

    /// Records that the person has compared this safety number and that it was the same on both sides. Returns false
    /// if it is not the current number any more; it must then be compared again. From now on, a change stops sends to
    /// this user.
    ///
    /// Throws `NotFound`, `Storage`.
    pub async fn verify_safety_number(&self, user: UserId, number: String) -> Result<bool> {
        let contact = self.core.contact(user);
        runtime::run(async move { Ok(contact.verify(&number).await?) }).await
    }

    /// Records that the person accepts a changed safety number without comparing it. Failed messages can then be
    /// retried. This does nothing if the number has not changed.
    ///
    /// Throws `NotFound`, `Storage`.
    pub async fn accept_safety_number(&self, user: UserId) -> Result<()> {
        let contact = self.core.contact(user);
        runtime::run(async move { Ok(contact.accept().await?) }).await
    }
}

impl From<core::TrustState> for TrustState {
    fn from(state: core::TrustState) -> Self {
        match state {
            core::TrustState::FirstUse => Self::FirstUse,
            core::TrustState::Verified => Self::Verified,
            _ => Self::ChangedSinceVerified,
        }
    }
}
