//! The connection: connect, catch up, live, and again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use sealpost_wire as wire;
use sealpost_wire::limits::MAX_COUNT;
use tokio::time::{Instant, sleep, sleep_until};

use super::State;
use super::loss::Loss;
use super::pause::{Ended, Pause, Pauses};
use crate::account::tokens;
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::event::{ConnectionState, Event};
use crate::fault::{self, Station};
use crate::health::{Failure, Part};
use crate::receive::inbox;
use crate::store::{Gap, Generation};
use crate::transport::{self, Arrival, Arrivals, Listener, Socket};

/// A gap that was asked for, without an answer, is given up after this. The relay closes a connection on which nothing
/// moved for so long.
const GAP_GRACE: Duration = Duration::from_secs(60);
/// A gap that was answered is given so much more time: another process may have what is missing, in a transaction of its
/// own.
const ANSWERED_GRACE: Duration = Duration::from_secs(1);
/// Least time between two tokens on one socket, however short the relay says that they live.
const LEAST_REFRESH: Duration = Duration::from_secs(5);
/// How long a relay that does not accept this device is left alone, in milliseconds, unless the app says otherwise: it may be
/// restored from a better backup. As long again, at random.
const SIGNED_OUT_MS: u64 = 3_600_000;
/// How often gaps are looked at.
const GAP_PERIOD: Duration = Duration::from_secs(5);

/// Keeps a connection for as long as it is polled.
pub(crate) async fn run(ctx: Context, state: State) {
    let mut pauses = Pauses::default();
    let mut hints = ctx.transport.hints.listen();
    let mut anew = false;
    loop {
        state.set(ConnectionState::Connecting);
        let mut connection = Connection::new(&ctx, &state, anew, &mut hints);
        let end = connection.run().await;
        anew = matches!(end, End::Anew) || anew && matches!(end, End::Hinted);
        let Connection { socket, live_since, .. } = connection;
        ctx.transport.go_offline();
        let ended = match end {
            End::Hinted => {
                pauses.forget_outages();
                continue;
            }
            // On a connection that was let in, a token ran out: the next connection presents a new one.
            End::Failed(Error::Unauthorized) if socket.is_none() => {
                state.set(ConnectionState::SignedOut);
                let wait_ms = SIGNED_OUT_MS.saturating_add(ctx.env.jitter(SIGNED_OUT_MS));
                tokio::select! {
                    () = sleep(Duration::from_millis(wait_ms)) => {}
                    () = hints.hint() => pauses.forget_outages(),
                }
                continue;
            }
            End::Failed(error) => {
                tracing::debug!(%error, "the connection ended");
                if let Some(failure) = Failure::of(&error) {
                    ctx.health.failed(Part::Receiving, failure);
                }
                how(&error, socket.as_deref())
            }
            End::Drain(jitter) => Ended::Drained(jitter),
            End::Anew => Ended::Failed { asked: Duration::ZERO },
        };
        let lived = live_since.map(|since| since.elapsed());
        let Pause { least_ms, spread_ms } = pauses.after(ended, lived, ctx.transport.hints.foreground());
        let wait_ms = least_ms.saturating_add(ctx.env.jitter(spread_ms));
        state.set(ConnectionState::Offline);
        tokio::select! {
            () = sleep(Duration::from_millis(wait_ms)) => {}
            () = hints.hint() => pauses.forget_outages(),
        }
    }
}

/// How a connection ended; `socket` is the one that was let in.
fn how(error: &Error, socket: Option<&Socket>) -> Ended {
    match (error, socket) {
        (_, Some(socket)) if socket.was_replaced() => Ended::Replaced,
        (Error::Offline(Offline::Unreachable | Offline::TimedOut), None) => Ended::Outage,
        (Error::Offline(Offline::Busy(asked)), _) => Ended::Failed { asked: *asked },
        _ => Ended::Failed { asked: Duration::ZERO },
    }
}

/// How a connection ends.
enum End {
    /// The relay goes away, and asks for this much jitter.
    Drain(Duration),
    /// Something is missing that may have been on its way. All that we have not acknowledged comes again on another
    /// connection.
    Anew,
    /// The app says that there is a network again, and the attempt was still hanging.
    Hinted,
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
    hints: &'c mut Listener,
    /// The socket, once the relay took our token.
    socket: Option<Arc<Socket>>,
    /// Since when nothing waits: a connection that always breaks before counts as none.
    live_since: Option<Instant>,
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
    answered: Option<Instant>,
}

