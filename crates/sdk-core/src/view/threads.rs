//! A live view of a list of threads: a snapshot, followed by the summaries of the threads that have changed.

use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use futures_util::Stream;

use super::summary::{ThreadPage, ThreadSummary};
use super::watch::{Next, Watch};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::id::{ThreadId, UserId};
use crate::store::{Folder, Rows, ThreadCursor, WeakStore};
use crate::stream::{Source, Streamed};

/// The number of changed threads above which a fresh snapshot is read instead.
const MAX_CHANGED: usize = 50;

/// A change of a list of threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThreadsChange {
    /// The first page: at the start, whenever the consumer was too slow or much has changed, and after the database was closed for a
    /// while.
    Snapshot(ThreadPage),
    /// A thread is in the list now with this summary: it is new there, or something in it has changed, perhaps its place.
    Put(Box<ThreadSummary>),
    /// A thread is no longer in the list, or was never in it.
    Removed(ThreadId),
}

/// A live view of a list of threads. Memory use is bounded: a consumer that is too slow gets a fresh snapshot. Several changes
/// of a thread between two calls become one. It is also a [`Stream`].
#[derive(Debug)]
pub struct Threads(Streamed<Changes>);

/// The source of the changes.
struct Changes {
    store: WeakStore,
    folder: Folder,
    size: u32,
    watch: Watch,
    /// Threads that have changed since they were last read.
    changed: BTreeSet<ThreadId>,
    /// Contacts of which something has changed that lists show.
    changed_users: BTreeSet<UserId>,
    ready: VecDeque<ThreadsChange>,
}

impl Threads {
    pub(crate) fn new(ctx: &Context, folder: Folder, size: u32) -> Self {
        let watch = Watch::new(&ctx.events);
        Self(Streamed::new(Changes {
            store: ctx.store.downgrade(),
            folder,
            size,
            watch,
            changed: BTreeSet::new(),
            changed_users: BTreeSet::new(),
            ready: VecDeque::new(),
        }))
    }

    /// The next change; `None` if the client is gone. While the client is suspended, the call waits. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage) if the database cannot be read; the next call tries again.
    pub async fn next(&mut self) -> Option<Result<ThreadsChange>> {
        self.0.next().await
    }

    /// Like [`Threads::next`], together with the changes that are ready behind it, at most `max` in all.
    ///
    /// # Errors
    /// Those of [`Threads::next`].
    pub async fn next_batch(&mut self, max: usize) -> Option<Result<Vec<ThreadsChange>>> {
        let mut source = self.0.source().await;
        let mut changes = match source.next().await? {
            Ok(first) => vec![first],
            Err(error) => return Some(Err(error)),
        };
        while changes.len() < max {
            let Some(change) = source.ready.pop_front() else { break };
            changes.push(change);
        }
        Some(Ok(changes))
    }

    /// Makes the next change a fresh snapshot.
    pub fn refresh(&mut self) {
        self.0.with(|source| {
            source.forget();
            source.watch.look_again();
        });
    }
}

impl Stream for Threads {
    type Item = Result<ThreadsChange>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().0.poll_next(cx)
    }
}

impl Source for Changes {
    type Item = Result<ThreadsChange>;

    async fn next(&mut self) -> Option<Result<ThreadsChange>> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(Ok(ready));
            }
            if self.changed.is_empty() && self.changed_users.is_empty() {
                match self.watch.next().await? {
                    Next::Event(event) => self.note(&event),
                    Next::Look => return self.snapshot().await,
                }
            }
            while let Some(event) = self.watch.try_next() {
                self.note(&event);
            }
            if self.changed.len().saturating_add(self.changed_users.len()) > MAX_CHANGED {
                return self.snapshot().await;
            }
            if !self.changed.is_empty() || !self.changed_users.is_empty() {
                let (threads, users) = (self.changed.clone(), self.changed_users.clone());
                let read = move |rows: &Rows<'_>| summaries(rows, &threads, &users);
                // What the client does from here on is reported later, or is already in what is read.
                let store = self.store.upgrade()?;
                match store.glance(read).await {
                    Ok(read) => self.put(read),
                    // The database is closed, and a snapshot follows when it is open again.
                    Err(Error::Misuse(_)) => {
                        self.forget();
                        self.watch.look_again();
                    }
                    Err(error) => return Some(Err(error)),
                }
            }
        }
    }
}

