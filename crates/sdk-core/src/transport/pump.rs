//! The task that owns a WebSocket: it writes outgoing frames, and dispatches incoming ones.
//!
//! It never waits for the consumers of incoming frames: the credit bounds how many can be in flight, and a relay that sends
//! more is disconnected.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use prost::Message as _;
use sealpost_wire as wire;
use sealpost_wire::frame::Body;
use sealpost_wire::limits::{MAX_CREDIT, MAX_FRAME, MAX_OPAQUE, PING_INTERVAL_S, close};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::acks::Acks;
use super::tls::Stream;
use super::version::StoreVersion;
use super::{ANSWER_TIMEOUT, Error, Result};
use crate::error::Offline;

/// How long a connection has to answer a probe.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_secs(4);
/// The relay answers pings, so after this long without a frame the connection is dead.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(PING_INTERVAL_S as u64 + 15);
/// Room for everything that the credit allows, and for frames that need no credit.
const ARRIVALS: usize = MAX_CREDIT as usize * 2;
/// Room that is not used for ephemeral mail, which is dropped instead.
const RESERVED: usize = ARRIVALS - 64;
const OUTGOING: usize = 64;
/// How many frames that have arrived together are passed on together.
const TOGETHER: usize = 64;

/// What the relay sends without a request.
#[derive(Debug)]
pub(crate) enum Arrival {
    Deliver(wire::Deliver),
    DeliverMail(wire::DeliverMail),
    QueueEmpty,
    /// Everything that this request asked for has arrived, or does not exist.
    Synced(u64),
    /// The total number of rows that were trimmed from our mailbox.
    Trimmed(u64),
    KeysLow,
    /// The version of the relay's store, after it has stored something of ours.
    StoreVersion(Bytes),
    /// The relay is shutting down. Clients are to wait for a random part of this before they reconnect.
    Reconnect(Duration),
}

impl Arrival {
    /// Whether this is mail that the relay neither stores nor repeats.
    pub(crate) fn is_ephemeral(&self) -> bool {
        matches!(self, Self::DeliverMail(mail) if mail.mail_seq == 0)
    }
}

/// The messages that arrive without a request, in order. The channel ends with the connection.
pub(crate) type Arrivals = mpsc::Receiver<Arrival>;

/// A message to be sent.
pub(super) enum Leaving {
    Frame(wire::Frame),
    /// A frame that is encoded already.
    Encoded(Vec<u8>),
}

/// The state that the task and the handle of a socket share.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) waiting: Mutex<HashMap<u64, oneshot::Sender<Body>>>,
    /// Why the connection ended, once it has.
    ended: Mutex<Option<Error>>,
    /// Notified if there is a reason to believe that the connection is dead.
    pub(super) doubted: Notify,
}

impl Shared {
    /// Why the connection ended.
    pub(super) fn ended(&self) -> Error {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.clone().unwrap_or(Error::Offline(Offline::Unreachable))
    }

    /// Whether another connection of this device has replaced this one.
    pub(super) fn was_replaced(&self) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*ended, Some(Error::Replaced))
    }
}

/// The task that owns the connection.
pub(super) struct Pump {
    stream: WebSocketStream<Box<dyn Stream>>,
    to_send: mpsc::Receiver<Leaving>,
    arrived: mpsc::Sender<Arrival>,
    /// What was read and is passed on next.
    arrivals: Vec<Arrival>,
    answers: Vec<(oneshot::Sender<Body>, Body)>,
    acks: Acks,
    shared: Arc<Shared>,
    /// The number of probes so far. The answer repeats it.
    probes: u64,
    /// When the last frame arrived, while a probe is waiting for its answer.
    probing: Option<Instant>,
    version: StoreVersion,
}

impl Pump {
    /// Starts the task. Returns how frames are sent, what is shared with it, and what arrives.
    pub(super) fn start(
        stream: WebSocketStream<Box<dyn Stream>>,
    ) -> (mpsc::Sender<Leaving>, Arc<Shared>, Arrivals) {
        let (outgoing, to_send) = mpsc::channel(OUTGOING);
        let (arrived, arrivals) = mpsc::channel(ARRIVALS);
        let shared = Arc::new(Shared::default());
        let pump = Self {
            stream,
            to_send,
            arrived,
            arrivals: Vec::new(),
            answers: Vec::new(),
            acks: Acks::default(),
            shared: Arc::clone(&shared),
            probes: 0,
            probing: None,
            version: StoreVersion::default(),
        };
        tokio::spawn(pump.run());
        (outgoing, shared, arrivals)
    }

