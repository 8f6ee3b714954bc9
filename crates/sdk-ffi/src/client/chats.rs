//! The lists of threads.

use std::sync::Arc;

use sealpost_core as core;

use super::Client;
use crate::{
    Calls, Folder, Notices, Result, ThreadCursor, ThreadId, ThreadPage, ThreadSummary, Threads, UnreadTotals,
    runtime,
};

#[uniffi::export]
impl Client {
    /// The first 50 chats, with what a list shows of each: the pinned ones, then the others, ordered by their newest message.
    ///
    /// Throws `Storage`.
    pub async fn threads(&self) -> Result<Vec<ThreadSummary>> {
        let core = self.core.clone();
        let page = runtime::run(async move { Ok(core.thread_page(None, core::PAGE).await?) }).await?;
        Ok(ThreadPage::from(page).threads)
    }

    /// A page of the list of chats, with what a list shows of each: at most 500, from the start or after another page. A thread
    /// that moves up meanwhile may be on neither page.
    ///
    /// Throws `Storage`.
    #[uniffi::method(default(after = None, limit = 50))]
    pub async fn thread_page(&self, after: Option<ThreadCursor>, limit: u32) -> Result<ThreadPage> {
        self.folder_page(Folder::Chats, after, limit).await
    }

    /// Like `thread_page`, for any list.
    ///
    /// Throws `Storage`.
    #[uniffi::method(default(after = None, limit = 50))]
    pub async fn folder_page(
        &self,
        folder: Folder,
        after: Option<ThreadCursor>,
        limit: u32,
    ) -> Result<ThreadPage> {
        let core = self.core.clone();
        let page = async move { Ok(core.folder_page(folder.into(), after, limit).await?) };
        Ok(runtime::run(page).await?.into())
    }

    /// What lists show of these threads, in the same order, for a page of search results or a storage screen; without those that are not
    /// known. Only the first 500 count.
    ///
    /// Throws `Storage`.
    pub async fn summaries(&self, threads: Vec<ThreadId>) -> Result<Vec<ThreadSummary>> {
        let core = self.core.clone();
        let found = runtime::run(async move { Ok(core.summaries(&threads).await?) }).await?;
        Ok(found.into_iter().map(ThreadSummary::from).collect())
    }

    /// A live view of a list of threads: a snapshot of the first `size` (at most 500), followed by changes.
    #[uniffi::method(default(size = 50))]
    pub fn follow_threads(&self, folder: Folder, size: u32) -> Result<Arc<Threads>> {
        let ended = Arc::clone(&self.ended);
        runtime::enter(|| Threads::new(self.core.follow_threads(folder.into(), size), ended))
    }

    /// What the app is to show as notifications, and what it is to take back.
    pub fn subscribe_notices(&self) -> Result<Arc<Notices>> {
        runtime::enter(|| Notices::new(self.core.notices(), Arc::clone(&self.ended)))
    }

    /// What happens in calls from now on, beginning with the offers of those that ring. Nobody calls who was not accepted, or is
    /// blocked.
    pub fn subscribe_calls(&self) -> Result<Arc<Calls>> {
        runtime::enter(|| Calls::new(self.core.calls(), Arc::clone(&self.ended)))
    }

    /// How much is unread in the chats and in the archive, for a badge. Muted chats count only if a message in them mentions us,
    /// and requests do not count.
    ///
    /// Throws `Storage`.
    pub async fn unread_totals(&self) -> Result<UnreadTotals> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.unread_totals().await?.into()) }).await
    }

    /// Pins exactly these chats, in this order. Chats in the archive are taken out of it.
    ///
    /// Throws `WrongState` for a request or a deleted thread, `NotFound`, and `Storage`.
    pub async fn set_pinned_threads(&self, order: Vec<ThreadId>) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.set_pinned_threads(&order).await?) }).await
    }
}
