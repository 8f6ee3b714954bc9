//! What an app is to show as notifications, and what it is to take back.

use std::fmt;

use super::watch::{Next, Watch};
use crate::context::Context;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::message::Notice;
use crate::store::{DueNotices, Rows, WeakStore};

/// How many new messages without a notice are examined before that is recorded.
const RECORDED_AFTER: usize = 100;

/// What an app is to show as notifications, and what it is to take back, each once, also after a restart of the process. A batch is due
/// until it is [confirmed](Self::confirm): if the process ends between showing and confirming, it is told again. Messages that
/// are in the database when notices are first used by an account, or from before this version, are not shown.
pub struct Notices {
    store: WeakStore,
    env: Env,
    watch: Watch,
    /// What was returned last, and was not confirmed.
    told: Option<DueNotices>,
}

impl Notices {
    pub(crate) fn new(ctx: &Context) -> Self {
        let watch = Watch::new(&ctx.events);
        Self { store: ctx.store.downgrade(), env: ctx.env.clone(), watch, told: None }
    }

    /// Waits until something is to be done, and returns it, at most `max` (at least 1) at a time; `None` if the client is gone. What was
    /// returned before and not confirmed is returned again. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage) if the database cannot be read; the next call tries again.
    pub async fn next_batch(&mut self, max: usize) -> Option<Result<Vec<Notice>>> {
        if self.told.take().is_some() {
            self.watch.look_again();
        }
        loop {
            match self.watch.next().await? {
                Next::Event(event) if !touches(&event) => continue,
                Next::Event(_) | Next::Look => {}
            }
            let (limit, now_ms) = (max.max(1), self.env.now_ms());
            let read = move |rows: &Rows<'_>| rows.due_notices(limit, now_ms);
            let due = match self.watch.look_when_open(&self.store, read).await? {
                Ok(due) => due,
                Err(error) => return Some(Err(error)),
            };
            if !due.notices.is_empty() {
                let notices = due.notices.clone();
                self.told = Some(due);
                return Some(Ok(notices));
            }
            if due.examined >= RECORDED_AFTER
                && let Err(error) = self.record(due).await
            {
                return Some(Err(error));
            }
        }
    }

    /// Records that the app has done what the last batch says.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage): the batch is returned again.
    pub async fn confirm(&mut self) -> Result<()> {
        match self.told.clone() {
            Some(told) => {
                self.record(told).await?;
                self.told = None;
                Ok(())
            }
            None => Ok(()),
        }
    }

    async fn record(&mut self, done: DueNotices) -> Result<()> {
        let store = self.store.upgrade().ok_or(Error::Misuse("the client is gone"))?;
        store.write(move |tx| tx.confirm_notices(&done)).await?;
        // There may be more.
        self.watch.look_again();
        Ok(())
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notices")
    }
}

/// Whether an event may make a notice due.
const fn touches(event: &Event) -> bool {
    matches!(
        event,
        Event::MessageAdded(_)
            | Event::MessageChanged { .. }
            | Event::MessageRemoved { .. }
            | Event::ThreadChanged(_)
    )
}
