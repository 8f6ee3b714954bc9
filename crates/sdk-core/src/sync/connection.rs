//! The connection to the relay: it connects, catches up, is live, and connects again.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use sealpost_protocol::UnixSeconds;
use sealpost_wire as wire;
use sealpost_wire::limits::MAX_COUNT;
use tokio::time::{Instant, sleep, sleep_until};

use super::State;
use super::gaps::{Gaps, Missing};
use super::loss::Loss;
use super::pause::{Ended, Pause, Pauses};
use crate::account::tokens;
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::event::{ConnectionState, Event};
use crate::fault::{self, Station};
use crate::health::{Failure, Part};
use crate::receive::inbox::{self, Delivered};
use crate::store::{Footprint, Generation};
use crate::thread::queue_delivery_receipt;
use crate::transport::{self, Arrival, Arrivals, Listener, Socket};

/// The least time between two tokens on one socket, however short the lifetime that the relay states.
const LEAST_REFRESH: Duration = Duration::from_secs(5);
/// The time between attempts at a relay that does not accept this device, in milliseconds, unless the app asks for one: the
/// relay may be restored from a better backup. A random part of up to as much again is added.
const SIGNED_OUT_MS: u64 = 3_600_000;
/// How often gaps are checked.
const GAP_PERIOD: Duration = Duration::from_secs(5);

