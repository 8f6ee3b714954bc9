//! The connection: connect, catch up, live, and again.

use std::collections::HashMap;
use std::time::Duration;

use sealpost_wire as wire;
use tokio::time::{Instant, sleep};

use super::State;
use super::loss::Loss;
use crate::account::tokens;
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::event::ConnectionState;
use crate::fault::{self, Station};
use crate::receive::inbox;
use crate::send::backoff_ms;
use crate::store::Gap;
use crate::transport::{self, Arrival, Arrivals, Socket};

/// A gap that was asked for, without an answer, is given up after this. The relay closes a connection on which nothing
/// moved for so long.
const GAP_GRACE: Duration = Duration::from_secs(60);
/// Longest wait that the relay can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Least time between two tokens on one socket, however short the relay says that they live.
const LEAST_REFRESH: Duration = Duration::from_secs(5);
/// How often gaps are looked at.
const GAP_PERIOD: Duration = Duration::from_secs(5);

/// Keeps a connection for as long as it is polled, or until the relay no longer accepts this device.
pub(crate) async fn run(ctx: Context, state: State) {
    let mut failures = 0;
    let mut anew = false;
    loop {
        state.set(ConnectionState::Connecting);
        let mut connection = Connection::new(&ctx, &state, anew);
        let error = connection.run().await;
        anew = matches!(error, End::Anew);
        let Connection { let_in, was_live, .. } = connection;
        ctx.transport.go_offline();
        let wait_ms = match error {
            End::Drain(jitter) => ctx.env.jitter(within_reason_ms(jitter)),
            End::Anew => backoff_ms(&ctx.env, 1),
            // On a connection that was let in, a token ran out: the next connection presents a new one.
            End::Failed(Error::Unauthorized) if !let_in => {
                state.set(ConnectionState::SignedOut);
                return;
            }
            End::Failed(error) => {
                tracing::debug!(%error, "the connection ended");
                failures = if was_live { 1 } else { u32::saturating_add(failures, 1) };
                let asked = match error {
                    Error::Offline(Offline::Busy(wait)) => within_reason_ms(wait),
                    _ => 0,
                };
                backoff_ms(&ctx.env, failures).saturating_add(asked)
            }
        };
        state.set(ConnectionState::Offline);
        tokio::select! {
            () = sleep(Duration::from_millis(wait_ms)) => {}
            () = ctx.reconnect.notified() => {}
        }
    }
}

/// A wait that the relay asks for, in milliseconds; not longer than a person would believe.
fn within_reason_ms(wait: Duration) -> u64 {
    u64::try_from(wait.min(LONGEST_WAIT).as_millis()).unwrap_or(0)
}

/// How a connection ends.
enum End {
    /// The relay goes away, and asks for this much jitter.
    Drain(Duration),
    /// Something is missing that may have been on its way. All that we have not acknowledged comes again on another
    /// connection.
    Anew,
    Failed(Error),
}

impl<E: Into<Error>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

struct Connection<'c> {
    ctx: &'c Context,
    state: &'c State,
    /// Whether the relay took our token.
    let_in: bool,
    /// Whether it got as far as to have nothing waiting: one that always breaks before counts as none.
    was_live: bool,
    /// Whether the one before ended because something was missing.
    anew: bool,
    /// Gaps that were asked for on this connection.
    asked: HashMap<Gap, Asked>,
    loss: Loss,
}

/// How a gap was asked for.
#[derive(Clone, Copy)]
struct Asked {
    request: u64,
    at: Instant,
    answered: bool,
}

impl<'c> Connection<'c> {
    fn new(ctx: &'c Context, state: &'c State, anew: bool) -> Self {
        let (asked, loss) = (HashMap::new(), Loss::default());
        Self { ctx, state, let_in: false, was_live: false, anew, asked, loss }
    }

    async fn run(&mut self) -> End {
        match self.connect_and_serve().await {
            Err(end) => end,
            Ok(never) => match never {},
        }
    }

    async fn connect_and_serve(&mut self) -> Result<std::convert::Infallible, End> {
        let (socket, mut arrivals, welcome) = self.connect().await?;
        let (mut expires_ms, epoch) = (self.welcomed(&welcome).await?, welcome.epoch);
        if welcome.needs_full_sync {
            self.loss.reported(welcome.trimmed);
        }
        self.let_in = true;
        self.state.set(ConnectionState::CatchingUp);
        socket.drain_mailbox().await?;
        self.ctx.transport.go_live(std::sync::Arc::clone(&socket));
        let mut gap_check = tokio::time::interval(GAP_PERIOD);
        let mut presented = Instant::now();
        loop {
            let until_refresh =
                expires_ms.saturating_sub(tokens::MARGIN_MS).saturating_sub(self.ctx.server_now_ms());
            let until_refresh =
                Duration::from_millis(until_refresh).max(LEAST_REFRESH.saturating_sub(presented.elapsed()));
            tokio::select! {
                arrival = arrivals.recv() => match arrival {
                    Some(arrival) => self.arrived(arrival, &socket, &mut arrivals).await?,
                    None => return Err(socket.ended().into()),
                },
                () = sleep(until_refresh) => {
                    let token = tokens::access(self.ctx).await?;
                    expires_ms = self.present(&socket, &token).await?;
                    presented = Instant::now();
                }
                ends = self.loss.surveyed() => self.loss.drain(ends, &socket).await?,
                _ = gap_check.tick() => {
                    self.check_gaps(&socket).await?;
                    self.loss.settle(self.ctx, epoch, &socket).await?;
                }
            }
        }
    }