impl Asked {
    /// When what did not come by then is missing, unless an answer comes before.
    fn over(&self) -> Instant {
        let (from, grace) = self.answered.map_or((self.at, GAP_GRACE), |at| (at, ANSWERED_GRACE));
        from.checked_add(grace).unwrap_or(from)
    }
}

impl<'c> Connection<'c> {
    fn new(ctx: &'c Context, state: &'c State, anew: bool, hints: &'c mut Listener) -> Self {
        let (asked, loss) = (HashMap::new(), Loss::default());
        Self { ctx, state, hints, socket: None, live_since: None, anew, asked, loss }
    }

    async fn run(&mut self) -> End {
        match self.connect_and_serve().await {
            Err(end) => end,
            Ok(never) => match never {},
        }
    }

    async fn connect_and_serve(&mut self) -> Result<std::convert::Infallible, End> {
        let (socket, mut arrivals, welcome) = tokio::select! {
            connected = connect(self.ctx) => connected?,
            () = self.hints.hint() => return Err(End::Hinted),
        };
        let (mut expires_ms, epoch) = (self.welcomed(&welcome).await?, welcome.epoch);
        if welcome.needs_full_sync {
            self.loss.reported(welcome.trimmed);
        }
        self.socket = Some(Arc::clone(&socket));
        self.state.set(ConnectionState::CatchingUp);
        socket.drain_mailbox().await?;
        self.ctx.transport.go_live(Arc::clone(&socket));
        let mut gap_check = tokio::time::interval(GAP_PERIOD);
        let mut presented = Instant::now();
        loop {
            let until_refresh =
                expires_ms.saturating_sub(tokens::MARGIN_MS).saturating_sub(self.ctx.server_now_ms());
            let until_refresh =
                Duration::from_millis(until_refresh).max(LEAST_REFRESH.saturating_sub(presented.elapsed()));
            let answered_gaps = self.asked.values().filter(|asked| asked.answered.is_some());
            let next_gap = answered_gaps.map(Asked::over).min();
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
                () = self.hints.hint() => {
                    socket.probe();
                    self.hurry().await?;
                }
                () = sleep_until(next_gap.unwrap_or(presented)), if next_gap.is_some() => {
                    self.check_gaps(&socket).await?;
                }
                ends = self.loss.surveyed() => self.loss.drain(ends, &socket).await?,
                _ = gap_check.tick() => {
                    self.check_gaps(&socket).await?;
                    self.loss.settle(self.ctx, epoch, &socket).await?;
                }
            }
        }
    }

    /// Sends what waits for its next attempt: on another network it may work.
    async fn hurry(&self) -> Result<()> {
        self.ctx.store.write(|tx| tx.hurry_lanes()).await?;
        self.ctx.outbox.notify_one();
        Ok(())
    }

    /// Presents a fresh token on the live socket.
    async fn present(&self, socket: &Socket, token: &str) -> Result<u64> {
        let welcome = socket.hello(hello(self.ctx, token, Introduction::Again).await?).await?;
        self.welcomed(&welcome).await
    }

    /// Writes down what the relay says about itself. When its store was restored from a backup (a new epoch),
    /// what it may have lost is submitted again.
    async fn welcomed(&self, welcome: &wire::Welcome) -> Result<u64> {
        let offset = self.ctx.learn_server_time(welcome.server_time_ms);
        let epoch = welcome.epoch;
        let resubmit_from_ms = self.ctx.server_now_ms().saturating_sub(wire::limits::DEDUPE_WINDOW_MS);
        let version = welcome.store_version.clone();
        let known = known_generation(welcome);
        let (now_ms, ctx) = (self.ctx.server_now_ms(), self.ctx.clone());
        let work = self.ctx.store.write(move |tx| {
            let (account, _) = tx.our_account()?;
            // Not while the relay is restored, too, and knows an earlier one: then it is the relay that has lost something.
            if let Some(known) = known
                && tx.is_older_than(known)?
            {
                tracing::warn!("this database is older than what the relay has talked with");
                tx.recover_as_copy(known, now_ms, || ctx.new_client_msg_id())?;
            }
            if account.epoch != 0 && epoch > account.epoch {
                let again = tx.resubmit_unproven(resubmit_from_ms)?;
                tx.accept_again()?;
                tracing::info!(again, "the relay has a new epoch");
                tx.emit(Event::RelayRestored);
            }
            tx.set_epoch(epoch.max(account.epoch))?;
            if (1..=wire::limits::MAX_OPAQUE).contains(&version.len()) {
                tx.set_store_version(&version)?;
            }
            tx.set_clock_offset(offset)?;
            Ok((tx.hurry_lanes()?, tx.has_lost_pre_keys()?))
        });
        let ((), lost_pre_keys) = work.await?;
        if lost_pre_keys {
            self.ctx.upkeep.keys_low.notify_one();
        }
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
                    answered.for_each(|asked| asked.answered = Some(Instant::now()));
                    synced = true;
                }
                Arrival::Trimmed(total) => self.loss.reported(total),
                Arrival::KeysLow => self.ctx.upkeep.keys_low.notify_one(),
                Arrival::StoreVersion(version) => {
                    self.ctx.store.write(move |tx| tx.set_store_version(&version)).await?;
                }
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
            self.live_since.get_or_insert_with(Instant::now);
            self.state.set(ConnectionState::Live);
            self.ctx.health.recovered(Part::Receiving);
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
        self.ctx.health.recovered(Part::Receiving);
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
            let asked = Asked { request: socket.fetch_gaps(&new).await?, at: Instant::now(), answered: None };
            self.asked.extend(new.into_iter().map(|gap| (gap, asked)));
        }
        let now = Instant::now();
        let over = self.asked.iter_mut().filter(|(_, asked)| asked.over() <= now);
        let mut lost = Vec::new();
        for (gap, asked) in over {
            lost.push(*gap);
            // Looked at again after another grace, if nothing comes of it now.
            asked.answered = Some(now);
        }
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

