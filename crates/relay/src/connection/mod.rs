//! A WebSocket connection, from its `Hello` to its close.
//!
//! One task serves one connection. It waits for the first of several events (a frame, an answer from the store, rows in
//! the mailbox, a wake-up, the timer, a drain) and handles it completely. Sends and acknowledgements are passed to the
//! store as soon as they are read and are answered in that order, so that a client may send many without waiting, and
//! the store can commit them together.

mod closing;
mod feed;
mod gaps;
mod hello;
mod incoming;
mod mail;
mod mail_feed;
mod outgoing;
mod pages;
mod replies;
mod state;
mod window;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocket;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt as _, StreamExt as _};
use sealpost_wire::Reconnect;
use sealpost_wire::frame::Body;
use sealpost_wire::limits::{IDLE_CLOSE_S, close};
use tokio::time::{MissedTickBehavior, Sleep, timeout};

use self::feed::Feed;
use self::gaps::Gaps;
use self::mail_feed::MailFeed;
use self::pages::take_page;
use self::state::{Closing, Connection, Reply, WriteQueue};
use crate::bus::{WakeReason, WakeReasons};
use crate::state::State;
use crate::store::{MailClass, Order};

/// Maximum number of answers that one connection may wait for before the relay stops reading from it.
const MAX_PENDING: usize = 64;
/// Bytes of frames that wait to be written together with others; beyond that, they are written first.
const MAX_QUEUED_BYTES: usize = 16 << 10;
/// How long a peer may take to read its close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a token may have been expired before its connection is closed, in milliseconds.
const EXPIRY_GRACE_MS: u64 = 30_000;

/// Serves a connection until it ends, and then sends the close code.
///
/// The future is most of the memory of an idle connection. An argument that is passed by value to an `async fn` is in
/// its future twice, so the socket and the connection are borrowed. Steps that happen once are boxed, so that their
/// memory is released.
pub(crate) async fn serve(socket: &mut WebSocket, state: &Arc<State>) {
    let closing = match Box::pin(open(socket, state)).await {
        Ok(mut connection) => connection.run().await,
        Err(closing) => closing,
    };
    if let Closing::Because(code) = closing {
        Box::pin(timeout(CLOSE_TIMEOUT, closing::close_and_drain(socket, code))).await.ok();
    }
}

async fn open<'a>(socket: &'a mut WebSocket, state: &'a Arc<State>) -> Result<Box<Connection<'a>>, Closing> {
    let greeted = hello::greet(socket, state).await?;
    Ok(Box::new(Connection::new(socket, state, greeted)))
}

impl<'a> Connection<'a> {
    fn new(socket: &'a mut WebSocket, state: &'a Arc<State>, greeted: hello::Greeted) -> Self {
        let now = state.clock.monotonic();
        let mut connection = Self {
            socket,
            state,
            access: greeted.access,
            revocations_seen: greeted.revocations_seen,
            window: greeted.window,
            feed: Feed::start(greeted.mailbox),
            gaps: Gaps::default(),
            reported: greeted.mailbox.trimmed,
            order: Order::until(Arc::clone(greeted.subscription.superseded())),
            subscription: greeted.subscription,
            sends: false,
            epoch: greeted.epoch,
            replies: FuturesOrdered::new(),
            page: None,
            limits: greeted.limits,
            pause: None,
            last_received: now,
            last_scan: now,
            write_queue: WriteQueue::default(),
            mail: MailFeed::start(greeted.mail, greeted.mailbox.last_mail),
            ephemeral: false,
        };
        connection.check_key_counts();
        connection
    }

    async fn run(&mut self) -> Closing {
        let closing = match self.serve().await {
            Ok(never) => match never {},
            Err(closing) => closing,
        };
        if closing != Closing::Gone {
            // Answers that are already queued are still sent if the peer reads.
            Box::pin(timeout(CLOSE_TIMEOUT, self.flush())).await.ok();
        }
        self.mark_pushed();
        Box::pin(timeout(self.state.timing.drain_grace, self.wake_recipients())).await.ok();
        closing
    }

    /// A client may send messages and disconnect. Their recipients should still be woken immediately.
    async fn wake_recipients(&mut self) {
        while let Some(reply) = self.replies.next().await {
            if let Reply::Sent { outcome: Ok(sent), .. } | Reply::Mailed { outcome: Ok(sent), .. } = reply {
                sent.wake(self.state);
            }
        }
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, Closing> {
        let mut drain = pin!(self.state.draining.turn());
        let mut tick = tokio::time::interval(self.state.timing.tick);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.read_ahead();
            let room = self.write_queue.bytes < MAX_QUEUED_BYTES;
            let reading = room && self.replies.len() < MAX_PENDING && self.pause.is_none();
            // The order matters: what is ready is handled before anything is written, so that answers are written
            // together.
            tokio::select! {
                biased;
                () = &mut drain => return Err(Box::pin(self.leave()).await),
                _ = tick.tick() => self.on_tick().await?,
                woken = self.subscription.woken() => self.on_wake(woken)?,
                Some(reply) = self.replies.next(), if room => self.on_reply(reply)?,
                page = take_page(&mut self.page), if room => self.on_page(page)?,
                () = pause_over(&mut self.pause) => self.pause = None,
                message = self.socket.recv(), if reading => self.on_message(message)?,
                () = std::future::ready(()), if self.has_to_write() => self.flush().await?,
            }
        }
    }

