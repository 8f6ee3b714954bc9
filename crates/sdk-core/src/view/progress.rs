//! When to look again at what queued messages are waiting for.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::context::Context;
use crate::env::Env;
use crate::id::ThreadId;
use crate::send::wait;
use crate::store::SendProgress;
use crate::transport::Socket;
use crate::waiting::{WaitReasons, Waiting};

/// The longest time between two looks, because a clock that is set changes what is due.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What is not in the database of the reasons for which a message waits.
pub(super) struct Progress {
    env: Env,
    reasons: Arc<WaitReasons>,
    /// Changes whenever an attempt was put off.
    put_off: watch::Receiver<()>,
    /// Changes with the connection.
    live: watch::Receiver<Option<Arc<Socket>>>,
}

impl Progress {
    pub(super) fn new(ctx: &Context) -> Self {
        Self {
            env: ctx.env.clone(),
            reasons: Arc::clone(&ctx.wait_reasons),
            put_off: ctx.wait_reasons.changes(),
            live: ctx.transport.live_changes(),
        }
    }

    /// What changes from here on is noticed by [`changed`](Self::changed). Call it before reading the database.
    pub(super) fn mark_seen(&mut self) {
        self.put_off.mark_unchanged();
        self.live.mark_unchanged();
    }

    /// What a queued message of a thread is waiting for.
    pub(super) fn describe(&self, thread: ThreadId, queued: &SendProgress) -> Waiting {
        let is_live = self.live.borrow().is_some();
        wait::describe(queued, is_live, self.reasons.of(thread), self.env.now_ms())
    }

    /// Returns when what a message is waiting for may have changed; never if nothing waits.
    pub(super) async fn changed(&mut self, told: Option<Waiting>) {
        let Some(told) = told else { return pending().await };
        let due_in = told.next_ms.map_or(LONGEST_PAUSE, |next_ms| {
            Duration::from_millis(next_ms.saturating_sub(self.env.now_ms()))
        });
        tokio::select! {
            Ok(()) = self.put_off.changed() => {}
            Ok(()) = self.live.changed() => {}
            () = sleep(LONGEST_PAUSE.min(due_in)) => {}
        }
    }
}