    async fn run(mut self) {
        let error = self.pump().await;
        let Self { mut stream, to_send, arrived, shared, .. } = self;
        *shared.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        // Pending requests fail before the closing handshake, which a dead connection does not answer.
        shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
        drop((to_send, arrived));
        let _ = timeout(Duration::from_secs(1), stream.close(None)).await;
    }

    /// Runs until the connection ends, and returns the reason.
    async fn pump(&mut self) -> Error {
        let (mut heard, period) = (Instant::now(), Duration::from_secs(PING_INTERVAL_S.into()));
        // It does not begin at once, because the first frame must be a `Hello`.
        let mut heartbeat = interval_at(heard.checked_add(period).unwrap_or(heard), period);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let step = tokio::select! {
                leaving = self.to_send.recv() => match leaving {
                    Some(leaving) => self.write(leaving).await,
                    // The socket was dropped.
                    None => Err(Offline::Unreachable.into()),
                },
                (id, ack) = self.acks.due() => {
                    self.write(Leaving::Frame(wire::Frame { v: wire::FRAME_VERSION, id, body: Some(ack) })).await
                }
                message = self.stream.next() => {
                    heard = Instant::now();
                    // A frame may have been received long ago, so only the answer ends a probe, but many may precede it.
                    self.probing = self.probing.map(|_| heard);
                    let mut read = self.read(message);
                    for _ in 1..TOGETHER {
                        let Some(message) = self.stream.next().now_or_never().filter(|_| read.is_ok()) else { break };
                        read = self.read(message);
                    }
                    self.pass_on().and(read)
                }
                () = self.shared.doubted.notified() => self.probe().await,
                () = until(self.version.due()) => {
                    self.version.requested();
                    self.ping(0).await
                }
                () = silence(self.probing) => Err(Offline::TimedOut.into()),
                _ = heartbeat.tick() => {
                    if heard.elapsed() > SILENCE_TIMEOUT {
                        Err(Offline::TimedOut.into())
                    } else {
                        self.ping(0).await
                    }
                }
            };
            if let Err(error) = step {
                return error;
            }
        }
    }

    /// Sends a probe, unless one is waiting for its answer.
    async fn probe(&mut self) -> Result<()> {
        if self.probing.is_some() {
            return Ok(());
        }
        self.probes = self.probes.wrapping_add(1).max(1);
        self.probing = Some(Instant::now());
        self.ping(self.probes).await
    }

    async fn ping(&mut self, t: u64) -> Result<()> {
        let ping = Body::Ping(wire::Ping { t });
        self.write(Leaving::Frame(wire::Frame { v: wire::FRAME_VERSION, id: 0, body: Some(ping) })).await
    }

    fn encode(&mut self, leaving: Leaving) -> Vec<u8> {
        match leaving {
            Leaving::Encoded(bytes) => bytes,
            Leaving::Frame(frame) => {
                if let (id @ 1.., Some(ack @ (Body::Ack(_) | Body::AckMail(_)))) = (frame.id, &frame.body) {
                    self.acks.sent(id, ack);
                }
                frame.encode_to_vec()
            }
        }
    }

    /// Writes this and everything that is queued behind it, so that they leave together.
    async fn write(&mut self, leaving: Leaving) -> Result<()> {
        let mut frames = Vec::new();
        let mut next = Some(leaving);
        while let Some(leaving) = next {
            let frame = self.encode(leaving);
            // Nothing of ours is larger, because texts are limited. Such a request would time out.
            if frame.len() <= MAX_FRAME {
                frames.push(Message::Binary(frame.into()));
            }
            next = if frames.len() < OUTGOING { self.to_send.try_recv().ok() } else { None };
        }
        let mut doubted = false;
        let dead = async {
            self.shared.doubted.notified().await;
            doubted = true;
            sleep(PROBE_TIMEOUT).await;
        };
        let written = tokio::select! {
            written = timeout(ANSWER_TIMEOUT, write_all(&mut self.stream, frames)) => written,
            // Not even a probe can be written.
            () = dead => return Err(Offline::TimedOut.into()),
        };
        if doubted {
            self.shared.doubted.notify_one();
        }
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Offline::Unreachable.into()),
            Err(_) => Err(Offline::TimedOut.into()),
        }
    }

    fn read(&mut self, message: Option<Result<Message, WsError>>) -> Result<()> {
        match message {
            Some(Ok(Message::Binary(bytes))) => {
                let frame = wire::decode(bytes).map_err(|_| Offline::NotARelay)?;
                self.dispatch(frame)
            }
            // The WebSocket layer answers these.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Close(frame))) => Err(closed(frame.map(|frame| frame.code.into()))),
            // The relay was killed, or the network was lost.
            Some(Err(WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => {
                Err(Offline::Unreachable.into())
            }
            Some(Ok(Message::Text(_) | Message::Frame(_)))
            | Some(Err(WsError::Capacity(_) | WsError::Protocol(_))) => Err(Offline::NotARelay.into()),
            Some(Err(_)) | None => Err(Offline::Unreachable.into()),
        }
    }

    fn dispatch(&mut self, frame: wire::Frame) -> Result<()> {
        let (1, Some(body)) = (frame.v, frame.body) else { return Err(Offline::NotARelay.into()) };
        if self.acks.has(frame.id) {
            match body {
                Body::Error(error) => match Error::refused(error) {
                    Error::Offline(Offline::Busy(wait)) => self.acks.refused(frame.id, wait),
                    _ => self.acks.settled(frame.id),
                },
                _ => self.acks.settled(frame.id),
            }
            return Ok(());
        }
        // It is queued in order behind the frames that arrived before it.
        if let Body::Synced(_) = body {
            self.arrivals.push(Arrival::Synced(frame.id));
            return Ok(());
        }
        if let Body::SendAck(_) = &body {
            self.version.grew();
        }
        if frame.id != 0 {
            let waiting =
                self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&frame.id);
            if let Some(waiting) = waiting {
                self.answers.push((waiting, body));
            }
            return Ok(());
        }
        let arrival = match body {
            Body::Deliver(deliver) => Arrival::Deliver(deliver),
            Body::DeliverMail(mail) => Arrival::DeliverMail(mail),
            Body::QueueEmpty(_) => Arrival::QueueEmpty,
            Body::Trimmed(trimmed) => Arrival::Trimmed(trimmed.total),
            Body::KeysLow(_) => Arrival::KeysLow,
            Body::Reconnect(reconnect) => {
                Arrival::Reconnect(Duration::from_millis(reconnect.jitter_ms.into()))
            }
            Body::Error(error) => return Err(Error::refused(error)),
            Body::Pong(pong) => {
                if pong.t != 0 && pong.t == self.probes {
                    self.probing = None;
                }
                let told = (1..=MAX_OPAQUE).contains(&pong.store_version.len());
                if !told || !self.version.is_answered() {
                    return Ok(());
                }
                Arrival::StoreVersion(pong.store_version)
            }
            // `AckOk` contains nothing new, and what a newer relay sends without a request can be ignored.
            _ => return Ok(()),
        };
        self.arrivals.push(arrival);
        Ok(())
    }

    /// Passes on what was read, all at once: whoever it is for can then process it together.
    fn pass_on(&mut self) -> Result<()> {
        for (waiting, body) in self.answers.drain(..) {
            let _ = waiting.send(body);
        }
        self.arrivals.drain(..).try_for_each(|arrival| {
            // Ephemeral mail uses no credit, and leaves the room for what does.
            if arrival.is_ephemeral() && self.arrived.capacity() <= RESERVED {
                return Ok(());
            }
            self.arrived.try_send(arrival).map_err(|full| match full {
                mpsc::error::TrySendError::Full(_) => Offline::NotARelay.into(),
                mpsc::error::TrySendError::Closed(_) => Offline::Unreachable.into(),
            })
        })
    }
}

async fn write_all(
    stream: &mut WebSocketStream<Box<dyn Stream>>,
    frames: Vec<Message>,
) -> Result<(), WsError> {
    for frame in frames {
        stream.feed(frame).await?;
    }
    stream.flush().await
}

/// Waits until a moment, or forever if there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Waits until a probe has timed out, or forever if there is none.
async fn silence(probing: Option<Instant>) {
    match probing.and_then(|since| since.checked_add(PROBE_TIMEOUT)) {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}

fn closed(code: Option<u16>) -> Error {
    match code {
        Some(close::CONNECTED_ELSEWHERE) => Error::Replaced,
        Some(close::UNAUTHORIZED) => Error::Unauthorized,
        Some(close::STORE_ERROR | close::TRY_LATER | close::FLOODING | close::RESTART) => {
            Offline::Busy(Duration::from_secs(1)).into()
        }
        Some(close::BAD_FRAME | close::SCHEMA | close::TOO_BIG) => Offline::NotARelay.into(),
        _ => Offline::Unreachable.into(),
    }
}
