//! A socket without a client.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use prost::Message as _;
use rand::Rng as _;
use sealpost_wire::frame::Body;
use sealpost_wire::id::{ClientMsgId, ThreadId, ToWire as _};
use sealpost_wire::{Ack, AckMail, DeviceCopy, Envelope, Frame, Hello, SUBPROTOCOL, Send, envelope, feature};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::arrivals::Arrivals;
use super::member::{Member, REGISTRATION};

/// Rows that are acknowledged in one frame at most.
const AT_ONCE: usize = 100;

pub(crate) struct Line {
    socket: WebSocketStream<TcpStream>,
    bytes: usize,
}

impl Line {
    pub(crate) async fn connect(url: &str, member: &Member) -> Self {
        let address = url.strip_prefix("http://").unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut request = format!("ws://{address}/v1/ws").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse().unwrap());
        let config = WebSocketConfig::default().read_buffer_size(16 << 10);
        let (socket, _) = client_async_with_config(request, stream, Some(config)).await.unwrap();
        let mut line = Self { socket, bytes: 0 };
        let hello = Hello {
            access_token: member.access_token.clone(),
            device_id: 1,
            features: vec![feature::MAIL.to_owned()],
            ..Hello::default()
        };
        line.feed(1, Body::Hello(hello)).await;
        line.flush().await;
        assert!(matches!(line.frame().await, Body::Welcome(_)), "no welcome");
        line
    }

    /// Acknowledges all that arrives, and reports it.
    pub(crate) async fn receive(mut self, arrivals: Arc<Arrivals>) {
        let (mut keys, mut mail) = (Vec::new(), Vec::new());
        loop {
            let mut next = Some(self.frame().await);
            while let Some(frame) = next {
                match frame {
                    Body::Deliver(deliver) => {
                        if deliver.envelope.unwrap().kind == envelope::GROUP {
                            arrivals.post();
                        }
                        keys.extend(deliver.key);
                    }
                    Body::DeliverMail(deliver) => {
                        arrivals.mail();
                        mail.push(deliver.mail_seq);
                    }
                    _ => {}
                }
                next = if keys.len() + mail.len() < AT_ONCE { self.frame().now_or_never() } else { None };
            }
            arrivals.add_bytes(std::mem::take(&mut self.bytes));
            if arrivals.is_held() {
                continue;
            }
            if !keys.is_empty() {
                self.feed(0, Body::Ack(Ack { keys: std::mem::take(&mut keys), trimmed: 0 })).await;
            }
            if !mail.is_empty() {
                self.feed(0, Body::AckMail(AckMail { mail_seqs: std::mem::take(&mut mail) })).await;
            }
            self.flush().await;
        }
    }

    /// Sends a message to the other member of a direct thread in each interval, until it is dropped. `took` gets when it was sent, and after
    /// which time the relay has stored it.
    pub(crate) async fn pace(
        mut self,
        (to, thread): (&Member, ThreadId),
        each: Duration,
        took: &std::sync::Mutex<Vec<(Instant, Duration)>>,
    ) {
        let mut due = tokio::time::interval(each);
        let (mut sent, mut number) = (HashMap::new(), 1);
        loop {
            tokio::select! {
                _ = due.tick() => {
                    number += 1;
                    sent.insert(number, Instant::now());
                    self.feed(number, Body::Send(message(to, thread))).await;
                    self.flush().await;
                }
                (id, frame) = self.answer() => match frame {
                    Body::SendAck(_) => {
                        let at = sent.remove(&id).unwrap();
                        took.lock().unwrap().push((at, at.elapsed()));
                    }
                    Body::KeysLow(_) => {}
                    other => panic!("not stored: {other:?}"),
                },
            }
        }
    }

    async fn feed(&mut self, id: u64, body: Body) {
        let frame = Frame { v: 1, id, body: Some(body) };
        self.socket.feed(Message::Binary(frame.encode_to_vec().into())).await.unwrap();
    }

    async fn flush(&mut self) {
        self.socket.flush().await.unwrap();
    }

    async fn frame(&mut self) -> Body {
        self.answer().await.1
    }

    async fn answer(&mut self) -> (u64, Body) {
        loop {
            match self.socket.next().await.expect("the relay has closed").unwrap() {
                Message::Binary(bytes) => {
                    self.bytes += bytes.len();
                    let frame = sealpost_wire::decode::<Frame>(bytes).unwrap();
                    return (frame.id, frame.body.unwrap());
                }
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }
}

/// As long as a line of chat once sealed.
fn message(to: &Member, thread: ThreadId) -> Send {
    let mut random = [0; 10];
    rand::rng().fill_bytes(&mut random);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Send {
        client_msg_id: ClientMsgId::new(u64::try_from(now.as_millis()).unwrap(), &random).to_wire(),
        thread_id: thread.to_wire(),
        roster_version: 1,
        copies: vec![DeviceCopy {
            user_id: to.user.to_wire(),
            device_id: 1,
            registration_id: REGISTRATION,
            envelope: Some(Envelope { kind: 1, ciphertext: vec![7; 500].into(), ..Envelope::default() }),
        }],
        ..Send::default()
    }
}
