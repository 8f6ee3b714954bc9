//! Contacts, and how far the person trusts their identity.

use sealpost_core as core;

use super::Client;
use crate::{Message, Result, ThreadId, UserId, millis, runtime};

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

    /// Blocks this user: nothing that they send in the direct thread arrives any more, neither on this device nor at the relay, and
    /// they are told nothing: their messages stay queued, as if the thread had not been accepted. Nothing can be sent to them. A
    /// request of theirs leaves the list. The relay is told as soon as it can be reached. What they send meanwhile is lost, even if
    /// they are unblocked later.
    ///
    /// Throws `Misuse` for oneself, and `Storage`.
    pub async fn block(&self, user: UserId) -> Result<()> {
        let contact = self.core.contact(user);
        runtime::run(async move { Ok(contact.block().await?) }).await
    }

    /// Ends a block. A request that was not accepted is a request again.
    ///
    /// Throws `Misuse` for oneself, and `Storage`.
    pub async fn unblock(&self, user: UserId) -> Result<()> {
        let contact = self.core.contact(user);
        runtime::run(async move { Ok(contact.unblock().await?) }).await
    }

    /// Whether this user is blocked.
    ///
    /// Throws `Storage`.
    pub async fn is_blocked(&self, user: UserId) -> Result<bool> {
        let contact = self.core.contact(user);
        runtime::run(async move { Ok(contact.is_blocked().await?) }).await
    }

    /// The blocked users, those that were blocked last first.
    ///
    /// Throws `Storage`.
    pub async fn blocked(&self) -> Result<Vec<UserId>> {
        let core = self.core.clone();
        let blocked = runtime::run(async move { Ok(core.blocked().await?) }).await?;
        Ok(blocked.iter().map(core::Contact::user_id).collect())
    }

    /// What a person may want to show to those who run the service: the newest messages of this user in the direct thread, at most
    /// 10. Nothing is sent, and nobody is told; the app decides what to do with it after it has asked the person. It is usually
    /// followed by `block`. The contents are those that this device has; nothing proves them to others.
    ///
    /// Throws `Storage`.
    pub async fn report(&self, user: UserId) -> Result<Report> {
        let contact = self.core.contact(user);
        runtime::run(async move { Ok(contact.report().await?.into()) }).await
    }
}

/// What a person reports about a user. It stays on this device unless the app sends it on.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Report {
    /// Who is reported.
    pub user: UserId,
    /// The direct thread with them; none if there is none.
    #[uniffi(default = None)]
    pub thread: Option<ThreadId>,
    /// When it was made, in server time, in milliseconds since the Unix epoch.
    #[uniffi(default = 0)]
    pub made_ms: i64,
    /// Their newest messages, the newest first, at most 10.
    #[uniffi(default = [])]
    pub messages: Vec<Message>,
}

impl From<core::Report> for Report {
    fn from(report: core::Report) -> Self {
        Self {
            user: report.user,
            thread: report.thread,
            made_ms: millis(report.made_ms),
            messages: report.messages.into_iter().map(Message::from).collect(),
        }
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
