//! The lists of threads, and what a person decides about a thread in them.

use futures_util::stream::BoxStream;

use super::{Client, Contact, MAX_PAGE, Thread, pages};
use crate::content::MAX_TEXT;
use crate::error::{Error, Result};
#[cfg(doc)]
use crate::event::Event;
use crate::id::{MessageId, ThreadId};
use crate::message::{MessageDetails, MessageReceipts, Page, Position, StorageReport, UnreadDivider};
use crate::store::{Folder, ThreadCursor};
use crate::view::PAGE;
use crate::view::history;
use crate::view::notices::Notices;
use crate::view::summary::{ThreadPage, ThreadSummary, UnreadTotals};
use crate::view::threads::Threads;

impl Client {
    /// The first [`PAGE`] chats: the pinned ones, then the others, ordered by their newest message.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn threads(&self) -> Result<Vec<Thread>> {
        let read = self.inner.ctx.store.glance(|rows| rows.thread_page(Folder::Chats, None, PAGE)).await;
        let (threads, _) = read?;
        Ok(threads.into_iter().map(|listed| Thread::new(self.clone(), listed.id)).collect())
    }

    /// A page of the list of chats, with what a list shows of each: up to `limit` (at most 500), from the start or
    /// after another page. A thread that moves up meanwhile may be on neither page.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn thread_page(&self, after: Option<ThreadCursor>, limit: u32) -> Result<ThreadPage> {
        self.folder_page(Folder::Chats, after, limit).await
    }

    /// Like [`thread_page`](Self::thread_page), for any list.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn folder_page(
        &self,
        folder: Folder,
        after: Option<ThreadCursor>,
        limit: u32,
    ) -> Result<ThreadPage> {
        let limit = limit.clamp(1, MAX_PAGE);
        self.inner.ctx.store.glance(move |rows| ThreadPage::read(rows, folder, after, limit)).await
    }

    /// What lists show of these threads, in the same order, for a page of search results or a storage screen; without those that are not
    /// known. Only the first 500 count.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn summaries(&self, threads: &[ThreadId]) -> Result<Vec<ThreadSummary>> {
        let limit = usize::try_from(MAX_PAGE).unwrap_or_default();
        let threads: Vec<_> = threads.iter().copied().take(limit).collect();
        let read = self.inner.ctx.store.glance(move |rows| {
            let listed = threads.iter().map(|thread| rows.listed_thread(*thread));
            listed.filter_map(Result::transpose).collect::<Result<Vec<_>>>()
        });
        Ok(read.await?.into_iter().map(ThreadSummary::from).collect())
    }

    /// The whole list of chats, the first at the top. Pages are read only as far as they are consumed. A thread that moves up
    /// meanwhile may be missing.
    ///
    /// # Errors
    /// An item is [`Error::Storage`] if a page cannot be read; the stream then ends.
    pub fn all_threads(&self) -> BoxStream<'static, Result<ThreadSummary>> {
        let client = self.clone();
        pages::flatten(move |after| {
            let client = client.clone();
            async move { client.thread_page(after, PAGE).await.map(|page| (page.threads, page.next)) }
        })
    }

    /// A live view of a list of threads: a snapshot of the first `size` (at most 500), followed by changes.
    /// [`ThreadList`](crate::ThreadList) applies them.
    pub fn follow_threads(&self, folder: Folder, size: u32) -> Threads {
        Threads::new(&self.inner.ctx, folder, size.clamp(1, MAX_PAGE))
    }

    /// How much is unread in the chats and in the archive, for a badge. Muted chats count only if a message in them mentions us,
    /// and requests do not count.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn unread_totals(&self) -> Result<UnreadTotals> {
        let now_ms = self.inner.ctx.server_now_ms();
        let (threads, messages) = self.inner.ctx.store.glance(move |rows| rows.unread_totals(now_ms)).await?;
        Ok(UnreadTotals { threads, messages })
    }

    /// How much the database takes up, and how much of it each thread. It reads the header of every message, so do not call it for each
    /// frame of a screen.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn storage_report(&self) -> Result<StorageReport> {
        self.inner.ctx.store.read(|rows| rows.storage_report()).await
    }

    /// Deletes the messages of all threads on this device that the relay stored before a time, in milliseconds since the Unix epoch, and
    /// returns how many there were. Messages that are still to be sent stay. They cannot be restored, and nobody else is told. It takes
    /// many short transactions, and [`Event::CleaningUp`] says how far it has come. If the process ends before this returns, it is
    /// continued when the client is opened again.
    ///
    /// # Errors
    /// [`Error::Storage`]. Some may be deleted by then, and the others are deleted when the client is opened again.
    pub async fn delete_older(&self, before_ms: u64) -> Result<u64> {
        self.finish(move |ctx| async move { crate::thread::clean_up(&ctx, before_ms).await }).await
    }

    /// What the app is to show as notifications, and what it is to take back.
    pub fn notices(&self) -> Notices {
        Notices::new(&self.inner.ctx)
    }

    /// The blocked users, those that were blocked last first.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn blocked(&self) -> Result<Vec<Contact>> {
        let blocked = self.inner.ctx.store.glance(|rows| rows.blocked()).await?;
        Ok(blocked.into_iter().map(|user| self.contact(user)).collect())
    }

    /// Pins exactly these chats, in this order. Chats in the archive are taken out of it.
    ///
    /// # Errors
    /// [`Error::WrongState`] for a request or a deleted thread, [`Error::NotFound`], [`Error::Storage`].
    pub async fn set_pinned_threads(&self, order: &[ThreadId]) -> Result<()> {
        let order = order.to_vec();
        self.inner.ctx.store.write(move |tx| tx.set_pinned_order(&order)).await
    }
}