/// Keeps a connection open for as long as this is polled.
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
            // On a connection that had been accepted, a token expired: the next connection presents a new one.
            End::Failed(error @ (Error::Unauthorized | Error::UnknownDevice | Error::Unlinked))
                if socket.is_none() || matches!(error, Error::Unlinked) =>
            {
                state.sign_out(&error);
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
                ending(&error, socket.as_deref())
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

/// How a connection ended. `socket` is present if the relay had accepted it.
fn ending(error: &Error, socket: Option<&Socket>) -> Ended {
    match (error, socket) {
        (_, Some(socket)) if socket.was_replaced() => Ended::Replaced,
        (Error::Offline(Offline::Unreachable | Offline::TimedOut), None) => Ended::Outage,
        (Error::Offline(Offline::Busy(asked)), _) => Ended::Failed { asked: *asked },
        _ => Ended::Failed { asked: Duration::ZERO },
    }
}

/// How a connection ends.
enum End {
    /// The relay is shutting down, and asks clients to spread their reconnections over this time.
    Drain(Duration),
    /// Something is missing that may have been in flight. On another connection, the relay delivers everything again that
    /// was not acknowledged.
    Anew,
    /// The app says that there is a network again, while the attempt was still waiting.
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
    /// The socket, once the relay has accepted our token.
    socket: Option<Arc<Socket>>,
    /// Since when nothing is waiting at the relay. A connection that ends before that does not count as one that lasted.
    live_since: Option<Instant>,
    gaps: Gaps,
    loss: Loss,
}

impl<'c> Connection<'c> {
    fn new(ctx: &'c Context, state: &'c State, anew: bool, hints: &'c mut Listener) -> Self {
        let (gaps, loss) = (Gaps::new(anew), Loss::default());
        Self { ctx, state, hints, socket: None, live_since: None, gaps, loss }
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
            let next_gap = self.gaps.next_deadline();
            tokio::select! {
                // There is no token for this device any more.
                () = self.ctx.events.unlinked() => drop(tokens::access(self.ctx).await?),
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

    /// Makes entries that wait for their next attempt due now, because it may succeed on another network.
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

    /// Stores what the relay states about itself. If its store was restored from a backup (a new epoch), what it may have
    /// lost is submitted again.
    async fn welcomed(&self, welcome: &wire::Welcome) -> Result<u64> {
        let clocks = self.ctx.learn_server_time(welcome.server_time_ms);
        let epoch = welcome.epoch;
        let resubmit_from_ms = self.ctx.server_now_ms().saturating_sub(wire::limits::DEDUPE_WINDOW_MS);
        let version = welcome.store_version.clone();
        let known = known_generation(welcome);
        let (now_ms, ctx) = (self.ctx.server_now_ms(), self.ctx.clone());
        let work = self.ctx.store.write(move |tx| {
            let (account, _) = tx.our_account()?;
            // If the relay knows an earlier generation, it is the relay that has lost something.
            if let Some(known) = known
                && tx.is_older_than(known)?
            {
                tracing::warn!("the relay has seen a later state of this database");
                tx.recover_as_copy(known, now_ms, || ctx.new_client_msg_id())?;
            }
            if account.epoch != 0 && epoch > account.epoch {
                // This database may have been restored with the relay, which could then not tell that it is older.
                tx.archive_all_sessions(UnixSeconds(now_ms / 1000))?;
                tx.begin_runs()?;
                let again = tx.resubmit_unproven(resubmit_from_ms)?;
                tx.accept_again()?;
                tx.tell_blocks_again()?;
                tx.tell_list_again()?;
                tracing::info!(again, "the relay has a new epoch");
                tx.emit(Event::RelayRestored);
            }
            tx.set_epoch(epoch.max(account.epoch))?;
            if (1..=wire::limits::MAX_OPAQUE).contains(&version.len()) {
                tx.set_store_version(&version)?;
            }
            tx.set_clocks(clocks)?;
            Ok((tx.hurry_lanes()?, tx.has_lost_pre_keys()? || tx.is_own_list_due()?))
        });
        let ((), must_upload) = work.await?;
        if must_upload {
            self.ctx.upkeep.keys_low.notify_one();
        }
        self.ctx.upkeep.devices.notify_one();
        self.ctx.outbox.notify_one();
        self.ctx.upkeep.to_accept.notify_one();
        self.ctx.upkeep.to_renew.notify_one();
        Ok(welcome.access_expires_ms)
    }

    async fn arrived(&mut self, first: Arrival, socket: &Socket, arrivals: &mut Arrivals) -> Result<(), End> {
        let mut batch = Vec::new();
        let mut next = Some(first);
        let mut drained = false;
        let mut synced = false;
        // Everything that has arrived by now is processed in one transaction.
        while let Some(arrival) = next.take() {
            match arrival {
                Arrival::Deliver(deliver) => batch.push(Delivered::Post(deliver)),
                Arrival::DeliverMail(mail) => batch.push(Delivered::Mail(mail)),
                Arrival::QueueEmpty => drained = true,
                Arrival::Synced(request) => {
                    self.gaps.answered(request);
                    synced = true;
                }
                Arrival::Trimmed(total) => self.loss.reported(total),
                Arrival::KeysLow => self.ctx.upkeep.keys_low.notify_one(),
                Arrival::StoreVersion(version) => {
                    self.ctx.store.write(move |tx| tx.set_store_version(&version)).await?;
                }
                Arrival::Reconnect(jitter) => {
                    self.receive(batch, socket, false).await?;
                    return Err(End::Drain(jitter));
                }
            }
            if batch.len() < inbox::BATCH {
                next = arrivals.try_recv().ok();
            }
        }
        // While the mailbox is being fetched, and if the batch was too small for what has arrived, more follow.
        let more_follow = batch.len() >= inbox::BATCH || self.live_since.is_none() && !drained;
        self.receive(batch, socket, more_follow).await?;
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

    async fn receive(&self, batch: Vec<Delivered>, socket: &Socket, more_follow: bool) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let handled = inbox::receive(self.ctx, batch, (queue_delivery_receipt, more_follow)).await?;
        self.ctx.health.recovered(Part::Receiving);
        socket.acknowledge(handled).await?;
        fault::at(Station::Acknowledged);
        Ok(())
    }

    async fn check_gaps(&mut self, socket: &Socket) -> Result<(), End> {
        match self.gaps.check(self.ctx, socket).await? {
            Missing::Nothing => Ok(()),
            Missing::MayBeInFlight => Err(End::Anew),
        }
    }
}

/// A socket whose `Hello` was accepted. A token that is refused is replaced once.
async fn connect(ctx: &Context) -> Result<(Arc<Socket>, Arrivals, wire::Welcome)> {
    let token = tokens::access(ctx).await?;
    Ok(match connect_with(ctx, &token).await? {
        Err(transport::Error::Unauthorized) => {
            let token = tokens::replace_refused(ctx, &token).await?;
            connect_with(ctx, &token).await??
        }
        other => other?,
    })
}

/// Opens a socket and presents a token. The generation is written only once the relay can be reached: opening a client
/// without a network writes nothing.
async fn connect_with(
    ctx: &Context,
    token: &str,
) -> Result<transport::Result<(Arc<Socket>, Arrivals, wire::Welcome)>> {
    let (socket, arrivals) = match ctx.transport.connect().await {
        Ok(connected) => connected,
        Err(error) => return Ok(Err(error)),
    };
    let hello = hello(ctx, token, Introduction::First).await?;
    Ok(socket.hello(hello).await.map(|welcome| (Arc::new(socket), arrivals, welcome)))
}

/// Whether a `Hello` begins a connection, or only presents a new token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Introduction {
    First,
    Again,
}

/// The generation of our database that the relay knew before this connection, if it states a valid one.
fn known_generation(welcome: &wire::Welcome) -> Option<Generation> {
    let known = welcome.generation.as_ref().filter(|known| known.number <= MAX_COUNT)?;
    Some(Generation { number: known.number, nonce: known.nonce.as_ref().try_into().ok()? })
}

/// How many envelopes the relay may send before some are acknowledged.
const fn credit(footprint: Footprint) -> u32 {
    match footprint {
        Footprint::Full => wire::limits::MAX_CREDIT,
        // The first messages of a session have several kilobytes each.
        Footprint::Small => 32,
    }
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
        credit: credit(ctx.store.footprint()),
        max_batch_bytes: 0,
        features: vec![wire::feature::MAIL.to_owned()],
        store_version: store_version.into(),
        generation,
    })
}

