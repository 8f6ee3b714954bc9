//! The client side of a WebSocket, frame by frame.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use sealpost_wire::frame::Body;
use sealpost_wire::{Ack, Deliver, DeliverMail, Frame, Hello, InboxKey, Welcome};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{Party, World};

/// No test takes this long; one that waits this long has failed.
const TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) struct Socket {
    pub(crate) raw: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next_id: u64,
}

/// What a client reads: a frame, or the close.
#[derive(Debug, PartialEq)]
pub(crate) enum Read {
    Frame(u64, Body),
    Closed(u16),
}

pub(crate) fn hello(party: &Party) -> Hello {
    Hello { access_token: party.tokens.access_token.clone(), device_id: 1, ..Hello::default() }
}

impl Socket {
    /// Opens a socket without authenticating.
    pub(crate) async fn open(world: &World) -> Self {
        Self::open_at(&world.relay.url()).await
    }

    pub(crate) async fn open_at(url: &str) -> Self {
        let mut request = format!("{url}/v1/ws").replace("http", "ws").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "relay.v1".parse().unwrap());
        let (raw, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        Self { raw, next_id: 1 }
    }

    /// Opens a socket and authenticates.
    pub(crate) async fn connect(world: &World, party: &Party) -> Self {
        Self::connect_with(world, hello(party)).await.0
    }

    /// The same, for a client that handles mail.
    pub(crate) async fn connect_for_mail(world: &World, party: &Party) -> Self {
        let features = vec![sealpost_wire::feature::MAIL.to_owned()];
        Self::connect_with(world, Hello { features, ..hello(party) }).await.0
    }

    pub(crate) async fn connect_with(world: &World, hello: Hello) -> (Self, Welcome) {
        Self::open(world).await.greet(hello).await
    }

    /// Authenticates.
    pub(crate) async fn greet(self, hello: Hello) -> (Self, Welcome) {
        let mut socket = self;
        let id = socket.send(Body::Hello(hello)).await;
        match socket.read().await {
            Read::Frame(reply, Body::Welcome(welcome)) if reply == id => (socket, welcome),
            other => panic!("no welcome: {other:?}"),
        }
    }

    /// Sends a frame, and returns the id of its answer.
    pub(crate) async fn send(&mut self, body: Body) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let frame = Frame { v: 1, id, body: Some(body) };
        self.raw.send(Message::Binary(frame.encode_to_vec().into())).await.unwrap();
        id
    }

    /// Sends a frame without requesting an answer.
    pub(crate) async fn notify(&mut self, body: Body) {
        let frame = Frame { v: 1, id: 0, body: Some(body) };
        self.raw.send(Message::Binary(frame.encode_to_vec().into())).await.unwrap();
    }

    pub(crate) async fn read(&mut self) -> Read {
        loop {
            let message = tokio::time::timeout(TIMEOUT, self.raw.next()).await.expect("the relay is silent");
            match message {
                Some(Ok(Message::Binary(bytes))) => {
                    let frame: Frame = sealpost_wire::decode(bytes).unwrap();
                    return Read::Frame(frame.id, frame.body.unwrap());
                }
                Some(Ok(Message::Close(frame))) => {
                    // Sends the close frame that the relay waits for. The relay may have stopped waiting.
                    self.raw.flush().await.ok();
                    return Read::Closed(frame.unwrap().code.into());
                }
                Some(Ok(_)) => {}
                Some(Err(tungstenite::Error::ConnectionClosed)) | None => panic!("closed without a reason"),
                Some(Err(error)) => panic!("{error}"),
            }
        }
    }

    /// The next frame that is not about keys running low.
    pub(crate) async fn frame(&mut self) -> (u64, Body) {
        loop {
            match self.read().await {
                Read::Frame(_, Body::KeysLow(_)) => {}
                Read::Frame(id, body) => return (id, body),
                Read::Closed(code) => panic!("closed: {code}"),
            }
        }
    }

    pub(crate) async fn deliver(&mut self) -> Deliver {
        match self.frame().await {
            (0, Body::Deliver(deliver)) => deliver,
            other => panic!("no delivery: {other:?}"),
        }
    }

    pub(crate) async fn mail(&mut self) -> DeliverMail {
        match self.frame().await {
            (0, Body::DeliverMail(mail)) => mail,
            other => panic!("no mail: {other:?}"),
        }
    }

    /// Reads until the relay closes.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            if let Read::Closed(code) = self.read().await {
                return code;
            }
        }
    }

    /// Acknowledges rows, and returns how many existed.
    pub(crate) async fn acknowledge(&mut self, keys: Vec<InboxKey>) -> u32 {
        let id = self.send(Body::Ack(Ack { keys, trimmed: 0 })).await;
        loop {
            match self.frame().await {
                (reply, Body::AckOk(ok)) if reply == id => return ok.removed,
                // The answer to a request that was not waited for.
                (_, Body::AckOk(_)) => {}
                other => panic!("no AckOk: {other:?}"),
            }
        }
    }

    /// Sends a frame and waits for the answer; nothing else may be received in between.
    pub(crate) async fn ask(&mut self, body: Body) -> Body {
        let id = self.send(body).await;
        let (reply, body) = self.frame().await;
        assert_eq!(reply, id);
        body
    }
}
