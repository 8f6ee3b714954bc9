//! The open chat: the messages that are loaded, kept up to date by the library.

use futures_util::future::pending;
use sealpost_core::{Change, Error, Hit, MessageId, MessageList, Page, Thread, ThreadId, Timeline, UserId};

use super::rows::rows;
use crate::news::Rows;

/// The changes that are taken at once.
const BATCH: usize = 256;
/// Messages in a page.
const PAGE: u32 = 50;
/// The most messages that are loaded again at once.
const MOST: u32 = 500;

/// A chat whose changes are followed.
pub(super) struct Open {
    pub(super) thread: Thread,
    changes: Timeline,
    list: MessageList,
    pinned: Vec<MessageId>,
    /// What a search has found in one of the messages.
    hit: Option<Hit>,
    has_authors: bool,
}

impl Open {
    /// Opens a chat around a message; otherwise at its end, with the unread messages.
    pub(super) async fn new(thread: Thread, around: Option<MessageId>, unread: u64) -> Result<Self, Error> {
        let mut changes = thread.subscribe();
        // The changes follow this snapshot, so that the page below, which is read after it, misses none.
        let newest = changes.snapshot().await?;
        let limit = PAGE.saturating_add(u32::try_from(unread).unwrap_or(MOST)).min(MOST);
        let page = match around {
            Some(message) => thread.history_around(message, PAGE).await?,
            None if limit > PAGE => thread.history_of(None, limit).await?,
            None => newest,
        };
        let mut open = Self {
            thread,
            changes,
            list: MessageList::new(page),
            pinned: Vec::new(),
            hit: None,
            has_authors: false,
        };
        open.read_pins().await?;
        Ok(open)
    }

    /// Marks what was found.
    pub(super) fn with_hit(self, hit: Option<Hit>) -> Self {
        Self { hit, ..self }
    }

    pub(super) fn id(&self) -> ThreadId {
        self.thread.id()
    }

    /// Shows who has written each message, as several others can.
    pub(super) fn with_authors(self, has_authors: bool) -> Self {
        Self { has_authors, ..self }
    }

    pub(super) fn rows(&self, name: &dyn Fn(UserId) -> String) -> Rows {
        let name = self.has_authors.then_some(name);
        rows(&self.list, &self.pinned, self.hit.as_ref(), name)
    }

    /// Other messages are pinned than before.
    pub(super) async fn read_pins(&mut self) -> Result<(), Error> {
        self.pinned = self.thread.pinned().await?.into_iter().map(|message| message.id).collect();
        Ok(())
    }

    /// Waits for changes and applies them. Dropping the future before it is ready loses nothing.
    pub(super) async fn changed(open: Option<&mut Self>) -> Option<Result<Vec<Change>, Error>> {
        match open {
            Some(open) => open.changes.next_batch(BATCH).await,
            None => pending().await,
        }
    }

    pub(super) async fn apply(&mut self, changes: Vec<Change>) -> Result<(), Error> {
        for change in changes {
            match change {
                Change::Snapshot(page) => {
                    self.list = self.reload(page).await?;
                    self.read_pins().await?;
                }
                other => self.list.apply(other),
            }
        }
        Ok(())
    }

    pub(super) async fn add_older(&mut self) -> Result<(), Error> {
        if let Some(older) = self.list.older() {
            let page = self.thread.history_of(Some(older), PAGE).await?;
            self.list.add_older(page);
        }
        Ok(())
    }

    pub(super) async fn add_newer(&mut self) -> Result<(), Error> {
        if let Some(newer) = self.list.newer() {
            let page = self.thread.history_after(newer, PAGE).await?;
            self.list.add_newer(page);
        }
        Ok(())
    }

    /// More has changed than was told, for example in another terminal: reads again what was loaded.
    async fn reload(&mut self, newest: Page) -> Result<MessageList, Error> {
        let messages = self.list.messages();
        let loaded = u32::try_from(messages.len()).unwrap_or(MOST).min(MOST);
        let middle = messages.get(messages.len().checked_div(2).unwrap_or_default());
        let page = match middle {
            Some(middle) if self.list.newer().is_some() => {
                match self.thread.history_around(middle.id, loaded).await {
                    Err(Error::NotFound) => newest,
                    page => page?,
                }
            }
            _ if loaded > PAGE => self.thread.history_of(None, loaded).await?,
            _ => newest,
        };
        Ok(MessageList::new(page))
    }
}
