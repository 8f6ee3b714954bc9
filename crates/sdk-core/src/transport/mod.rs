//! The relay, as the client sees it: REST for single requests, and one WebSocket for everything else.
//!
//! Of the store, this module knows only proofs and values ([`Durable`], [`Parcel`], [`Gap`]). Without a proof of
//! durability, no sealed message is sent and nothing is acknowledged.

mod acks;
mod dial;
mod hints;
mod http;
mod names;
mod pump;
mod race;
mod socket;
mod tls;
mod upgrade;
mod version;

use std::sync::Arc;
use std::time::Duration;

use sealpost_wire as wire;
use sealpost_wire::frame::Body;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::limits::MAX_COUNT;
use tokio::sync::watch;

use crate::config::{ProxyChoice, Trust};
use crate::error::{self, Offline};
use crate::id::ThreadId;
use crate::store::{Durable, Gap, Parcel};

pub(crate) use hints::{Hints, Listener};
pub(crate) use http::{CreatedThread, Http, Posted};
pub(crate) use socket::{Arrival, Arrivals, Socket};

use tls::Connector;

/// If the answer on the socket takes longer, its outcome counts as unknown, and the same request may be made again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The place of an envelope in our mailbox, once its effects are durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EnvelopeId {
    pub(crate) thread: ThreadId,
    pub(crate) server_seq: u64,
}

/// What was handled and may be acknowledged.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Handled {
    pub(crate) posts: Vec<EnvelopeId>,
    /// The numbers of stored mail.
    pub(crate) mail: Vec<u64>,
}

/// Why the relay did not fulfil a request.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Offline(#[from] Offline),
    #[error("the token is not valid")]
    Unauthorized,
    #[error("another connection of this device has replaced this one")]
    Replaced,
    #[error("refused: {}", .0.code)]
    Refused(Box<wire::Error>),
}

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Classifies a refusal of the relay.
    fn refused(error: wire::Error) -> Self {
        match error.code {
            401 => Self::Unauthorized,
            429 | 503 | 507 => {
                Self::Offline(Offline::Busy(Duration::from_millis(error.retry_after_ms.max(1000).into())))
            }
            _ => Self::Refused(Box::new(error)),
        }
    }
}

impl From<Error> for error::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Offline(offline) => Self::Offline(offline),
            Error::Unauthorized => Self::Unauthorized,
            Error::Replaced => Self::Offline(Offline::Unreachable),
            Error::Refused(refusal) if refusal.code == 404 => Self::NotFound,
            Error::Refused(refusal) if refusal.reason == wire::reason::RECIPIENT_DELETED => {
                Self::RecipientDeleted
            }
            Error::Refused(refusal) => {
                Self::Offline(Offline::Refused(u16::try_from(refusal.code).unwrap_or(u16::MAX)))
            }
        }
    }
}

/// Both connections to the relay. Clones share them.
#[derive(Clone)]
pub(crate) struct Transport {
    pub(crate) http: Http,
    pub(crate) hints: Hints,
    connector: Arc<Connector>,
    live: Live,
}

/// The socket, while there is one.
type Live = watch::Sender<Option<Arc<Socket>>>;

impl Transport {
    /// # Errors
    /// Returns [`error::Error::Misuse`] if the address is not that of a relay, if the proxy's address is not valid,
    /// or if no root certificate can be read.
    pub(crate) fn new(relay: &str, trust: &Trust, proxy: &ProxyChoice) -> error::Result<Self> {
        let connector = Arc::new(Connector::new(relay, trust, proxy)?);
        let live = Live::new(None);
        let http = Http::new(Arc::clone(&connector), live.clone());
        Ok(Self { http, hints: Hints::new(), connector, live })
    }

    /// Opens a socket, which begins with [`Socket::hello`]. It is not used for sending before [`Transport::go_live`].
    pub(crate) async fn connect(&self) -> Result<(Socket, Arrivals)> {
        socket::connect(&self.connector).await
    }

    /// From now on, sends use this socket.
    pub(crate) fn go_live(&self, socket: Arc<Socket>) {
        self.live.send_replace(Some(socket));
    }

    /// Records that there is no socket any more.
    pub(crate) fn go_offline(&self) {
        self.live.send_replace(None);
    }

    /// Called when the app says that it is worth trying the network now. An existing connection may be dead.
    pub(crate) fn hint(&self) {
        self.http.renew();
        self.hints.give();
    }

    /// Called when the app says whether it is in the foreground. Entering the foreground is also a hint.
    pub(crate) fn set_foreground(&self, foreground: bool) {
        if self.hints.set_foreground(foreground) && foreground {
            self.hint();
        }
    }

    /// The socket, while there is one.
    pub(crate) fn live(&self) -> Option<Arc<Socket>> {
        self.live.borrow().clone()
    }

