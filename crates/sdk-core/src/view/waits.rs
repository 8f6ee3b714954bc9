//! What a queued message is waiting for, followed until it is sent.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use futures_util::Stream;

use super::progress::Progress;
use super::watch::{Next, Watch};
use crate::context::Context;
use crate::error::Result;
use crate::event::Event;
use crate::id::{MessageId, ThreadId};
use crate::store::{Rows, WeakStore};
use crate::stream::{Source, Streamed};
use crate::waiting::Waiting;

/// What a queued message is waiting for: at the start, and again whenever it changes. It ends when the message is no
/// longer queued. It is also a [`Stream`].
#[derive(Debug)]
pub struct Waits(Streamed<Changes>);

/// The source of the changes.
struct Changes {
    thread: ThreadId,
    message: MessageId,
    store: WeakStore,
    progress: Progress,
    watch: Watch,
    /// What the consumer was told last.
    told: Option<Waiting>,
    ended: bool,
}

impl Waits {
    pub(crate) fn new(ctx: &Context, thread: ThreadId, message: MessageId) -> Self {
        Self(Streamed::new(Changes {
            thread,
            message,
            store: ctx.store.downgrade(),
            progress: Progress::new(ctx),
            watch: Watch::new(&ctx.events),
            told: None,
            ended: false,
        }))
    }

    /// The next state of the wait; `None` when the message is no longer queued, or if the client is gone. While the
    /// client is suspended, the call waits. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage) if the database cannot be read; the next call tries again.
    pub async fn next(&mut self) -> Option<Result<Waiting>> {
        self.0.next().await
    }

    /// Makes the next call return the present state, because the last one did not reach its consumer.
    pub fn repeat(&mut self) {
        self.0.with(|source| source.told = None);
    }
}

impl Stream for Waits {
    type Item = Result<Waiting>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().0.poll_next(cx)
    }
}

impl Source for Changes {
    type Item = Result<Waiting>;

    async fn next(&mut self) -> Option<Result<Waiting>> {
        while !self.ended {
            self.progress.mark_seen();
            let (thread, message) = (self.thread, self.message);
            let read = move |rows: &Rows<'_>| rows.waiting(thread, message);
            let queued = match self.watch.look_when_open(&self.store, read).await? {
                Ok(Some(queued)) => queued,
                Ok(None) => {
                    self.ended = true;
                    break;
                }
                Err(error) => return Some(Err(error)),
            };
            let waiting = self.progress.describe(thread, &queued);
            if self.told.replace(waiting) != Some(waiting) {
                return Some(Ok(waiting));
            }
            self.change(waiting).await?;
        }
        None
    }
}

impl Changes {
    /// Returns when something may have changed; `None` if the client is gone.
    async fn change(&mut self, told: Waiting) -> Option<()> {
        let thread = self.thread;
        let (watch, progress) = (&mut self.watch, &mut self.progress);
        let touched = async {
            loop {
                match watch.next().await? {
                    Next::Event(event) if !touches(&event, thread) => {}
                    _ => return Some(()),
                }
            }
        };
        tokio::select! {
            touched = touched => touched,
            () = progress.changed(Some(told)) => Some(()),
        }
    }
}

/// Whether the event may change what a message of the thread is waiting for.
fn touches(event: &Event, thread: ThreadId) -> bool {
    match event {
        Event::MessageChanged { message, .. } => message.thread == thread,
        Event::MessageRemoved { thread: of, .. } => *of == thread,
        _ => false,
    }
}
