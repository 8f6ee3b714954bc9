//! What the list shows of a thread, and what the person decides about it there.

use super::Thread;
use crate::{Result, ThreadSummary, runtime};

#[uniffi::export]
impl Thread {
    /// What a list shows of the thread.
    ///
    /// Throws `NotFound`, `Storage`.
    pub async fn summary(&self) -> Result<ThreadSummary> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.summary().await?.into()) }).await
    }

    /// Accepts a message request: the thread becomes a chat, its others get receipts for what is read from now on, and the relay
    /// stores all their messages. Writing in the thread does the same. It does nothing if the thread is not a request.
    ///
    /// Throws `NotFound`, `Storage`.
    pub async fn accept_request(&self) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.accept_request().await?) }).await
    }

    /// Puts the chat into the archive, or takes it out. A new message takes it out, unless the chat is muted; so does what the
    /// person writes. A pinned chat is no longer pinned.
    ///
    /// Throws `WrongState` for a request or a deleted thread, `NotFound`, and `Storage`.
    pub async fn set_archived(&self, is_archived: bool) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.set_archived(is_archived).await?) }).await
    }

    /// Pins the chat to the top of the list, below the chats that are already pinned, or ends that. `Client.set_pinned_threads`
    /// changes the order. A chat in the archive is taken out of it.
    ///
    /// Throws `WrongState` for a request or a deleted thread, `NotFound`, and `Storage`.
    pub async fn set_pinned(&self, is_pinned: bool) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.set_pinned(is_pinned).await?) }).await
    }

    /// Mutes the chat until a time in milliseconds since the Unix epoch, the greatest number for ever; none ends that. A muted chat
    /// is not notified of, is not counted in the badge, and stays in the archive when a message arrives.
    ///
    /// Throws `NotFound`, `Storage`.
    pub async fn set_muted_until(&self, until_ms: Option<i64>) -> Result<()> {
        let core = self.core.clone();
        let until_ms = until_ms.map(|until_ms| u64::try_from(until_ms).unwrap_or(0));
        runtime::run(async move { Ok(core.set_muted_until(until_ms).await?) }).await
    }

    /// Marks the chat as unread, as a reminder, or takes that mark away. `mark_read` takes it away, too. Nobody else is told.
    ///
    /// Throws `NotFound`, `Storage`.
    pub async fn set_marked_unread(&self, is_marked: bool) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.set_marked_unread(is_marked).await?) }).await
    }

    /// Keeps what the person is writing; an empty text deletes it. When this returns, it is on disk. Sending exactly this text
    /// deletes it in the same transaction. It does not move the chat in the list.
    ///
    /// Throws `TooLong`, `NotFound`, `Storage`.
    pub async fn set_draft(&self, text: String) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.set_draft(&text).await?) }).await
    }

    /// What the person was writing.
    ///
    /// Throws `Storage`.
    pub async fn draft(&self) -> Result<Option<String>> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.draft().await?) }).await
    }
}