    /// The socket, while there is one, and changes of it.
    pub(crate) fn live_changes(&self) -> watch::Receiver<Option<Arc<Socket>>> {
        self.live.subscribe()
    }

    /// Waits until there is a socket.
    pub(crate) async fn online(&self) {
        // The sender lives as long as `self`.
        let _ = self.live.subscribe().wait_for(Option::is_some).await;
    }

    /// The time at the relay, in milliseconds. The device may have been asleep, so this also tests the connection.
    pub(crate) async fn server_time(&self) -> Result<u64> {
        let socket = self.live.borrow().clone().ok_or(Offline::Unreachable)?;
        socket.probe();
        match socket.request(Body::Ping(wire::Ping { t: 0 })).await? {
            Body::Pong(pong) => Ok(pong.server_time_ms),
            _ => Err(Offline::NotARelay.into()),
        }
    }
}

impl Socket {
    /// Sends parcels once there is room for them in flight, in the order in which they were submitted. Returns a future
    /// for the answer to each. The same parcels may be submitted again until they are answered.
    pub(crate) async fn submit(
        &self,
        run: &[(Durable<Parcel>, wire::SendMode)],
    ) -> Result<Vec<impl Future<Output = Result<wire::SendAck>> + use<>>> {
        let sends: Vec<_> = run.iter().map(|(parcel, mode)| (&parcel.get().bytes[..], *mode)).collect();
        let answers = self.send_with_room(&sends).await?.into_iter();
        let acknowledged = answers.map(|answer| async move {
            match answer.await? {
                Body::SendAck(ack) if ack.server_seq.max(ack.epoch) <= MAX_COUNT => Ok(ack),
                _ => Err(Offline::NotARelay.into()),
            }
        });
        Ok(acknowledged.collect())
    }

    /// Presents a token: this is the first message on a socket, and is repeated when the token is replaced.
    pub(crate) async fn hello(&self, hello: wire::Hello) -> Result<wire::Welcome> {
        match self.request(Body::Hello(hello)).await? {
            Body::Welcome(welcome) if welcome.epoch <= MAX_COUNT => Ok(welcome),
            _ => Err(Offline::NotARelay.into()),
        }
    }

    /// Sends mail. Returns a future of the answer. The same parcel may be sent again until it is answered, unless it is ephemeral.
    pub(crate) async fn submit_mail(
        &self,
        mail: &Durable<Parcel>,
    ) -> Result<impl Future<Output = Result<wire::SendAck>> + use<>> {
        let answer = self.send_mail(&mail.get().bytes).await?;
        Ok(async move {
            match answer.await? {
                Body::SendAck(ack) => Ok(ack),
                _ => Err(Offline::NotARelay.into()),
            }
        })
    }

    /// Tells the relay that it may delete these envelopes.
    pub(crate) async fn acknowledge(&self, handled: Durable<Handled>) -> Result<()> {
        let Handled { posts, mail } = handled.get();
        for keys in posts.chunks(wire::limits::MAX_ACK_KEYS) {
            let keys = keys
                .iter()
                .map(|id| wire::InboxKey { thread_id: id.thread.to_wire(), server_seq: id.server_seq });
            self.acknowledge_later(Body::Ack(wire::Ack { keys: keys.collect(), trimmed: 0 })).await?;
        }
        for mail_seqs in mail.chunks(wire::limits::MAX_ACK_KEYS) {
            let mail_seqs = mail_seqs.to_vec();
            self.acknowledge_later(Body::AckMail(wire::AckMail { mail_seqs })).await?;
        }
        Ok(())
    }

    /// Requests everything in our mailbox.
    pub(crate) async fn drain_mailbox(&self) -> Result<()> {
        self.notify(Body::Sync(wire::Sync { inbox: true, threads: Vec::new() })).await
    }

    /// Acknowledges that this many rows were trimmed.
    pub(crate) async fn acknowledge_trimmed(&self, trimmed: u64) -> Result<()> {
        self.acknowledge_later(Body::Ack(wire::Ack { keys: Vec::new(), trimmed })).await
    }

    /// Requests the missing places. [`Arrival::Synced`] with the returned ID says that everything available has
    /// arrived.
    pub(crate) async fn fetch_gaps(&self, gaps: &[Gap]) -> Result<u64> {
        const LIMIT: u64 = 100;
        let threads = gaps.iter().map(|gap| wire::ThreadCursor {
            thread_id: gap.thread.to_wire(),
            after_seq: gap.first.saturating_sub(1),
            limit: u32::try_from(gap.last.saturating_sub(gap.first).saturating_add(1).min(LIMIT))
                .unwrap_or(100),
        });
        self.start_sync(Body::Sync(wire::Sync { inbox: false, threads: threads.collect() })).await
    }
}
