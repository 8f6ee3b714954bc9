//! A WebSocket connection, from its `Hello` to its close.
//!
//! One task serves one connection. It waits for whatever comes first (a frame, the answer to an earlier one, rows
//! in the mailbox, a nudge, the clock, a drain) and handles it whole. Sends and acknowledgements go to the store
//! the moment they are read and are answered in that order, so a client may send many without waiting, and the
//! store can commit them together.

mod farewell;
mod feed;
mod gaps;
mod hello;
mod incoming;
mod window;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message as WsMessage, WebSocket};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use prost::Message as _;
use sealpost_wire::frame::Body;
use sealpost_wire::id::ThreadId;
use sealpost_wire::limits::{IDLE_CLOSE_S, close};
use sealpost_wire::{AckOk, FRAME_VERSION, Frame, KeysLow, QueueEmpty, Reconnect, Synced, Trimmed};
use tokio::time::{MissedTickBehavior, Sleep, timeout};

use self::feed::Feed;
use self::gaps::Gaps;
use self::window::Window;
use crate::bus::{Attached, Nudge, Nudged};
use crate::fault::{self, Station};
use crate::limits::ConnectionLimits;
use crate::problem::Problem;
use crate::routes::are_low;
use crate::sending::Sent;
use crate::state::State;
use crate::store::{Answer, FamilyId, InboxKey, Noted, Page, PageLimit, Row, StoreError};
use crate::tokens::Access;

/// Most answers that one connection may wait for before the relay stops reading from it.
const MAX_PENDING: usize = 64;
/// Rows in one page of the mailbox.
const PAGE_ROWS: u32 = 100;
/// Bytes of frames that wait for others to leave with them; with more, they leave before anything else is done.
const MAX_UNSENT: usize = 16 << 10;
/// Bytes of ciphertext in one page: what a connection may hold in memory at a time.
const PAGE_BYTES: usize = 256 << 10;
/// How long a peer may take to read that its connection is over.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long clients spread their return after a drain, in milliseconds.
const JITTER_MS: u32 = 30_000;
/// How long a token may be overdue before its connection is closed, in milliseconds.
const EXPIRY_GRACE_MS: u64 = 30_000;

/// Serves a connection until it ends, then says why.
pub(crate) async fn serve(mut socket: WebSocket, state: Arc<State>) {
    // What happens once has its memory for as long as it lasts, and not for as long as the connection.
    let closing = match Box::pin(hello::greet(&mut socket, &state)).await {
        Ok(greeted) => Connection::new(&mut socket, &state, greeted).run().await,
        Err(closing) => closing,
    };
    if let Closing::Because(code) = closing {
        Box::pin(timeout(FAREWELL, farewell::say(&mut socket, code))).await.ok();
    }
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    /// The peer left, or the network did.
    Gone,
    /// The relay ends it, with a close code.
    Because(u16),
}

/// The answer to an earlier frame.
enum Reply {
    Sent {
        id: u64,
        began: Duration,
        outcome: Result<Sent, Problem>,
    },
    Acknowledged {
        id: u64,
        keys: Vec<InboxKey>,
        outcome: Result<u32, StoreError>,
    },
    /// `outlived`: the revocations before the store was asked.
    Renewed {
        id: u64,
        outlived: Noted,
        outcome: Result<Access, Problem>,
    },
    /// Rows ever trimmed.
    Trimmed(Result<u64, StoreError>),
    KeysLeft(Result<sealpost_wire::KeyCounts, StoreError>),
    /// Whether tokens of this family still speak for the device.
    Live {
        family: FamilyId,
        outcome: Result<bool, StoreError>,
    },
}

/// A page that is being read. There is one at a time: what was read and not pushed yet is in memory.
struct Reading {
    whose: Whose,
    page: Answer<Page>,
}

/// Who asked for a page.
#[derive(Debug, Clone, Copy)]
enum Whose {
    /// The mailbox in order of arrival.
    Feed,
    /// The client, by a cursor of this thread.
    Gaps(ThreadId),
}

struct Connection<'a> {
    socket: &'a mut WebSocket,
    state: &'a Arc<State>,
    access: Access,
    attached: Attached,
    /// The revocations that its token has outlived.
    outlived: Noted,
    window: Window,
    feed: Feed,
    gaps: Gaps,
    /// How many trimmed rows it was told of.
    told: u64,
    replies: FuturesOrdered<BoxFuture<'static, Reply>>,
    page: Option<Reading>,
    limits: ConnectionLimits,
    /// Set while nothing is read, as the client is above a limit.
    resting: Option<Pin<Box<Sleep>>>,
    heard: Duration,
    scanned: Duration,
    unsent: Unsent,
}

/// Frames that wait for others to leave with them.
#[derive(Debug, Default)]
struct Unsent {
    frames: Vec<WsMessage>,
    bytes: usize,
    /// The answer to a send is among them.
    ack: bool,
    /// A row of the mailbox is among them.
    row: bool,
}