    /// A socket that was greeted. A token that is refused is replaced once.
    async fn connect(&self) -> Result<(std::sync::Arc<Socket>, Arrivals, wire::Welcome)> {
        let token = tokens::access(self.ctx).await?;
        let hello = self.hello(&token).await?;
        Ok(match self.ctx.transport.connect(hello).await {
            Err(transport::Error::Unauthorized) => {
                let token = tokens::replace_refused(self.ctx, &token).await?;
                let hello = self.hello(&token).await?;
                self.ctx.transport.connect(hello).await?
            }
            other => other?,
        })
    }

    /// Presents a fresh token on the live socket.
    async fn present(&self, socket: &Socket, token: &str) -> Result<u64> {
        let welcome = socket.hello(self.hello(token).await?).await?;
        self.welcomed(&welcome).await
    }

    async fn hello(&self, token: &str) -> Result<wire::Hello> {
        let (account, us) = self.ctx.store.read(|rows| rows.our_account()).await?;
        Ok(wire::Hello {
            access_token: token.to_owned(),
            device_id: us.device.get(),
            epoch_seen: account.epoch,
            credit: wire::limits::MAX_CREDIT,
            max_batch_bytes: 0,
            features: Vec::new(),
        })
    }

    /// Writes down what the relay says about itself. When its store was restored from a backup (a new epoch),
    /// what it may have lost is submitted again.
    async fn welcomed(&self, welcome: &wire::Welcome) -> Result<u64> {
        let offset = self.ctx.learn_server_time(welcome.server_time_ms);
        let epoch = welcome.epoch;
        let resubmit_from_ms = self.ctx.server_now_ms().saturating_sub(wire::limits::DEDUPE_WINDOW_MS);
        let work = self.ctx.store.write(move |tx| {
            let (account, _) = tx.our_account()?;
            if account.epoch != 0 && epoch > account.epoch {
                let again = tx.resubmit_unproven(resubmit_from_ms)?;
                tx.accept_again()?;
                tracing::info!(again, "the relay has a new epoch");
            }
            tx.set_epoch(epoch.max(account.epoch))?;
            tx.set_clock_offset(offset)?;
            tx.hurry_lanes()
        });
        work.await?;
        self.ctx.outbox.notify_one();
        self.ctx.upkeep.to_accept.notify_one();
        Ok(welcome.access_expires_ms)
    }

    async fn arrived(&mut self, first: Arrival, socket: &Socket, arrivals: &mut Arrivals) -> Result<(), End> {
        let mut batch = Vec::new();
        let mut next = Some(first);
        let mut drained = false;
        let mut synced = false;
        // What has arrived by now goes into one transaction.
        while let Some(arrival) = next.take() {
            match arrival {
                Arrival::Deliver(deliver) => batch.push(deliver),
                Arrival::QueueEmpty => drained = true,
                Arrival::Synced(request) => {
                    let answered = self.asked.values_mut().filter(|asked| asked.request == request);
                    answered.for_each(|asked| asked.answered = true);
                    synced = true;
                }
                Arrival::Trimmed(total) => self.loss.reported(total),
                Arrival::KeysLow => self.ctx.upkeep.keys_low.notify_one(),
                Arrival::Reconnect(jitter) => {
                    self.receive(batch, socket).await?;
                    return Err(End::Drain(jitter));
                }
            }
            if batch.len() < inbox::BATCH {
                next = arrivals.try_recv().ok();
            }
        }
        self.receive(batch, socket).await?;
        if drained {
            self.was_live = true;
            self.state.set(ConnectionState::Live);
            self.loss.drained();
        }
        if drained || synced {
            self.check_gaps(socket).await?;
        }
        self.loss.go_on(self.ctx);
        Ok(())
    }

    async fn receive(&self, batch: Vec<wire::Deliver>, socket: &Socket) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let handled = inbox::receive(self.ctx, batch).await?;
        socket.acknowledge(handled).await?;
        fault::at(Station::Acknowledged);
        Ok(())
    }

    /// Asks for the places that are missing; gives up on those that did not come.
    async fn check_gaps(&mut self, socket: &Socket) -> Result<(), End> {
        let gaps = self.ctx.store.read(|rows| rows.gaps()).await?;
        self.asked.retain(|gap, _| gaps.contains(gap));
        // The others have their turn at the next look.
        let room = wire::limits::MAX_CURSORS.saturating_sub(self.asked.len());
        let new: Vec<_> = gaps.into_iter().filter(|gap| !self.asked.contains_key(gap)).take(room).collect();
        if !new.is_empty() {
            let asked =
                Asked { request: socket.fetch_gaps(&new).await?, at: Instant::now(), answered: false };
            self.asked.extend(new.into_iter().map(|gap| (gap, asked)));
        }
        let over = |asked: &Asked| asked.answered || asked.at.elapsed() > GAP_GRACE;
        let lost: Vec<_> = self.asked.iter().filter(|(_, asked)| over(asked)).map(|(gap, _)| *gap).collect();
        if lost.is_empty() {
            return Ok(());
        }
        if self.anew {
            let work = self.ctx.store.write(|tx| lost.into_iter().try_for_each(|gap| tx.give_up_on(gap)));
            return Ok(work.await?);
        }
        // What the relay has sent on a connection it does not send again on that one. A place may also be that of a
        // message of ours, whose answer is on its way.
        let known = self.ctx.store.read(move |rows| {
            let mut threads = lost.iter().map(|gap| rows.has_unanswered(gap.thread));
            threads.try_fold(false, |known, unanswered| Ok(known || !unanswered?))
        });
        if known.await? { Err(End::Anew) } else { Ok(()) }
    }
}