    fn on_wake(&mut self, woken: WakeReasons) -> Result<(), Closing> {
        if woken.has(WakeReason::Revoked) {
            return Err(Closing::Because(close::UNAUTHORIZED));
        }
        if woken.has(WakeReason::ConnectedElsewhere) {
            return Err(Closing::Because(close::CONNECTED_ELSEWHERE));
        }
        if woken.has(WakeReason::Ephemeral) {
            self.ephemeral = true;
        }
        if woken.has(WakeReason::Messages) {
            self.feed.wake();
        }
        if woken.has(WakeReason::UrgentMail) {
            self.mail.wake(MailClass::Urgent);
        }
        if woken.has(WakeReason::OrdinaryMail) {
            self.mail.wake(MailClass::Ordinary);
        }
        if woken.has(WakeReason::KeysLow) {
            self.check_key_counts();
        }
        Ok(())
    }

    fn check_key_counts(&mut self) {
        let left = self.state.store.key_counts(self.access.address);
        self.replies.push_back(Box::pin(async move { Reply::KeysLeft(left.await) }));
    }

    /// Asks the store whether the token is still valid, if a revocation may concern it; its wake-up may have been
    /// lost.
    fn check_revocations(&mut self) {
        let revocations = self.state.store.revocations();
        let mark = revocations.mark();
        if revocations.may_concern(self.access.address, self.revocations_seen) {
            let family = self.access.family;
            let live = self.state.store.is_live(self.access.address, family);
            self.replies.push_back(Box::pin(async move { Reply::Live { family, outcome: live.await } }));
        }
        self.revocations_seen = mark;
    }

    async fn on_tick(&mut self) -> Result<(), Closing> {
        let (now, timing) = (self.state.clock.monotonic(), &self.state.timing);
        if now.saturating_sub(self.last_received) > Duration::from_secs(IDLE_CLOSE_S) {
            // Nothing is read while rows are written, which takes long on a slow connection; frames from the client
            // may be waiting.
            tokio::task::yield_now().await;
            let Some(said) = self.socket.recv().now_or_never() else {
                return Err(Closing::Because(close::TRY_LATER));
            };
            self.on_message(said)?;
        }
        if self.state.clock.unix_ms() > self.access.expires_ms.saturating_add(EXPIRY_GRACE_MS) {
            return Err(Closing::Because(close::UNAUTHORIZED));
        }
        self.check_revocations();
        // The store has been found to be restored since this connection was opened. The client learns the
        // consequences when it reconnects.
        if self.epoch != self.state.store.epoch() {
            return Err(Box::pin(self.leave()).await);
        }
        if self.window.stalled_for(now) > timing.stall {
            return Err(Closing::Because(close::SLOW_CONSUMER));
        }
        // Rows that wait for credit may be trimmed meanwhile, and no page reports that.
        if self.window.room().is_none() && self.feed.is_due() {
            let mailbox = self.state.store.mailbox(self.access.address);
            self.replies.push_back(Box::pin(async move {
                Reply::Trimmed(mailbox.await.map(|mailbox| mailbox.trimmed))
            }));
        }
        // A wake-up may have been lost.
        if now.saturating_sub(self.last_scan) > timing.rescan {
            self.feed.wake();
            MailClass::ALL.into_iter().for_each(|class| self.mail.wake(class));
        }
        Ok(())
    }

    /// Asks the client to leave, finishes requests in flight, and ends.
    async fn leave(&mut self) -> Closing {
        let jitter_ms = u32::try_from(self.state.timing.spread_return.as_millis()).unwrap_or(u32::MAX);
        let reconnect = Reconnect { jitter_ms, reason: "drain".into() };
        let grace = self.state.timing.drain_grace;
        let finish = async {
            self.push(0, Body::Reconnect(reconnect));
            self.flush().await?;
            while let Some(reply) = self.replies.next().await {
                self.on_reply(reply)?;
                if self.write_queue.bytes >= MAX_QUEUED_BYTES {
                    self.flush().await?;
                }
            }
            self.flush().await
        };
        match timeout(grace, finish).await {
            Ok(Err(closing)) => closing,
            Ok(Ok(())) | Err(_) => Closing::Because(close::RESTART),
        }
    }
}

/// Waits until the pause is over, or forever if there is none.
async fn pause_over(pause: &mut Option<Pin<Box<Sleep>>>) {
    match pause {
        Some(sleep) => sleep.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<'a, F>(_: fn(&'a mut WebSocket, &'a Arc<State>) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_takes_little_memory_while_it_waits() {
        // It was 2,816 bytes while each field was in it twice.
        let bytes = size_of_future(serve).saturating_add(size_of::<Connection<'_>>());
        assert!(bytes <= 1_424, "{bytes} bytes");
    }
}
