//! One WebSocket: requests with their answers, and what arrives unasked.
//!
//! One task owns the connection ([`Pump`]). It never waits for those who consume what arrives: the credit bounds
//! how much can be on its way, and a relay that sends more is cut off.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use sealpost_wire as wire;
use sealpost_wire::frame::Body;
use sealpost_wire::limits::{MAX_CREDIT, MAX_FRAME, MAX_OPAQUE, PING_INTERVAL_S, close};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::acks::Acks;
use super::tls::{Connector, Stream};
use super::{ANSWER_TIMEOUT, Error, Result, upgrade};
use crate::error::Offline;

/// A connection that is put to the test has this long to show that it is alive.
const PROBE_TIMEOUT: Duration = Duration::from_secs(4);
/// The relay answers pings: silence for this long means that the connection is gone.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(PING_INTERVAL_S as u64 + 15);
/// How often the relay is asked how far its store has come, at most.
const VERSION_PERIOD: Duration = Duration::from_secs(1);
/// Room for all that the credit allows, and for what is not under credit.
const ARRIVALS: usize = MAX_CREDIT as usize * 2;
const OUTGOING: usize = 64;
/// Bytes of sends that are on their way and not answered. On a thin line they pass within [`ANSWER_TIMEOUT`].
const ROOM: usize = 64 << 10;
/// What a send counts at least: so the relay has some more of them than it answers at a time.
const LEAST_ROOM: usize = 512;

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
    /// How far the relay's store has come, after it has stored something of ours.
    StoreVersion(Bytes),
    /// The relay goes away; it asks to wait for a random part of this before coming back.
    Reconnect(Duration),
}

/// What arrives, in order; ends with the connection.
pub(crate) type Arrivals = mpsc::Receiver<Arrival>;

/// A connection on which requests can be made.
pub(crate) struct Socket {
    outgoing: mpsc::Sender<Said>,
    shared: Arc<Shared>,
    next_id: AtomicU64,
    /// For sends that are not answered.
    room: Arc<Semaphore>,
}

/// What leaves.
enum Said {
    Frame(wire::Frame),
    /// A frame as it is coded.
    Coded(Vec<u8>),
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Body>>>,
    /// Why the connection ended, once it has.
    ended: Mutex<Option<Error>>,
    /// Somebody has a reason to believe that the connection is dead.
    doubted: Notify,
}

/// Opens a connection.
pub(super) async fn connect(connector: &Connector) -> Result<(Socket, Arrivals)> {
    Ok(pumped(upgrade::open(connector).await?))
}

/// Starts the task that owns the connection.
fn pumped(stream: WebSocketStream<Box<dyn Stream>>) -> (Socket, Arrivals) {
    let (outgoing, to_send) = mpsc::channel(OUTGOING);
    let (arrived, arrivals) = mpsc::channel(ARRIVALS);
    let shared = Arc::new(Shared::default());
    let (acks, shared_with_pump) = (Acks::default(), Arc::clone(&shared));
    let pump = Pump {
        stream,
        to_send,
        arrived,
        acks,
        shared: shared_with_pump,
        probes: 0,
        probing: None,
        version: Version::default(),
    };
    tokio::spawn(pump.run());
    (Socket { outgoing, shared, next_id: AtomicU64::new(1), room: Arc::new(Semaphore::new(ROOM)) }, arrivals)
}

impl Socket {
    /// Asks, and waits for the answer.
    pub(super) async fn request(&self, body: Body) -> Result<Body> {
        let question = self.question();
        self.send(question.id, body).await?;
        question.answer().await
    }

    /// Asks with `Send`s that are coded already, once there is room for all of them. What comes back waits for the answers.
    pub(super) async fn ask_with_room(
        &self,
        sends: &[(&[u8], wire::SendMode)],
    ) -> Result<Vec<impl Future<Output = Result<Body>> + use<>>> {
        let size = |send: &[u8]| send.len().clamp(LEAST_ROOM, ROOM);
        let all = sends.iter().map(|(send, _)| size(send)).sum::<usize>().min(ROOM);
        let all = u32::try_from(all).unwrap_or(u32::MAX);
        // It is never closed.
        let mut room = Arc::clone(&self.room).acquire_many_owned(all).await.ok();
        let mut answers = Vec::with_capacity(sends.len());
        for (send, mode) in sends {
            let question = self.question();
            let coded = Said::Coded(wire::code_send(question.id, send, *mode));
            self.outgoing.send(coded).await.map_err(|_| self.ended())?;
            let share = room.as_mut().and_then(|room| room.split(size(send).min(room.num_permits())));
            answers.push(async move {
                let answer = question.answer().await;
                drop(share);
                answer
            });
        }
        Ok(answers)
    }