impl Changes {
    async fn snapshot(&mut self) -> Option<Result<ThreadsChange>> {
        self.forget();
        self.watch.look_again();
        let (folder, size) = (self.folder, self.size);
        let read = move |rows: &Rows<'_>| ThreadPage::read(rows, folder, None, size);
        let seen = self.watch.look_when_open(&self.store, read).await?;
        Some(seen.map(ThreadsChange::Snapshot))
    }

    fn forget(&mut self) {
        self.changed.clear();
        self.changed_users.clear();
        self.ready.clear();
    }

    /// Notes the thread or the contact that an event changes in the list.
    fn note(&mut self, event: &Event) {
        match event {
            Event::ThreadAdded(thread)
            | Event::ThreadChanged(thread)
            | Event::MessageRemoved { thread, .. } => drop(self.changed.insert(*thread)),
            Event::MessageAdded(message) | Event::MessageChanged { message, .. } => {
                self.changed.insert(message.thread);
            }
            Event::IdentityChanged(user) | Event::AccountMoved(user) | Event::ProfileChanged(user) => {
                self.changed_users.insert(*user);
            }
            _ => {}
        }
    }

    fn put(&mut self, read: Vec<(ThreadId, Option<ThreadSummary>)>) {
        self.changed.clear();
        self.changed_users.clear();
        for (id, summary) in read {
            self.ready.push_back(match summary {
                Some(summary) if summary.folder == Some(self.folder) => ThreadsChange::Put(Box::new(summary)),
                _ => ThreadsChange::Removed(id),
            });
        }
    }
}

fn summaries(
    rows: &Rows<'_>,
    threads: &BTreeSet<ThreadId>,
    users: &BTreeSet<UserId>,
) -> Result<Vec<(ThreadId, Option<ThreadSummary>)>> {
    let mut threads = threads.clone();
    for user in users {
        threads.extend(rows.thread_with(*user)?.map(|thread| thread.id));
    }
    let read = |id| Ok((id, rows.listed_thread(id)?.map(ThreadSummary::from)));
    threads.into_iter().map(read).collect()
}

/// The threads that an app shows of a list: those of a page and of the pages that were joined to it. Changes keep it equal to what
/// would be read now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadList {
    /// The first is shown at the top.
    threads: Vec<ThreadSummary>,
    /// The list ends at this place; none if it ends with the last thread.
    next: Option<ThreadCursor>,
}

impl ThreadList {
    /// Creates a list with this page. Changes are applied from a view that was created before the page was read.
    pub fn new(page: ThreadPage) -> Self {
        Self { threads: page.threads, next: page.next }
    }

    /// The first is shown at the top.
    pub fn threads(&self) -> &[ThreadSummary] {
        &self.threads
    }

    /// The place from which to read the next page; none if there is none.
    pub fn next(&self) -> Option<ThreadCursor> {
        self.next
    }

    /// Applies a change, even if the page already includes it.
    pub fn apply(&mut self, change: ThreadsChange) {
        match change {
            ThreadsChange::Snapshot(page) => *self = Self::new(page),
            ThreadsChange::Put(thread) => self.put(*thread),
            ThreadsChange::Removed(id) => self.threads.retain(|thread| thread.id != id),
        }
    }

    /// Adds the page after [`next`](Self::next).
    pub fn add(&mut self, page: ThreadPage) {
        self.next = page.next;
        page.threads.into_iter().for_each(|thread| self.put(thread));
    }

    fn put(&mut self, thread: ThreadSummary) {
        self.threads.retain(|shown| shown.id != thread.id);
        // Further down, it is in a page that was not read yet.
        if self.next.is_none_or(|next| thread.place >= next) {
            let at = self.threads.partition_point(|shown| shown.place > thread.place);
            self.threads.insert(at, thread);
        }
    }
}
