//! One WebSocket: requests with their answers, and what arrives without a request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use sealpost_wire as wire;
use sealpost_wire::frame::Body;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;

use super::pump::{Leaving, Pump, Shared};
use super::tls::{Connector, Stream};
use super::{ANSWER_TIMEOUT, Error, Result, upgrade};
use crate::error::Offline;

pub(crate) use super::pump::{Arrival, Arrivals};

/// Maximum size of the sends that wait for answers, in bytes. On a slow network, they pass within [`ANSWER_TIMEOUT`].
const ROOM: usize = 64 << 10;
/// The size that is counted for a send at least, so that only slightly more of them are in flight than the relay answers at
/// a time.
const LEAST_ROOM: usize = 512;

/// A connection on which requests can be made.
pub(crate) struct Socket {
    outgoing: mpsc::Sender<Leaving>,
    shared: Arc<Shared>,
    next_id: AtomicU64,
    /// The room for sends that have not been answered.
    room: Arc<Semaphore>,
}

/// Opens a connection.
pub(super) async fn connect(connector: &Connector) -> Result<(Socket, Arrivals)> {
    Ok(over(upgrade::open(connector).await?))
}

/// A socket over an open WebSocket.
fn over(stream: WebSocketStream<Box<dyn Stream>>) -> (Socket, Arrivals) {
    let (outgoing, shared, arrivals) = Pump::start(stream);
    (Socket { outgoing, shared, next_id: AtomicU64::new(1), room: Arc::new(Semaphore::new(ROOM)) }, arrivals)
}

impl Socket {
    /// Sends a request, and waits for the answer.
    pub(super) async fn request(&self, body: Body) -> Result<Body> {
        let request = self.new_request();
        self.send(request.id, body).await?;
        request.answer().await
    }

    /// Sends encoded `Send`s once there is room for all of them in flight. Returns futures of the answers.
    pub(super) async fn send_with_room(
        &self,
        sends: &[(&[u8], wire::SendMode)],
    ) -> Result<Vec<impl Future<Output = Result<Body>> + use<>>> {
        let size = |send: &[u8]| send.len().clamp(LEAST_ROOM, ROOM);
        let all = sends.iter().map(|(send, _)| size(send)).sum::<usize>().min(ROOM);
        let all = u32::try_from(all).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        let mut room = Arc::clone(&self.room).acquire_many_owned(all).await.ok();
        let mut answers = Vec::with_capacity(sends.len());
        for (send, mode) in sends {
            let request = self.new_request();
            let encoded = Leaving::Encoded(wire::code_send(request.id, send, *mode));
            self.outgoing.send(encoded).await.map_err(|_| self.ended())?;
            let share = room.as_mut().and_then(|room| room.split(size(send).min(room.num_permits())));
            answers.push(async move {
                let answer = request.answer().await;
                drop(share);
                answer
            });
        }
        Ok(answers)
    }

    /// Sends an encoded `Mail`. Returns a future of the answer.
    pub(super) async fn send_mail(&self, mail: &[u8]) -> Result<impl Future<Output = Result<Body>> + use<>> {
        let request = self.new_request();
        let encoded = Leaving::Encoded(wire::code_mail(request.id, mail));
        self.outgoing.send(encoded).await.map_err(|_| self.ended())?;
        Ok(request.answer())
    }

    /// A request with a new id.
    fn new_request(&self) -> Request {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, answer);
        Request { id, answered, shared: Arc::clone(&self.shared) }
    }

    /// Probes the connection, which ends within seconds if it is dead.
    pub(crate) fn probe(&self) {
        self.shared.doubted.notify_one();
    }

    /// Sends a message that has no answer.
    pub(super) async fn notify(&self, body: Body) -> Result<()> {
        self.send(0, body).await
    }

    /// Acknowledges without waiting. The task of the connection repeats this if the relay asks for it.
    pub(super) async fn acknowledge_later(&self, ack: Body) -> Result<()> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.send(id, ack).await
    }

    /// Requests what otherwise arrives without a request. Returns the id with which [`Arrival::Synced`] ends the answer.
    pub(super) async fn start_sync(&self, body: Body) -> Result<u64> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.send(id, body).await?;
        Ok(id)
    }

    async fn send(&self, id: u64, body: Body) -> Result<()> {
        let frame = wire::Frame { v: wire::FRAME_VERSION, id, body: Some(body) };
        self.outgoing.send(Leaving::Frame(frame)).await.map_err(|_| self.ended())
    }

    /// Whether another connection of this device has replaced this one.
    pub(crate) fn was_replaced(&self) -> bool {
        self.shared.was_replaced()
    }

    /// Why the connection ended.
    pub(crate) fn ended(&self) -> Error {
        self.shared.ended()
    }
}