    /// Something to be asked under an id of its own.
    fn question(&self) -> Question {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, answer);
        Question { id, answered, shared: Arc::clone(&self.shared) }
    }

    /// Puts the connection to the test: it ends within seconds if it is dead.
    pub(crate) fn probe(&self) {
        self.shared.doubted.notify_one();
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
        self.outgoing.send(Said::Frame(frame)).await.map_err(|_| self.ended())
    }

    /// Whether another connection of this device took the place of this one.
    pub(crate) fn was_replaced(&self) -> bool {
        let ended = self.shared.ended.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*ended, Some(Error::Replaced))
    }

    /// Why the connection ended.
    pub(crate) fn ended(&self) -> Error {
        self.shared.ended()
    }
}

impl Shared {
    fn ended(&self) -> Error {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.clone().unwrap_or(Error::Offline(Offline::Unreachable))
    }
}

/// What was asked, and waits for its answer. Whoever stops waiting leaves no entry behind.
struct Question {
    id: u64,
    answered: oneshot::Receiver<Body>,
    shared: Arc<Shared>,
}

impl Question {
    async fn answer(mut self) -> Result<Body> {
        match timeout(ANSWER_TIMEOUT, &mut self.answered).await {
            Ok(Ok(Body::Error(error))) => Err(Error::refused(error)),
            Ok(Ok(body)) => Ok(body),
            Ok(Err(_)) => Err(self.shared.ended()),
            Err(_) => {
                self.shared.doubted.notify_one();
                Err(Offline::TimedOut.into())
            }
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// The task that owns the connection.
struct Pump {
    stream: WebSocketStream<Box<dyn Stream>>,
    to_send: mpsc::Receiver<Said>,
    arrived: mpsc::Sender<Arrival>,
    acks: Acks,
    shared: Arc<Shared>,
    /// How often the connection was put to the test: the answer repeats the number.
    probes: u64,
    /// When the connection last showed a sign of life, while the answer to a probe is waited for.
    probing: Option<Instant>,
    version: Version,
}

/// Whether the relay is to be asked how far its store has come.
#[derive(Default)]
struct Version {
    /// Something of ours was stored since it was asked: when it is to be asked.
    due: Option<Instant>,
    asked: Option<Instant>,
    /// The answer is waited for.
    waited_for: bool,
}

impl Version {
    /// Something of ours was stored.
    fn grew(&mut self) {
        let soonest = self.asked.and_then(|asked| asked.checked_add(VERSION_PERIOD));
        self.due.get_or_insert_with(|| soonest.unwrap_or_else(Instant::now));
    }

    fn ask(&mut self) {
        *self = Self { due: None, asked: Some(Instant::now()), waited_for: true };
    }
}

impl Pump {
    async fn run(mut self) {
        let error = self.pump().await;
        let Self { mut stream, to_send, arrived, shared, .. } = self;
        *shared.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        // Whoever waits is told, before the goodbye that a dead connection does not take.
        shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
        drop((to_send, arrived));
        let _ = timeout(Duration::from_secs(1), stream.close(None)).await;
    }

    /// Until the connection ends; why it did.
    async fn pump(&mut self) -> Error {
        let mut heartbeat = interval(Duration::from_secs(PING_INTERVAL_S.into()));
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            let step = tokio::select! {
                said = self.to_send.recv() => match said {
                    Some(said) => self.write(said).await,
                    // Nobody holds the socket any more.
                    None => Err(Offline::Unreachable.into()),
                },
                (id, ack) = self.acks.due() => {
                    let body = Some(Body::Ack(ack));
                    self.write(Said::Frame(wire::Frame { v: wire::FRAME_VERSION, id, body })).await
                }
                message = self.stream.next() => {
                    heard = Instant::now();
                    // What comes may have arrived long ago, so only the answer ends a probe; but there may be a lot before it.
                    self.probing = self.probing.map(|_| heard);
                    self.read(message)
                }
                () = self.shared.doubted.notified() => self.probe().await,
                () = until(self.version.due) => {
                    self.version.ask();
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

    /// Asks for a sign of life, unless one is waited for.
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
        self.write(Said::Frame(wire::Frame { v: wire::FRAME_VERSION, id: 0, body: Some(ping) })).await
    }

    fn code(&mut self, said: Said) -> Vec<u8> {
        match said {
            Said::Coded(bytes) => bytes,
            Said::Frame(frame) => {
                if let (id @ 1.., Some(Body::Ack(ack))) = (frame.id, &frame.body) {
                    self.acks.sent(id, ack);
                }
                frame.encode_to_vec()
            }
        }
    }

    /// Writes this, and what waits behind it, so that they leave together.
    async fn write(&mut self, said: Said) -> Result<()> {
        let mut frames = Vec::new();
        let mut next = Some(said);
        while let Some(said) = next {
            let frame = self.code(said);
            // Nothing we make is larger: texts are capped. The request is answered by its time-out.
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
            // It cannot even be asked whether it is alive.
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
        if let Body::SendAck(_) = &body {
            self.version.grew();
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
            Body::Pong(pong) => {
                if pong.t != 0 && pong.t == self.probes {
                    self.probing = None;
                }
                let told = (1..=MAX_OPAQUE).contains(&pong.store_version.len());
                if !told || !std::mem::take(&mut self.version.waited_for) {
                    return Ok(());
                }
                Arrival::StoreVersion(pong.store_version)
            }
            // AckOk says nothing new; what a newer relay says unasked can be left unheard.
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

async fn write_all(
    stream: &mut WebSocketStream<Box<dyn Stream>>,
    frames: Vec<Message>,
) -> Result<(), WsError> {
    for frame in frames {
        stream.feed(frame).await?;
    }
    stream.flush().await
}

/// Waits for a moment; for ever when there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Waits until a probe was not answered for too long; for ever when there is none.
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

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    /// A socket, and the relay's end of it.
    async fn pair(room: usize) -> (Socket, WebSocketStream<DuplexStream>) {
        let (ours, theirs) = tokio::io::duplex(room);
        let ours =
            WebSocketStream::from_raw_socket(Box::new(ours) as Box<dyn Stream>, Role::Client, None).await;
        let (socket, arrivals) = pumped(ours);
        // Nothing arrives here.
        drop(arrivals);
        (socket, WebSocketStream::from_raw_socket(theirs, Role::Server, None).await)
    }

    /// Answers pings, as a relay does.
    async fn answer(mut relay: WebSocketStream<DuplexStream>) {
        while let Some(Ok(Message::Binary(bytes))) = relay.next().await {
            let frame: wire::Frame = wire::decode(bytes).unwrap();
            if let Some(Body::Ping(ping)) = frame.body {
                let body =
                    Some(Body::Pong(wire::Pong { t: ping.t, server_time_ms: 1, ..Default::default() }));
                let pong = wire::Frame { v: wire::FRAME_VERSION, id: frame.id, body };
                relay.send(Message::Binary(pong.encode_to_vec().into())).await.unwrap();
            }
        }
    }

    async fn has_ended(socket: &Socket) -> Duration {
        let begin = Instant::now();
        socket.outgoing.closed().await;
        begin.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_connection_ends_soon_after_it_was_doubted() {
        let (socket, _relay) = pair(1 << 20).await;
        sleep(Duration::from_secs(1)).await;
        socket.probe();
        assert_eq!(has_ended(&socket).await.as_secs(), PROBE_TIMEOUT.as_secs());
        assert_eq!(socket.ended(), Error::Offline(Offline::TimedOut));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_connection_ends_soon_also_while_it_takes_no_more_bytes() {
        let (socket, _relay) = pair(64).await;
        let sync =
            || Body::Sync(wire::Sync { inbox: false, threads: vec![wire::ThreadCursor::default(); 100] });
        socket.notify(sync()).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        socket.probe();
        assert_eq!(has_ended(&socket).await.as_secs(), PROBE_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_an_answer_puts_the_connection_to_the_test() {
        let (socket, _relay) = pair(1 << 20).await;
        let begin = Instant::now();
        let asked = socket.request(Body::Sync(wire::Sync::default())).await;
        assert_eq!(asked, Err(Offline::TimedOut.into()));
        has_ended(&socket).await;
        assert_eq!(begin.elapsed().as_secs(), (ANSWER_TIMEOUT + PROBE_TIMEOUT).as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_living_connection_survives_any_number_of_probes() {
        let (socket, relay) = pair(1 << 20).await;
        let relay = tokio::spawn(answer(relay));
        for pause_ms in 0..200 {
            socket.probe();
            sleep(Duration::from_millis(pause_ms)).await;
        }
        let lives = timeout(PROBE_TIMEOUT * 100, has_ended(&socket)).await.is_err();
        assert!(lives, "{:?}", socket.ended());
        relay.abort();
    }
}