#[cfg(test)]
mod tests {
    use sealpost_protocol::IdentityKeyPair;

    use super::*;
    use crate::client::open::open;
    use crate::config::{Config, DatabaseKey};
    use crate::id::{DeviceId, UserId};
    use crate::store::{Registered, Tokens};

    #[tokio::test]
    async fn for_a_push_the_relay_sends_few_messages_at_a_time() {
        for (footprint, expected) in [(Footprint::Full, 256), (Footprint::Small, 32)] {
            let dir = tempfile::tempdir().unwrap();
            let config =
                Config::new(dir.path().join("a.db"), DatabaseKey::new([9; 32]), "http://127.0.0.1:1");
            let (ctx, _) = open(config, footprint).await.unwrap();
            let work = ctx.store.write(|tx| {
                tx.insert_account(&IdentityKeyPair::generate(&mut rand::rng()), 7)?;
                let us = Registered { user: UserId::from_bytes([1; 16]), device: DeviceId::PRIMARY };
                tx.set_registered(us, &Tokens::new("token".into(), 1, "refresh".into()))
            });
            work.await.unwrap();
            assert_eq!(hello(&ctx, "token", Introduction::Again).await.unwrap().credit, expected);
        }
    }

    #[test]
    fn only_a_connection_that_never_reached_the_relay_is_an_outage() {
        let outage = |error| matches!(ending(&error, None), Ended::Outage);
        assert!(outage(Offline::Unreachable.into()));
        assert!(outage(Offline::TimedOut.into()));
        assert!(!outage(Offline::NotARelay.into()));
        assert!(!outage(Offline::Untrusted.into()));
        let busy = Error::Offline(Offline::Busy(Duration::from_secs(7)));
        assert!(matches!(ending(&busy, None), Ended::Failed { asked } if asked.as_secs() == 7));
    }
}
