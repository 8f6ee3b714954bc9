//! What changes a message: reactions, edits and deletions.

use super::Thread;
use crate::{Markup, MessageId, Reaction, Result, UserId, Version, runtime};

#[uniffi::export]
impl Thread {
    /// Reacts to a message of this thread with an emoji: any sequence of emoji of at most 32 bytes of UTF-8. It replaces our earlier
    /// reaction. When this returns, it is on disk and shown (`Message.reactions`), and will be sent.
    ///
    /// Throws `Misuse` if it is not such a sequence, `NotFound` if there is no such message in this thread, `WrongState` if it could
    /// not be decrypted or has not been sent, and `Storage`.
    pub async fn react(&self, to: MessageId, emoji: String) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.react(to, &emoji).await?) }).await
    }

    /// Removes our reaction to a message of this thread.
    ///
    /// Throws what `react` throws.
    pub async fn remove_reaction(&self, from: MessageId) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.remove_reaction(from).await?) }).await
    }

    /// Up to `limit` (at most 500) reactions to a message, one for each person, ordered by the ids of the users; those after a user, or
    /// the first. Empty if the message is not in this thread. The counts that a chat shows are in `Message.reactions`.
    ///
    /// Throws `Storage`.
    #[uniffi::method(default(after = None, limit = 50))]
    pub async fn reactions(
        &self,
        message: MessageId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Reaction>> {
        let core = self.core.clone();
        runtime::run(async move {
            Ok(core.reactions(message, after, limit).await?.into_iter().map(Reaction::from).collect())
        })
        .await
    }

    /// Replaces the text of one of our messages. When this returns, the new text is on disk and shown, and will be sent. The earlier ones
    /// are kept (`versions`), also by recipients. The markup replaces that of the message. By default, this is possible 10 times within 24 hours (`Config.change_limits`).
    ///
    /// Throws `EmptyText`, `TooLong`, `InvalidContent` if the markup does not fit the text, `NotFound` if there is no such message in this thread, `WrongState` if it is not our own text, has
    /// failed, or can no longer be edited, and `Storage`.
    #[uniffi::method(default(markup = None))]
    pub async fn edit(&self, message: MessageId, text: String, markup: Option<Markup>) -> Result<()> {
        let (core, markup) = (self.core.clone(), markup.map(Into::into).unwrap_or_default());
        runtime::run(async move { Ok(core.edit_with(message, &text, markup).await?) }).await
    }

    /// The versions of a text message, the oldest first and the present one last; only that one if it was not edited.
    ///
    /// Throws `NotFound` if there is no such text in this thread, and `Storage`.
    pub async fn versions(&self, message: MessageId) -> Result<Vec<Version>> {
        let core = self.core.clone();
        runtime::run(
            async move { Ok(core.versions(message).await?.into_iter().map(Version::from).collect()) },
        )
        .await
    }

    /// Deletes one of our messages on all devices of all members, with its reactions and earlier versions. Its place remains, and shows
    /// `MessageBody.Deleted`. A message that has not left this device is removed without a trace. By default, this is possible for 48
    /// hours (`Config.change_limits`). Recipients can have kept a copy.
    ///
    /// Throws `NotFound` if there is no such message in this thread, `WrongState` if it is not ours or can no longer be deleted, and
    /// `Storage`.
    pub async fn delete_for_everyone(&self, message: MessageId) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.delete_for_everyone(message).await?) }).await
    }

    /// Deletes a message on this device only. For 30 seconds, `restore` takes that back. A message of ours that is still queued is sent
    /// nevertheless.
    ///
    /// Throws `NotFound` if there is no such message in this thread, and `Storage`.
    pub async fn delete_for_me(&self, message: MessageId) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.delete_for_me(message).await?) }).await
    }

    /// Shows a message again that was deleted on this device less than 30 seconds ago. It counts as read.
    ///
    /// Throws `NotFound` if it is too late or if it was not deleted, and `Storage`.
    pub async fn restore(&self, message: MessageId) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.restore(message).await?) }).await
    }
}
