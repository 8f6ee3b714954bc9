//! What a queued message is waiting for, followed until it is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::sync::watch;
use tokio::time::sleep;

use super::watch::{Next, Watch};
use crate::context::Context;
use crate::env::Env;
use crate::error::Result;
use crate::event::Event;
use crate::id::{MessageId, ThreadId};
use crate::send::wait;
use crate::store::{Rows, WeakStore};
use crate::stream::{Source, Streamed};
use crate::transport::Socket;
use crate::waiting::{WaitReasons, Waiting};

/// The longest time between two looks, because a clock that is set changes what is due.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What a queued message is waiting for: at the start, and again whenever it changes. It ends when the message is no
/// longer queued. It is also a [`Stream`].
#[derive(Debug)]
pub struct Waits(Streamed<Changes>);

/// The source of the changes.
struct Changes {
    thread: ThreadId,
    message: MessageId,
    store: WeakStore,
    env: Env,
    reasons: Arc<WaitReasons>,
    /// Changes whenever an attempt was put off.
    put_off: watch::Receiver<()>,
    /// Changes with the connection.
    live: watch::Receiver<Option<Arc<Socket>>>,
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
            env: ctx.env.clone(),
            reasons: Arc::clone(&ctx.wait_reasons),
            put_off: ctx.wait_reasons.changes(),
            live: ctx.transport.live_changes(),
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
            // What changes from here on is noticed below.
            self.put_off.mark_unchanged();
            let is_live = self.live.borrow_and_update().is_some();
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
            let now_ms = self.env.now_ms();
            let waiting = wait::describe(&queued, is_live, self.reasons.of(thread), now_ms);
            if self.told.replace(waiting) != Some(waiting) {
                return Some(Ok(waiting));
            }
            self.change(waiting.next_ms.map(|next_ms| next_ms.saturating_sub(now_ms))).await?;
        }
        None
    }
}

impl Changes {
    /// Returns when something may have changed; `None` if the client is gone.
    async fn change(&mut self, due_in_ms: Option<u64>) -> Option<()> {
        let pause = LONGEST_PAUSE.min(Duration::from_millis(due_in_ms.unwrap_or(u64::MAX)));
        let thread = self.thread;
        let (watch, put_off, live) = (&mut self.watch, &mut self.put_off, &mut self.live);
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
            Ok(()) = put_off.changed() => Some(()),
            Ok(()) = live.changed() => Some(()),
            () = sleep(pause) => Some(()),
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