/// A request that waits for its answer. Dropping it removes its entry.
struct Request {
    id: u64,
    answered: oneshot::Receiver<Body>,
    shared: Arc<Shared>,
}

impl Request {
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

impl Drop for Request {
    fn drop(&mut self) {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::{SinkExt as _, StreamExt as _};
    use prost::Message as _;
    use tokio::io::DuplexStream;
    use tokio::time::{Instant, sleep};
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::super::pump::PROBE_TIMEOUT;
    use super::*;

    /// A socket, with the relay's end of its connection.
    async fn pair(room: usize) -> (Socket, WebSocketStream<DuplexStream>) {
        let (ours, theirs) = tokio::io::duplex(room);
        let ours =
            WebSocketStream::from_raw_socket(Box::new(ours) as Box<dyn Stream>, Role::Client, None).await;
        let (socket, arrivals) = over(ours);
        // The relay's end sends nothing, so no arrivals are expected.
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
    async fn the_first_frame_is_that_of_the_caller_even_if_it_is_late() {
        let (socket, mut relay) = pair(1 << 20).await;
        sleep(Duration::from_secs(2)).await;
        socket.notify(Body::Sync(wire::Sync::default())).await.unwrap();
        let Some(Ok(Message::Binary(bytes))) = relay.next().await else { panic!("a frame") };
        let frame: wire::Frame = wire::decode(bytes).unwrap();
        assert!(matches!(frame.body, Some(Body::Sync(_))), "{frame:?}");
    }

    #[tokio::test]
    async fn a_connection_that_breaks_off_is_lost_and_was_to_the_relay() {
        let (socket, relay) = pair(1 << 20).await;
        drop(relay);
        has_ended(&socket).await;
        assert_eq!(socket.ended(), Error::Offline(Offline::Unreachable));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_connection_ends_soon_after_a_probe() {
        let (socket, _relay) = pair(1 << 20).await;
        sleep(Duration::from_secs(1)).await;
        socket.probe();
        assert_eq!(has_ended(&socket).await.as_secs(), PROBE_TIMEOUT.as_secs());
        assert_eq!(socket.ended(), Error::Offline(Offline::TimedOut));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_connection_ends_soon_even_if_nothing_can_be_written() {
        let (socket, _relay) = pair(64).await;
        let sync =
            || Body::Sync(wire::Sync { inbox: false, threads: vec![wire::ThreadCursor::default(); 100] });
        socket.notify(sync()).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        socket.probe();
        assert_eq!(has_ended(&socket).await.as_secs(), PROBE_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_an_answer_probes_the_connection() {
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

    #[tokio::test]
    async fn ephemeral_mail_that_nobody_processes_is_dropped_and_leaves_the_room_for_the_rest() {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let ours =
            WebSocketStream::from_raw_socket(Box::new(ours) as Box<dyn Stream>, Role::Client, None).await;
        let (socket, mut arrivals) = over(ours);
        let mut relay = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
        let frame = |body| {
            let frame = wire::Frame { v: wire::FRAME_VERSION, id: 0, body: Some(body) };
            Message::Binary(frame.encode_to_vec().into())
        };
        let mail = |mail_seq| Body::DeliverMail(wire::DeliverMail { mail_seq, ..Default::default() });
        // Nobody takes what arrives.
        for _ in 0..1_000 {
            relay.send(frame(mail(0))).await.unwrap();
        }
        for mail_seq in 1..=100 {
            relay.send(frame(mail(mail_seq))).await.unwrap();
        }
        relay.send(frame(Body::QueueEmpty(wire::QueueEmpty::default()))).await.unwrap();
        let (mut ephemeral, mut kept) = (0, Vec::new());
        while let Some(arrival) = arrivals.recv().await {
            match arrival {
                Arrival::DeliverMail(mail) if mail.mail_seq == 0 => ephemeral += 1,
                Arrival::DeliverMail(mail) => kept.push(mail.mail_seq),
                Arrival::QueueEmpty => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(kept, (1..=100).collect::<Vec<_>>());
        assert!((64..1_000).contains(&ephemeral), "{ephemeral}");
        assert!(!socket.outgoing.is_closed(), "{:?}", socket.ended());
    }
}
