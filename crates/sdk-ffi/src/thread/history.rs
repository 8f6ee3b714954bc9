//! The history of a thread, in pages.

use super::Thread;
use crate::{MessageId, Page, Position, Result, UnreadDivider, runtime};

#[uniffi::export]
impl Thread {
    /// The newest messages, or those before a position, newest first; at most 500.
    ///
    /// Throws `Storage`.
    #[uniffi::method(default(before = None, limit = 50))]
    pub async fn history(&self, before: Option<Position>, limit: u32) -> Result<Page> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.history_of(before, limit).await?.into()) }).await
    }

    /// The messages that directly follow a position, newest first; at most 500.
    ///
    /// Throws `Storage`.
    #[uniffi::method(default(limit = 50))]
    pub async fn history_after(&self, after: Position, limit: u32) -> Result<Page> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.history_after(after, limit).await?.into()) }).await
    }

    /// The messages around a message, including it; newest first, at most 500, half of them newer, if there are that
    /// many. Use it to show a search result.
    ///
    /// Throws `NotFound` if it is not in this thread, and `Storage`.
    #[uniffi::method(default(limit = 50))]
    pub async fn history_around(&self, message: MessageId, limit: u32) -> Result<Page> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.history_around(message, limit).await?.into()) }).await
    }

    /// Where the unread messages begin; none if all have been read. `history_around` returns the page with it. The person may be
    /// reading meanwhile, so ask once, when the thread is shown.
    ///
    /// Throws `NotFound`, `Storage`.
    pub async fn unread_divider(&self) -> Result<Option<UnreadDivider>> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.unread_divider().await?.map(UnreadDivider::from)) }).await
    }

    /// The newest messages that contain a link (`http://` or `https://`), or those before a position, newest first; at most 500.
    ///
    /// Throws `Storage`.
    #[uniffi::method(default(before = None, limit = 50))]
    pub async fn links(&self, before: Option<Position>, limit: u32) -> Result<Page> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.links(before, limit).await?.into()) }).await
    }
}