/// A socket that was greeted. A token that is refused is replaced once.
async fn connect(ctx: &Context) -> Result<(Arc<Socket>, Arrivals, wire::Welcome)> {
    let token = tokens::access(ctx).await?;
    Ok(match ctx.transport.connect(hello(ctx, &token, Introduction::First).await?).await {
        Err(transport::Error::Unauthorized) => {
            let token = tokens::replace_refused(ctx, &token).await?;
            ctx.transport.connect(hello(ctx, &token, Introduction::First).await?).await?
        }
        other => other?,
    })
}

/// Whether a `Hello` begins a connection, or only shows a fresh token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Introduction {
    First,
    Again,
}

/// What the relay knew of our database before this connection, if it says something that makes sense.
fn known_generation(welcome: &wire::Welcome) -> Option<Generation> {
    let known = welcome.generation.as_ref().filter(|known| known.number <= MAX_COUNT)?;
    Some(Generation { number: known.number, nonce: known.nonce.as_ref().try_into().ok()? })
}

async fn hello(ctx: &Context, token: &str, introduction: Introduction) -> Result<wire::Hello> {
    let nonce = ctx.env.rng().random();
    let work = ctx.store.write(move |tx| {
        let (account, us) = tx.our_account()?;
        let generation = match introduction {
            Introduction::First => Some(tx.begin_generation(nonce)?),
            Introduction::Again => None,
        };
        Ok((account, us, tx.store_version()?, generation))
    });
    let (account, us, store_version, generation) = work.await?;
    let generation = generation
        .map(|Generation { number, nonce }| wire::Generation { number, nonce: nonce.to_vec().into() });
    Ok(wire::Hello {
        access_token: token.to_owned(),
        device_id: us.device.get(),
        epoch_seen: account.epoch,
        credit: wire::limits::MAX_CREDIT,
        max_batch_bytes: 0,
        features: Vec::new(),
        store_version: store_version.into(),
        generation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answered_gap_is_given_a_moment_and_an_unanswered_one_a_minute() {
        let at = Instant::now();
        let later = |seconds| at.checked_add(Duration::from_secs(seconds)).unwrap();
        let mut asked = Asked { request: 1, at, answered: None };
        assert_eq!(asked.over(), later(60));
        // Counted from the answer: another process may be about to store what is missing.
        asked.answered = Some(later(2));
        assert_eq!(asked.over(), later(3));
    }

    #[test]
    fn only_what_never_reached_the_relay_is_an_outage() {
        let outage = |error| matches!(how(&error, None), Ended::Outage);
        assert!(outage(Offline::Unreachable.into()));
        assert!(outage(Offline::TimedOut.into()));
        assert!(!outage(Offline::NotARelay.into()));
        assert!(!outage(Offline::Untrusted.into()));
        let busy = Error::Offline(Offline::Busy(Duration::from_secs(7)));
        assert!(matches!(how(&busy, None), Ended::Failed { asked } if asked.as_secs() == 7));
    }
}
