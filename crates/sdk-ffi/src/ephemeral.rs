//! Typing, presence, and what others are told.

use sealpost_core as core;

use crate::{Client, Result, Thread, UserId, millis, runtime};

/// Something that others are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum PrivacySetting {
    /// That a message has arrived. On unless it was switched off.
    DeliveryReceipts,
    /// That a message was read. On unless it was switched off.
    ReadReceipts,
    /// That the person is writing. On unless it was switched off.
    Typing,
    /// That the person is there. `Client.share_presence` switches it on for each contact; this switches it off for all.
    Presence,
}

impl From<PrivacySetting> for core::PrivacySetting {
    fn from(setting: PrivacySetting) -> Self {
        match setting {
            PrivacySetting::DeliveryReceipts => Self::DeliveryReceipts,
            PrivacySetting::ReadReceipts => Self::ReadReceipts,
            PrivacySetting::Typing => Self::Typing,
            PrivacySetting::Presence => Self::Presence,
        }
    }
}

/// Whether a contact is there, as far as they share it with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct Presence {
    /// They said within the last 60 seconds that they are there.
    #[uniffi(default = false)]
    pub is_present: bool,
    /// When they last said so, in milliseconds since the Unix epoch by the relay's clock.
    #[uniffi(default = None)]
    pub last_seen_ms: Option<i64>,
}

impl From<core::Presence> for Presence {
    fn from(presence: core::Presence) -> Self {
        Self { is_present: presence.is_present, last_seen_ms: presence.last_seen_ms.map(millis) }
    }
}

#[uniffi::export]
impl Thread {
    /// Tells the others that the person is writing, or has stopped. Call it with true on every key: it is sent at most every three
    /// seconds, and the others see it for five. A message that is sent ends it. It is sent only over a present connection, is never
    /// stored or repeated, and is dropped first when the network is slow. Nothing is sent in a message request, to somebody who is
    /// blocked, or if `PrivacySetting.Typing` is off.
    ///
    /// Throws `Storage`.
    pub async fn set_typing(&self, is_typing: bool) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.set_typing(is_typing).await?) }).await
    }

    /// Who is writing at present. Each change is an `Event.TypingChanged`.
    pub fn typing(&self) -> Result<Vec<UserId>> {
        Ok(self.core.typing())
    }

    /// What is set for this thread. What is off for all threads (`Client.privacy`) is off in this one, too.
    ///
    /// Throws `Storage`.
    pub async fn privacy(&self, setting: PrivacySetting) -> Result<bool> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.privacy(setting.into()).await?) }).await
    }

    /// Sets what the others in this thread are told.
    ///
    /// Throws `Storage`.
    pub async fn set_privacy(&self, setting: PrivacySetting, is_on: bool) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.set_privacy(setting.into(), is_on).await?) }).await
    }
}

#[uniffi::export]
impl Client {
    /// What is set for all threads.
    ///
    /// Throws `Storage`.
    pub async fn privacy(&self, setting: PrivacySetting) -> Result<bool> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.privacy(setting.into()).await?) }).await
    }

    /// Sets what others are told in all threads. What is off here is off everywhere; what is on depends on each thread.
    ///
    /// Throws `Storage`.
    pub async fn set_privacy(&self, setting: PrivacySetting, is_on: bool) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.set_privacy(setting.into(), is_on).await?) }).await
    }

    /// Whether a contact is there, and when they were last seen. Each change is an `Event.PresenceChanged`.
    ///
    /// Throws `Storage`.
    pub async fn presence(&self, user: UserId) -> Result<Presence> {
        let contact = self.core.contact(user);
        runtime::run(async move { Ok(contact.presence().await?.into()) }).await
    }

    /// Sets whether a contact is told when the person is there: while the app is in the foreground (`set_foreground`) and
    /// connected. It is off at first. At most 256 contacts are told.
    ///
    /// Throws `NotFound` if there is no direct thread with them, and `Storage`.
    pub async fn share_presence(&self, user: UserId, is_on: bool) -> Result<()> {
        let contact = self.core.contact(user);
        runtime::run(async move { Ok(contact.share_presence(is_on).await?) }).await
    }
}
