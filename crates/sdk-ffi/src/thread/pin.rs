//! Pinned messages.

use super::Thread;
use crate::{Message, MessageId, Result, runtime};

#[uniffi::export]
impl Thread {
    /// Pins a message of this thread for all its members. When this returns, it is on disk and shown, and will be sent.
    ///
    /// Throws `InvalidContent` if 32 others are pinned, `NotFound` if there is no such message in this thread, `WrongState` if it
    /// could not be decrypted, was deleted or has failed, and `Storage`.
    pub async fn pin(&self, message: MessageId) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.pin(message).await?) }).await
    }

    /// Unpins a message of this thread for all its members.
    ///
    /// Throws `NotFound` if there is no such message in this thread, `WrongState` if it could not be decrypted, was deleted or has
    /// failed, and `Storage`.
    pub async fn unpin(&self, message: MessageId) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.unpin(message).await?) }).await
    }

    /// The pinned messages of this thread, the one that was pinned last first; at most 32. Listen to `Event.PinsChanged`, and to
    /// events about the messages themselves.
    ///
    /// Throws `Storage`.
    pub async fn pinned(&self) -> Result<Vec<Message>> {
        let core = self.core.clone();
        let pinned = runtime::run(async move { Ok(core.pinned().await?) }).await?;
        Ok(pinned.into_iter().map(Message::from).collect())
    }
}
