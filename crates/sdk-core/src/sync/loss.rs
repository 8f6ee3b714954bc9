//! Handles rows that the relay has trimmed from our mailbox. It finds out which messages are missing, so that the app
//! can show this, and then acknowledges the loss, so that the relay does not report it again.
//!
//! The relay says up to which sequence number each thread reaches. The mailbox is then fetched once more, and
//! whatever is still missing up to that number was trimmed.

use tokio::task::JoinSet;

use crate::account::tokens;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::id::ThreadId;
use crate::transport::Socket;

/// A thread, and its last sequence number at the relay.
type End = (ThreadId, u64);

/// What is known about the loss on one connection. It may be forgotten at any time, because the relay reports the
/// loss again on the next connection.
#[derive(Default)]
pub(super) struct Loss {
    /// The total number of trimmed rows in the newest report that has not been acknowledged.
    reported: Option<u64>,
    /// Whether the mailbox has been fetched to its end since the last request for it.
    drained: bool,
    stage: Stage,
    survey: JoinSet<Result<Vec<End>>>,
}

#[derive(Default)]
enum Stage {
    #[default]
    Idle,
    /// The relay is being asked how far the threads reach, because of a report with this total.
    Surveying(u64),
    /// The mailbox is being fetched.
    Draining(u64, Vec<End>),
    /// The mailbox has been fetched, so the missing messages are known.
    Drained(u64, Vec<End>),
}

impl Loss {
    /// Handles a report that this many rows have been trimmed in total.
    pub(super) fn reported(&mut self, total: u64) {
        self.reported = Some(total);
    }

    /// Records that the mailbox has been fetched to its end.
    pub(super) fn drained(&mut self) {
        self.drained = true;
        self.stage = match std::mem::take(&mut self.stage) {
            Stage::Draining(total, ends) => Stage::Drained(total, ends),
            other => other,
        };
    }

    /// Begins to handle a report, once no other fetch is running: otherwise the end of that fetch would be mistaken
    /// for the end of this one.
    pub(super) fn go_on(&mut self, ctx: &Context) {
        if let (true, Stage::Idle, Some(total)) = (self.drained, &self.stage, self.reported) {
            self.survey.spawn(survey(ctx.clone()));
            self.stage = Stage::Surveying(total);
        }
    }

    /// Waits for the answers about the threads. Never completes if none were asked for.
    pub(super) async fn surveyed(&mut self) -> Result<Vec<End>> {
        match self.survey.join_next().await {
            Some(Ok(ends)) => ends,
            Some(Err(_)) => Err(Error::Bug("a panic while checking threads for losses")),
            None => std::future::pending().await,
        }
    }

    /// Fetches the mailbox, now that it is known how far the threads reach.
    ///
    /// # Errors
    /// Fails if the socket is closed.
    pub(super) async fn drain(&mut self, ends: Result<Vec<End>>, socket: &Socket) -> Result<()> {
        let Stage::Surveying(total) = self.stage else { return Ok(()) };
        self.drained = false;
        match ends {
            Ok(ends) => {
                self.stage = Stage::Draining(total, ends);
                Ok(socket.drain_mailbox().await?)
            }
            // It is tried again on the next connection.
            Err(error) => {
                tracing::debug!(%error, "the ends of the threads could not be requested");
                self.stage = Stage::Idle;
                Ok(())
            }
        }
    }

    /// Records the missing messages, then acknowledges the loss to the relay. Does nothing while it is not known
    /// which messages are missing.
    ///
    /// # Errors
    /// Returns [`Error::Storage`], or an error if the socket is closed.
    pub(super) async fn settle(&mut self, ctx: &Context, epoch: u64, socket: &Socket) -> Result<()> {
        let Stage::Drained(total, ends) = &self.stage else {
            self.go_on(ctx);
            return Ok(());
        };
        let (total, ends) = (*total, ends.clone());
        let known = ctx.store.write(move |tx| {
            let mut all = true;
            for (thread, last) in ends {
                all &= tx.miss_up_to(thread, epoch, last)?;
            }
            Ok(all)
        });
        if known.await? {
            socket.acknowledge_trimmed(total).await?;
            self.reported = self.reported.filter(|reported| *reported > total);
            self.stage = Stage::Idle;
        }
        Ok(())
    }
}

async fn survey(ctx: Context) -> Result<Vec<End>> {
    let threads = ctx.store.read(|rows| rows.threads_with_others()).await?;
    let mut ends = Vec::with_capacity(threads.len());
    for id in threads {
        match tokens::with_access(&ctx, |http, token| async move { http.thread(&token, id).await }).await {
            Ok(found) if found.last_seq <= sealpost_wire::limits::MAX_COUNT => {
                ends.push((id, found.last_seq))
            }
            // No honest relay counts as high as this. If the relay does not know the thread, it holds none of its
            // messages.
            Ok(_) | Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ends)
}
