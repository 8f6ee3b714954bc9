//! One WebSocket: requests with their answers, and what arrives unasked.
//!
//! One task owns the connection ([`Pump`]). It never waits for those who consume what arrives: the credit bounds
//! how much can be on its way, and a relay that sends more is cut off.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use sealpost_wire as wire;
use sealpost_wire::frame::Body;
use sealpost_wire::limits::{MAX_CREDIT, MAX_FRAME, PING_INTERVAL_S, close};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::acks::Acks;
use super::tls::{Connector, Stream};
use super::{Error, Result};
use crate::error::Offline;

/// An answer that takes longer is unknown: the same request may be made again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The relay answers pings: silence for this long means that the connection is gone.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(PING_INTERVAL_S as u64 + 15);
/// Room for all that the credit allows, and for what is not under credit.
const ARRIVALS: usize = MAX_CREDIT as usize * 2;
const OUTGOING: usize = 64;
const BUFFER: usize = 4096;

/// What the relay sends unasked.
#[derive(Debug)]
pub(crate) enum Arrival {
    Deliver(wire::Deliver),
    QueueEmpty,
    /// Everything that this request asked for has come, or is not there.
    Synced(u64),
    /// So many rows were ever trimmed from our mailbox.
    Trimmed(u64),
    KeysLow,
    /// The relay goes away; it asks to wait for a random part of this before coming back.
    Reconnect(Duration),
}

/// What arrives, in order; ends with the connection.
pub(crate) type Arrivals = mpsc::Receiver<Arrival>;

/// A connection on which requests can be made.
pub(crate) struct Socket {
    outgoing: mpsc::Sender<wire::Frame>,
    shared: Arc<Shared>,
    next_id: AtomicU64,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Body>>>,
    /// Why the connection ended, once it has.
    ended: Mutex<Option<Error>>,
}

pub(super) async fn connect(connector: &Connector) -> Result<(Socket, Arrivals)> {
    let stream = connector.connect().await?;
    let mut url = connector.base.join("v1/ws").map_err(|_| Offline::NotARelay)?;
    let scheme = if connector.base.scheme() == "http" { "ws" } else { "wss" };
    url.set_scheme(scheme).map_err(|()| Offline::NotARelay)?;
    let mut request = url.as_str().into_client_request().map_err(|_| Offline::NotARelay)?;
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(wire::SUBPROTOCOL));
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_FRAME * 4)
        .max_message_size(Some(MAX_FRAME))
        .max_frame_size(Some(MAX_FRAME));
    let handshake = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
    let (stream, _) = match timeout(ANSWER_TIMEOUT, handshake).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(WsError::Http(response))) if matches!(response.status().as_u16(), 429 | 503) => {
            let asked = response.headers().get(header::RETRY_AFTER);
            let asked: Option<u32> = asked.and_then(|value| value.to_str().ok()?.parse().ok());
            return Err(Offline::Busy(Duration::from_secs(asked.unwrap_or(1).into())).into());
        }
        Ok(Err(WsError::Io(_))) => return Err(Offline::Unreachable.into()),
        Ok(Err(_)) => return Err(Offline::NotARelay.into()),
        Err(_) => return Err(Offline::TimedOut.into()),
    };
    let (outgoing, to_send) = mpsc::channel(OUTGOING);
    let (arrived, arrivals) = mpsc::channel(ARRIVALS);
    let shared = Arc::new(Shared::default());
    let pump = Pump { stream, to_send, arrived, acks: Acks::default(), shared: Arc::clone(&shared) };
    tokio::spawn(pump.run());
    Ok((Socket { outgoing, shared, next_id: AtomicU64::new(1) }, arrivals))
}

impl Socket {
    /// Asks, and waits for the answer.
    pub(super) async fn request(&self, body: Body) -> Result<Body> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, answer);
        // Whoever stops waiting leaves no entry behind.
        let _forget = Forget { shared: &self.shared, id };
        self.send(id, body).await?;
        match timeout(ANSWER_TIMEOUT, answered).await {
            Ok(Ok(Body::Error(error))) => Err(Error::refused(error)),
            Ok(Ok(body)) => Ok(body),
            Ok(Err(_)) => Err(self.ended()),
            Err(_) => Err(Offline::TimedOut.into()),
        }
    }

    /// Tells, and does not wait.
    pub(super) async fn notify(&self, body: Body) -> Result<()> {
        self.send(0, body).await
    }

    /// Acknowledges, and does not wait; the connection says it again if the relay asks for that.
    pub(super) async fn tell_confirmed(&self, ack: wire::Ack) -> Result<()> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.send(id, Body::Ack(ack)).await
    }

    /// Asks for what arrives unasked otherwise; the id under which [`Arrival::Synced`] says that it has.
    pub(super) async fn ask(&self, body: Body) -> Result<u64> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.send(id, body).await?;
        Ok(id)
    }

    async fn send(&self, id: u64, body: Body) -> Result<()> {
        let frame = wire::Frame { v: wire::FRAME_VERSION, id, body: Some(body) };
        self.outgoing.send(frame).await.map_err(|_| self.ended())
    }

    /// Why the connection ended.
    pub(crate) fn ended(&self) -> Error {
        let ended = self.shared.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.clone().unwrap_or(Error::Offline(Offline::Unreachable))
    }
}

