//! The clients that load the relay. They do as little work as possible, because they share its processors.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use prost::Message as _;
use sealpost_wire::frame::Body;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::id::{ClientMsgId, ThreadId};
use sealpost_wire::limits::MAX_ACK_KEYS;
use sealpost_wire::{Ack, DeviceCopy, Envelope, Frame, Hello, InboxKey, SUBPROTOCOL, Send};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::relay::{Account, Relay};

/// The size of a typical line of chat once sealed.
const CIPHERTEXT: &[u8] = &[7; 500];

/// A sender, a receiver, and their thread.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) from: Account,
    pub(crate) to: Account,
    thread: ThreadId,
}

impl Pair {
    pub(crate) async fn several(relay: &Relay, count: usize) -> Vec<Self> {
        let mut accounts = VecDeque::from(relay.accounts(2 * count).await);
        let mut pairs = Vec::new();
        while let (Some(from), Some(to)) = (accounts.pop_front(), accounts.pop_front()) {
            let thread = relay.thread(&from, &to).await;
            pairs.push(Self { from, to, thread });
        }
        pairs
    }

    /// A new message.
    fn message(&self) -> Send {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let mut random = [0; 10];
        random[..8].copy_from_slice(&COUNTER.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Send {
            client_msg_id: ClientMsgId::new(u64::try_from(now.as_millis()).unwrap(), &random).to_wire(),
            thread_id: self.thread.to_wire(),
            roster_version: 1,
            copies: vec![DeviceCopy {
                user_id: self.to.user.to_wire(),
                device_id: 1,
                registration_id: 77,
                envelope: Some(Envelope {
                    kind: 1,
                    ciphertext: Bytes::from_static(CIPHERTEXT),
                    ..Envelope::default()
                }),
            }],
            ..Send::default()
        }
    }
}

/// A connection that has completed its handshake.
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
}

impl Client {
    pub(crate) async fn connect(relay: &Relay, account: &Account) -> Self {
        let address = relay.url.strip_prefix("http://").unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut request = format!("ws://{address}/v1/ws").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse().unwrap());
        let config = WebSocketConfig::default().read_buffer_size(16 << 10);
        let (socket, _) = client_async_with_config(request, stream, Some(config)).await.unwrap();
        let mut client = Self { socket };
        let hello = Hello { access_token: account.access_token.clone(), device_id: 1, ..Hello::default() };
        client.feed(1, Body::Hello(hello)).await;
        client.socket.flush().await.unwrap();
        assert!(matches!(client.frame().await, Body::Welcome(_)), "no welcome");
        client
    }

    /// Sends this many messages.
    pub(crate) async fn send(&mut self, pair: &Pair, count: usize) {
        for _ in 0..count {
            self.feed(1, Body::Send(pair.message())).await;
        }
        self.socket.flush().await.unwrap();
    }

    /// Waits for answers to sends, and returns how many arrived together.
    pub(crate) async fn answers(&mut self) -> usize {
        let (mut answered, mut next) = (0, Some(self.frame().await));
        while let Some(frame) = next {
            match frame {
                Body::SendAck(_) => answered += 1,
                Body::KeysLow(_) => {}
                other => panic!("not stored: {other:?}"),
            }
            next = self.frame().now_or_never();
        }
        answered
    }

    /// Acknowledges everything that arrives. Rows that arrive together are acknowledged in one frame.
    pub(crate) async fn receive(mut self) {
        loop {
            let (mut keys, mut next) = (Vec::new(), Some(self.frame().await));
            while let Some(frame) = next {
                if let Body::Deliver(deliver) = frame {
                    keys.extend(deliver.key);
                }
                next = if keys.len() < 100 { self.frame().now_or_never() } else { None };
            }
            if !keys.is_empty() {
                self.feed(0, Body::Ack(Ack { keys, trimmed: 0 })).await;
                self.socket.flush().await.unwrap();
            }
        }
    }

    /// Acknowledges rows that do not exist, as many per frame as allowed and as fast as the relay accepts them, and
    /// tolerates being disconnected.
    pub(crate) async fn acknowledge_nothing(relay: &Relay, account: &Account) {
        let key = |server_seq| InboxKey { thread_id: vec![9; 16].into(), server_seq };
        let keys = (1..=u64::try_from(MAX_ACK_KEYS).unwrap()).map(key).collect();
        let frame = Frame { v: 1, id: 1, body: Some(Body::Ack(Ack { keys, trimmed: 0 })) };
        Self::flood(relay, account, || frame.encode_to_vec().into()).await;
    }

    /// Sends as fast as the relay accepts it.
    pub(crate) async fn send_without_end(relay: &Relay, pair: &Pair) {
        let frame = || Frame { v: 1, id: 1, body: Some(Body::Send(pair.message())) };
        Self::flood(relay, &pair.from, || frame().encode_to_vec().into()).await;
    }

    async fn flood(relay: &Relay, account: &Account, frame: impl Fn() -> Bytes) {
        loop {
            let (mut sink, mut answers) = Self::connect(relay, account).await.socket.split();
            let told = async {
                for _ in 0.. {
                    if sink.send(Message::Binary(frame())).await.is_err() {
                        break;
                    }
                }
            };
            let heard = async { while let Some(Ok(_)) = answers.next().await {} };
            futures_util::future::select(std::pin::pin!(told), std::pin::pin!(heard)).await;
        }
    }

    async fn feed(&mut self, id: u64, body: Body) {
        let frame = Frame { v: 1, id, body: Some(body) };
        self.socket.feed(Message::Binary(frame.encode_to_vec().into())).await.unwrap();
    }

    async fn frame(&mut self) -> Body {
        loop {
            match self.socket.next().await.expect("the relay has closed").unwrap() {
                Message::Binary(bytes) => {
                    return sealpost_wire::decode::<Frame>(bytes).unwrap().body.unwrap();
                }
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }
}
