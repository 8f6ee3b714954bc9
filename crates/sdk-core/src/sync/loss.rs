//! Rows that the relay has trimmed from our mailbox: which messages are missing, so that the person is told, and then that
//! we know, so that the relay need not tell us again.
//!
//! The relay says how far each thread reaches. Then everything in the mailbox is fetched once more. What is still missing
//! up to there was trimmed.

use tokio::task::JoinSet;

use crate::account::tokens;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::id::ThreadId;
use crate::transport::Socket;

/// How far a thread reaches at the relay.
type End = (ThreadId, u64);

/// What is known of it on one connection. It may be forgotten at any time: the relay tells again on the next one.
#[derive(Default)]
pub(super) struct Loss {
    /// How many rows were ever trimmed, by the newest report that has not been acknowledged.
    reported: Option<u64>,
    /// The mailbox was fetched to its end, and nothing was asked since.
    drained: bool,
    stage: Stage,
    survey: JoinSet<Result<Vec<End>>>,
}

#[derive(Default)]
enum Stage {
    #[default]
    Idle,
    /// The relay is asked how far the threads reach, because of a report of so many.
    Surveying(u64),
    /// The mailbox is fetched.
    Draining(u64, Vec<End>),
    /// It has been: what is missing is known.
    Drained(u64, Vec<End>),
}

impl Loss {
    /// The relay reports that so many rows were ever trimmed.
    pub(super) fn reported(&mut self, total: u64) {
        self.reported = Some(total);
    }

    /// What the mailbox held has come.
    pub(super) fn drained(&mut self) {
        self.drained = true;
        self.stage = match std::mem::take(&mut self.stage) {
            Stage::Draining(total, ends) => Stage::Drained(total, ends),
            other => other,
        };
    }

    /// Begins with a report, once nothing else is fetched: the end of that would be taken for the end of ours.
    pub(super) fn go_on(&mut self, ctx: &Context) {
        if let (true, Stage::Idle, Some(total)) = (self.drained, &self.stage, self.reported) {
            self.survey.spawn(survey(ctx.clone()));
            self.stage = Stage::Surveying(total);
        }
    }

    /// Waits for the answers about the threads, and for ever if nobody asks.
    pub(super) async fn surveyed(&mut self) -> Result<Vec<End>> {
        match self.survey.join_next().await {
            Some(Ok(ends)) => ends,
            Some(Err(_)) => Err(Error::Bug("a panic while threads are looked at")),
            None => std::future::pending().await,
        }
    }

    /// Fetches the mailbox, now that it is known how far the threads reach.
    ///
    /// # Errors
    /// When the socket is gone.
    pub(super) async fn drain(&mut self, ends: Result<Vec<End>>, socket: &Socket) -> Result<()> {
        let Stage::Surveying(total) = self.stage else { return Ok(()) };
        self.drained = false;
        match ends {
            Ok(ends) => {
                self.stage = Stage::Draining(total, ends);
                Ok(socket.drain_mailbox().await?)
            }
            // The next connection begins again.
            Err(error) => {
                tracing::debug!(%error, "the relay does not say how far the threads reach");
                self.stage = Stage::Idle;
                Ok(())
            }
        }
    }

    /// Tells the person what is missing, then the relay that we know. Nothing, while that is not known.
    ///
    /// # Errors
    /// [`Error::Storage`], or when the socket is gone.
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
    let threads = ctx.store.read(|rows| rows.threads()).await?;
    let mut ends = Vec::with_capacity(threads.len());
    for thread in threads {
        let id = thread.id;
        match tokens::with_access(&ctx, |http, token| async move { http.thread(&token, id).await }).await {
            Ok(found) if found.last_seq <= sealpost_wire::limits::MAX_COUNT => {
                ends.push((id, found.last_seq))
            }
            // No honest relay counts so far; and of a thread that it does not know, it has nothing.
            Ok(_) | Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ends)
}