struct Forget<'s> {
    shared: &'s Shared,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// The task that owns the connection.
struct Pump {
    stream: WebSocketStream<Box<dyn Stream>>,
    to_send: mpsc::Receiver<wire::Frame>,
    arrived: mpsc::Sender<Arrival>,
    acks: Acks,
    shared: Arc<Shared>,
}

impl Pump {
    async fn run(mut self) {
        let error = self.pump().await;
        *self.shared.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        // Drops every waiting answer: whoever waits is told.
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let _ = timeout(Duration::from_secs(1), self.stream.close(None)).await;
    }

    /// Until the connection ends; why it did.
    async fn pump(&mut self) -> Error {
        let mut heartbeat = interval(Duration::from_secs(PING_INTERVAL_S.into()));
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            let step = tokio::select! {
                frame = self.to_send.recv() => match frame {
                    Some(frame) => self.write(frame).await,
                    // Nobody holds the socket any more.
                    None => Err(Offline::Unreachable.into()),
                },
                (id, ack) = self.acks.due() => {
                    self.write(wire::Frame { v: wire::FRAME_VERSION, id, body: Some(Body::Ack(ack)) }).await
                }
                message = self.stream.next() => {
                    heard = Instant::now();
                    self.read(message).await
                }
                _ = heartbeat.tick() => {
                    if heard.elapsed() > SILENCE_TIMEOUT {
                        Err(Offline::TimedOut.into())
                    } else {
                        let ping = Body::Ping(wire::Ping { t: 0 });
                        self.write(wire::Frame { v: wire::FRAME_VERSION, id: 0, body: Some(ping) }).await
                    }
                }
            };
            if let Err(error) = step {
                return error;
            }
        }
    }

    async fn write(&mut self, frame: wire::Frame) -> Result<()> {
        if let (id @ 1.., Some(Body::Ack(ack))) = (frame.id, &frame.body) {
            self.acks.sent(id, ack);
        }
        let bytes = frame.encode_to_vec();
        if bytes.len() > MAX_FRAME {
            return Ok(()); // Nothing we make is: texts are capped. The request is answered by its time-out.
        }
        match timeout(ANSWER_TIMEOUT, self.stream.send(Message::Binary(bytes.into()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Offline::Unreachable.into()),
            Err(_) => Err(Offline::TimedOut.into()),
        }
    }

    async fn read(&mut self, message: Option<Result<Message, WsError>>) -> Result<()> {
        match message {
            Some(Ok(Message::Binary(bytes))) => {
                let frame = wire::decode(bytes).map_err(|_| Offline::NotARelay)?;
                self.dispatch(frame)
            }
            // Answered by the WebSocket layer itself.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Close(frame))) => Err(closed(frame.map(|frame| frame.code.into()))),
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
        // In its place among what it is the answer to.
        if let Body::Synced(_) = body {
            return self.arrive(Arrival::Synced(frame.id));
        }
        if frame.id != 0 {
            let waiting =
                self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&frame.id);
            if let Some(waiting) = waiting {
                let _ = waiting.send(body);
            }
            return Ok(());
        }
        let arrival = match body {
            Body::Deliver(deliver) => Arrival::Deliver(deliver),
            Body::QueueEmpty(_) => Arrival::QueueEmpty,
            Body::Trimmed(trimmed) => Arrival::Trimmed(trimmed.total),
            Body::KeysLow(_) => Arrival::KeysLow,
            Body::Reconnect(reconnect) => {
                Arrival::Reconnect(Duration::from_millis(reconnect.jitter_ms.into()))
            }
            Body::Error(error) => return Err(Error::refused(error)),
            // Pong and AckOk say nothing new; what a newer relay says unasked can be left unheard.
            _ => return Ok(()),
        };
        self.arrive(arrival)
    }

    fn arrive(&self, arrival: Arrival) -> Result<()> {
        self.arrived.try_send(arrival).map_err(|full| match full {
            mpsc::error::TrySendError::Full(_) => Offline::NotARelay.into(),
            mpsc::error::TrySendError::Closed(_) => Offline::Unreachable.into(),
        })
    }
}

fn closed(code: Option<u16>) -> Error {
    match code {
        Some(close::UNAUTHORIZED) => Error::Unauthorized,
        Some(close::STORE_ERROR | close::TRY_LATER | close::FLOODING | close::RESTART) => {
            Offline::Busy(Duration::from_secs(1)).into()
        }
        Some(close::BAD_FRAME | close::SCHEMA | close::TOO_BIG) => Offline::NotARelay.into(),
        _ => Offline::Unreachable.into(),
    }
}