impl Thread {
    /// What a list shows of the thread.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub async fn summary(&self) -> Result<ThreadSummary> {
        let id = self.id;
        let listed = self.ctx().store.glance(move |rows| rows.listed_thread(id)).await?;
        listed.map(ThreadSummary::from).ok_or(Error::NotFound)
    }

    /// Puts the chat into the archive, or takes it out. A new message takes it out, unless the chat is muted; so does what the
    /// person writes. A pinned chat is no longer pinned.
    ///
    /// # Errors
    /// [`Error::WrongState`] for a request or a deleted thread, [`Error::NotFound`], [`Error::Storage`].
    pub async fn set_archived(&self, is_archived: bool) -> Result<()> {
        let id = self.id;
        self.ctx().store.write(move |tx| tx.set_archived(id, is_archived)).await
    }

    /// Pins the chat to the top of the list, below the chats that are already pinned, or ends that.
    /// [`Client::set_pinned_threads`] changes the order. A chat in the archive is taken out of it.
    ///
    /// # Errors
    /// [`Error::WrongState`] for a request or a deleted thread, [`Error::NotFound`], [`Error::Storage`].
    pub async fn set_pinned(&self, is_pinned: bool) -> Result<()> {
        let id = self.id;
        self.ctx().store.write(move |tx| tx.set_pinned(id, is_pinned)).await
    }

    /// Mutes the chat until a time in milliseconds since the Unix epoch, [`u64::MAX`] for ever; `None` ends that. A muted chat is
    /// not notified of, is not counted in the badge, and stays in the archive when a message arrives.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub async fn set_muted_until(&self, until_ms: Option<u64>) -> Result<()> {
        let (id, until_ms) = (self.id, until_ms.unwrap_or(0));
        self.ctx().store.write(move |tx| tx.set_muted_until(id, until_ms)).await
    }

    /// Marks the chat as unread, as a reminder, or takes that mark away. [`mark_read`](Self::mark_read) takes it away, too. Nobody
    /// else is told.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub async fn set_marked_unread(&self, is_marked: bool) -> Result<()> {
        let id = self.id;
        self.ctx().store.write(move |tx| tx.set_marked_unread(id, is_marked)).await
    }

    /// Keeps what the person is writing; an empty text deletes it. When this returns, it is on disk. Sending exactly this text
    /// deletes it in the same transaction. It does not move the chat in the list.
    ///
    /// # Errors
    /// [`Error::TooLong`] above [`MAX_TEXT`] bytes, [`Error::NotFound`], [`Error::Storage`].
    pub async fn set_draft(&self, text: &str) -> Result<()> {
        if text.len() > MAX_TEXT {
            return Err(Error::TooLong { max: MAX_TEXT });
        }
        let (id, draft) = (self.id, Some(text.to_owned()).filter(|text| !text.trim().is_empty()));
        self.ctx().store.write(move |tx| tx.set_draft(id, draft.as_deref())).await
    }

    /// What the person was writing.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn draft(&self) -> Result<Option<String>> {
        let id = self.id;
        self.ctx().store.glance(move |rows| rows.draft(id)).await
    }

    /// Accepts a message request: the thread becomes a chat, its others get receipts for what is read from now on, and the relay stores
    /// all their messages. Writing in the thread does the same. It does nothing if the thread is not a request.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub async fn accept_request(&self) -> Result<()> {
        crate::thread::accept_request(self.ctx(), self.id).await
    }

    /// Where the unread messages begin; none if all have been read. [`history_around`](Self::history_around) returns the page with
    /// it. The person may be reading meanwhile, so ask once, when the thread is shown.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub async fn unread_divider(&self) -> Result<Option<UnreadDivider>> {
        let id = self.id;
        let read = self.ctx().store.glance(move |rows| {
            rows.kind(id)?.ok_or(Error::NotFound)?;
            rows.unread_divider(id)
        });
        read.await
    }

    /// A page of the messages that contain a link (`http://` or `https://`), like [`history_of`](Self::history_of).
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn links(&self, before: Option<Position>, limit: u32) -> Result<Page> {
        history::links(self.ctx(), self.id, before, limit.clamp(1, MAX_PAGE)).await
    }

    /// Deletes the thread on this device: it leaves the list, and its whole history, draft and place among the pinned chats are deleted.
    /// Nobody else is told. The next message brings it back; a request that was not accepted is then a request again. If the process ends
    /// before this returns, the deletion is continued when the client is opened again.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub async fn delete(&self) -> Result<()> {
        let id = self.id;
        self.client.finish(move |ctx| async move { crate::thread::delete(&ctx, id).await }).await
    }

    /// Deletes the messages on this device that the relay stored before a time, in milliseconds since the Unix epoch, and returns how
    /// many there were. Messages that are still to be sent stay. They cannot be restored, and nobody else is told.
    ///
    /// # Errors
    /// [`Error::Storage`]. Some may be deleted by then.
    pub async fn delete_older(&self, before_ms: u64) -> Result<u64> {
        let id = self.id;
        self.client
            .finish(move |ctx| async move { crate::thread::delete_older(&ctx, id, before_ms).await })
            .await
    }

    /// When a message was sent, stored by the relay, delivered and read.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is not in this thread, [`Error::Storage`].
    pub async fn details(&self, message: MessageId) -> Result<MessageDetails> {
        let id = self.id;
        self.ctx().store.glance(move |rows| rows.details(id, message)).await?.ok_or(Error::NotFound)
    }

    /// Which members have one of our messages, and how many. The message is [delivered](crate::Delivery::Delivered) when all of them have
    /// it, and [read](crate::Delivery::Read) when all have read it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is not in this thread, or not ours; [`Error::Storage`].
    pub async fn receipts(&self, message: MessageId) -> Result<MessageReceipts> {
        let id = self.id;
        self.ctx().store.glance(move |rows| rows.receipts_of(id, message)).await?.ok_or(Error::NotFound)
    }
}