impl<'a> Connection<'a> {
    fn new(socket: &'a mut WebSocket, state: &'a Arc<State>, greeted: hello::Greeted) -> Self {
        let now = state.clock.monotonic();
        let mut connection = Self {
            socket,
            state,
            access: greeted.access,
            attached: greeted.attached,
            outlived: greeted.outlived,
            window: greeted.window,
            feed: Feed::start(greeted.mailbox),
            gaps: Gaps::default(),
            told: greeted.mailbox.trimmed,
            replies: FuturesOrdered::new(),
            page: None,
            limits: greeted.limits,
            resting: None,
            heard: now,
            scanned: now,
            unsent: Unsent::default(),
        };
        connection.ask_keys();
        connection
    }

    async fn run(mut self) -> Closing {
        let closing = match self.serve().await {
            Ok(never) => match never {},
            Err(closing) => closing,
        };
        if closing != Closing::Gone {
            // What was answered before is not lost with the connection, if its peer reads.
            Box::pin(timeout(FAREWELL, self.flush())).await.ok();
        }
        self.mark_pushed();
        Box::pin(timeout(self.state.timing.drain_grace, self.wake_recipients())).await.ok();
        closing
    }

    /// A client may send and be gone. What is stored all the same, its recipients should hear of at once.
    async fn wake_recipients(&mut self) {
        while let Some(reply) = self.replies.next().await {
            if let Reply::Sent { outcome: Ok(sent), .. } = reply {
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
            let room = self.unsent.bytes < MAX_UNSENT;
            let reading = room && self.replies.len() < MAX_PENDING && self.resting.is_none();
            // In this order: what is ready is handled before anything is written, so that it leaves together.
            tokio::select! {
                biased;
                () = &mut drain => return Err(Box::pin(self.leave()).await),
                _ = tick.tick() => self.on_tick().await?,
                nudged = self.attached.nudged() => self.on_nudge(nudged)?,
                Some(reply) = self.replies.next(), if room => self.on_reply(reply)?,
                (whose, page) = take_page(&mut self.page), if room => self.on_page(whose, page)?,
                () = rested(&mut self.resting) => self.resting = None,
                message = self.socket.recv(), if reading => self.on_message(message)?,
                () = std::future::ready(()), if !self.unsent.frames.is_empty() => self.flush().await?,
            }
        }
    }

    /// Starts to read the next page, if there is room for it. What the client asked for comes first.
    fn read_ahead(&mut self) {
        let gap = self.gaps.next();
        if self.page.is_some() || (gap.is_none() && !self.feed.is_due()) {
            return;
        }
        let now = self.state.clock.monotonic();
        let Some((rows, bytes)) = self.window.room() else { return self.window.refuse(now) };
        let now_ms = self.state.clock.unix_ms();
        let (store, address) = (&self.state.store, self.access.address);
        self.page = if let Some((after, rows)) = gap {
            // Also those that the client has, which take no room.
            let limit = PageLimit { rows: rows.min(PAGE_ROWS), bytes: PAGE_BYTES, now_ms };
            let page = store.inbox_after(address, Some(after), limit);
            Some(Reading { whose: Whose::Gaps(after.thread), page })
        } else if let Some(after) = self.feed.begin_read() {
            self.scanned = now;
            let limit = PageLimit { rows: rows.min(PAGE_ROWS), bytes: bytes.min(PAGE_BYTES), now_ms };
            Some(Reading { whose: Whose::Feed, page: store.inbox_arrivals(address, after, limit) })
        } else {
            None
        };
    }

    fn on_reply(&mut self, reply: Reply) -> Result<(), Closing> {
        match reply {
            Reply::Sent { id, began, outcome } => {
                self.answer_send(id, began, outcome);
                Ok(())
            }
            Reply::Acknowledged { id, keys, outcome: Ok(removed) } => {
                fault::at(Station::AckAfterCommit);
                self.window.acknowledge(&keys);
                self.answer(id, Body::AckOk(AckOk { removed }));
                Ok(())
            }
            Reply::Acknowledged { id, outcome: Err(error), .. } => {
                self.answer(id, Body::Error(Problem::from(error).to_wire()));
                Ok(())
            }
            Reply::Renewed { id, outlived, outcome } => self.renew(id, outlived, outcome),
            Reply::Trimmed(trimmed) => {
                self.tell_trimmed(trimmed.map_err(store_failed)?);
                Ok(())
            }
            Reply::Live { family, outcome } => {
                let over = !outcome.map_err(store_failed)? && family == self.access.family;
                if over { Err(Closing::Because(close::UNAUTHORIZED)) } else { Ok(()) }
            }
            Reply::KeysLeft(left) => {
                let left = left.map_err(store_failed)?;
                if are_low(left) {
                    self.push(0, Body::KeysLow(KeysLow { ec_left: left.ec, kem_left: left.kem }));
                }
                Ok(())
            }
        }
    }

    fn answer_send(&mut self, id: u64, began: Duration, outcome: Result<Sent, Problem>) {
        match outcome {
            Ok(sent) => {
                self.answer(id, Body::SendAck(sent.ack.clone()));
                self.unsent.ack = true;
                sent.wake(self.state);
                let took = self.state.clock.monotonic().saturating_sub(began);
                self.state.metrics.send_ack.socket.observe(took);
            }
            Err(problem) => self.answer(id, Body::Error(problem.to_wire())),
        }
    }

    fn renew(&mut self, id: u64, outlived: Noted, outcome: Result<Access, Problem>) -> Result<(), Closing> {
        match outcome {
            Ok(access) if access.address == self.access.address => {
                self.access = access;
                self.outlived = outlived;
                let welcome = hello::welcome(self.state, access, false, None);
                self.push(id, Body::Welcome(welcome));
                Ok(())
            }
            Ok(_) | Err(Problem::InvalidToken) => {
                self.push(id, Body::Error(Problem::InvalidToken.to_wire()));
                Err(Closing::Because(close::UNAUTHORIZED))
            }
            Err(problem) => {
                self.push(id, Body::Error(problem.to_wire()));
                Ok(())
            }
        }
    }

    fn on_page(&mut self, whose: Whose, page: Result<Page, StoreError>) -> Result<(), Closing> {
        let page = page.map_err(store_failed)?;
        self.tell_trimmed(page.trimmed);
        match whose {
            Whose::Feed => self.on_arrivals(page),
            Whose::Gaps(thread) => self.on_gap(thread, page),
        }
        Ok(())
    }

    /// Rows that the client asked for by a cursor; those that it has it does not get again.
    fn on_gap(&mut self, thread: ThreadId, page: Page) {
        // The page runs on into the next thread.
        let ends = !page.more || page.rows.iter().any(|row| row.key.thread != thread);
        for row in page.rows.into_iter().take_while(|row| row.key.thread == thread) {
            let key = row.key;
            if !self.window.holds(key) && !self.deliver(row) {
                return self.window.refuse(self.state.clock.monotonic());
            }
            self.gaps.found(key);
        }
        if ends {
            self.gaps.exhausted(thread);
        }
        for id in self.gaps.answered() {
            self.push(id, Body::Synced(Synced {}));
        }
    }

    /// Tells the device of rows that were trimmed, if it was not told on this connection. That it knows it says itself.
    fn tell_trimmed(&mut self, total: u64) {
        if total > self.told {
            self.told = total;
            self.push(0, Body::Trimmed(Trimmed { total }));
        }
    }

    fn on_arrivals(&mut self, page: Page) {
        let mut more = page.more;
        for row in page.rows {
            let (arrival, hlc) = (row.arrival, row.message.hlc);
            if self.window.holds(row.key) {
                self.feed.passed_row(arrival);
                continue;
            }
            if !self.deliver(row) {
                self.window.refuse(self.state.clock.monotonic());
                more = true;
                break;
            }
            self.feed.pushed_row(arrival, hlc);
        }
        if more {
            self.feed.wake();
        } else if let Some(drained) = self.feed.reached_end() {
            let empty = QueueEmpty { drained: drained.rows, hlc: drained.last_hlc };
            self.push(0, Body::QueueEmpty(empty));
        }
    }

    /// Pushes a row. `false`: there is no room for it.
    fn deliver(&mut self, row: Row) -> bool {
        let (key, hlc) = (row.key, row.message.hlc);
        let attempt = self.feed.attempt(row.arrival);
        let deliver = row.into_deliver(self.state.store.epoch(), attempt);
        let bytes = deliver.encoded_len();
        if !self.window.fits(bytes) {
            return false;
        }
        self.push(0, Body::Deliver(deliver));
        self.unsent.row = true;
        self.window.push(key, bytes);
        if attempt == 1 {
            let waited = Duration::from_millis(self.state.clock.unix_ms().saturating_sub(hlc >> 16));
            self.state.metrics.send_deliver.observe(waited);
        }
        true
    }

    fn on_nudge(&mut self, nudged: Nudged) -> Result<(), Closing> {
        if nudged.has(Nudge::Revoked) {
            return Err(Closing::Because(close::UNAUTHORIZED));
        }
        if nudged.has(Nudge::ConnectedElsewhere) {
            return Err(Closing::Because(close::CONNECTED_ELSEWHERE));
        }
        if nudged.has(Nudge::Mail) {
            self.feed.wake();
        }
        if nudged.has(Nudge::KeysLow) {
            self.ask_keys();
        }
        Ok(())
    }

    fn ask_keys(&mut self) {
        let left = self.state.store.key_counts(self.access.address);
        self.replies.push_back(Box::pin(async move { Reply::KeysLeft(left.await) }));
    }

    /// Asks whether the token still speaks for its device, if it may not: the nudge that says so may get lost.
    fn check_revocations(&mut self) {
        let revocations = self.state.store.revocations();
        let noted = revocations.noted();
        if revocations.may_concern(self.access.address, self.outlived) {
            let family = self.access.family;
            let live = self.state.store.is_live(self.access.address, family);
            self.replies.push_back(Box::pin(async move { Reply::Live { family, outcome: live.await } }));
        }
        self.outlived = noted;
    }

    async fn on_tick(&mut self) -> Result<(), Closing> {
        let (now, timing) = (self.state.clock.monotonic(), &self.state.timing);
        if now.saturating_sub(self.heard) > Duration::from_secs(IDLE_CLOSE_S) {
            // Nothing is read while rows go out, and on a thin line that takes long: what it said may still wait.
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
        if self.window.stalled_for(now) > timing.stall {
            return Err(Closing::Because(close::SLOW_CONSUMER));
        }
        // Rows that wait for room may be trimmed meanwhile, and no page says so.
        if self.window.room().is_none() && self.feed.is_due() {
            let mailbox = self.state.store.mailbox(self.access.address);
            self.replies.push_back(Box::pin(async move {
                Reply::Trimmed(mailbox.await.map(|mailbox| mailbox.trimmed))
            }));
        }
        // A wake-up may have been lost.
        if now.saturating_sub(self.scanned) > timing.rescan {
            self.feed.wake();
        }
        Ok(())
    }

    /// Asks the client to go elsewhere, finishes what is in flight, and ends.
    async fn leave(&mut self) -> Closing {
        let reconnect = Reconnect { jitter_ms: JITTER_MS, reason: "drain".into() };
        let grace = self.state.timing.drain_grace;
        let finish = async {
            self.push(0, Body::Reconnect(reconnect));
            self.flush().await?;
            while let Some(reply) = self.replies.next().await {
                self.on_reply(reply)?;
                if self.unsent.bytes >= MAX_UNSENT {
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

    /// Remembers how far this connection came. Nobody waits for it: at worst a row counts as new once more.
    fn mark_pushed(&self) {
        if let Some(up_to) = self.feed.came_further() {
            drop(self.state.store.mark_pushed(self.access.address, up_to));
        }
    }

    /// Answers a request, unless it wanted no reply.
    fn answer(&mut self, id: u64, body: Body) {
        if id != 0 {
            self.push(id, body);
        }
    }

    /// Answers, once all that is ready has been handled.
    fn push(&mut self, id: u64, body: Body) {
        let frame = encode(id, body);
        self.unsent.bytes = self.unsent.bytes.saturating_add(frame.len());
        self.unsent.frames.push(WsMessage::Binary(frame));
    }

    /// Lets leave what was pushed.
    async fn flush(&mut self) -> Result<(), Closing> {
        let Unsent { frames, ack, row, .. } = std::mem::take(&mut self.unsent);
        for frame in frames {
            in_time(self.state, self.socket.feed(frame)).await?;
        }
        in_time(self.state, self.socket.flush()).await?;
        if ack {
            fault::at(Station::SendAcked);
        }
        if row {
            fault::at(Station::Delivered);
        }
        Ok(())
    }
}

/// Writes a frame at once.
async fn send(socket: &mut WebSocket, state: &State, id: u64, body: Body) -> Result<(), Closing> {
    in_time(state, socket.send(WsMessage::Binary(encode(id, body)))).await
}

fn encode(id: u64, body: Body) -> Bytes {
    Frame { v: FRAME_VERSION, id, body: Some(body) }.encode_to_vec().into()
}

/// A peer that does not read is given up like one that does not acknowledge.
async fn in_time(
    state: &State,
    writing: impl Future<Output = Result<(), axum::Error>>,
) -> Result<(), Closing> {
    match timeout(state.timing.stall, writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Closing::Gone),
        Err(_) => Err(Closing::Because(close::SLOW_CONSUMER)),
    }
}

/// Waits until a rest is over, and for ever if there is none.
async fn rested(resting: &mut Option<Pin<Box<Sleep>>>) {
    match resting {
        Some(sleep) => sleep.await,
        None => std::future::pending().await,
    }
}

/// Waits for the page that is being read, and for ever if there is none.
async fn take_page(reading: &mut Option<Reading>) -> (Whose, Result<Page, StoreError>) {
    let Some(Reading { whose, page }) = reading else { return std::future::pending().await };
    let read = (*whose, page.await);
    *reading = None;
    read
}

fn store_failed(_: StoreError) -> Closing {
    Closing::Because(close::STORE_ERROR)
}
