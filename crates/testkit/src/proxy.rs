//! A proxy between client and relay that decodes the traffic and can change it, as an attacker on the network or a
//! hostile relay could.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use sealpost_wire::{Frame, SUBPROTOCOL};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, client_async};

use crate::http::{first_line, read_message};

pub use tokio_tungstenite::tungstenite::Message as SocketMessage;

/// How the proxy changes the traffic. By default, it changes nothing.
pub trait Interceptor: Send + Sync + 'static {
    /// Returns the frames to send to the relay in place of a frame from the client.
    fn up(&self, frame: Frame) -> Vec<Frame> {
        vec![frame]
    }

    /// Returns the frames to send to the client in place of a frame from the relay.
    fn down(&self, frame: Frame) -> Vec<Frame> {
        vec![frame]
    }

    /// Returns which part of the exchange is lost, if any, for a request line such as `GET /v1/keys HTTP/1.1`.
    fn loses(&self, _request: &str) -> Option<Loss> {
        None
    }

    /// Returns the body to send in place of the relay's, for a request line such as `GET /v1/keys HTTP/1.1`.
    fn answer(&self, _request: &str, body: Vec<u8>) -> Vec<u8> {
        body
    }
}

/// Which part of an exchange is lost, together with the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The request, which never reaches the relay.
    Request,
    /// The answer.
    Answer,
}

/// Changes nothing.
#[derive(Debug, Clone, Copy)]
pub struct PassThrough;

impl Interceptor for PassThrough {}

/// A running proxy with its own address. Dropping it ends every connection through it.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    injected: broadcast::Sender<SocketMessage>,
    sockets: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl Proxy {
    /// Starts a proxy to the relay at `upstream`, which may stop and start again.
    pub async fn start(upstream: SocketAddr, interceptor: impl Interceptor) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let (injected, _) = broadcast::channel(4096);
        let sockets = Arc::<AtomicUsize>::default();
        let passage = ProxyConnection {
            upstream,
            interceptor: Arc::new(interceptor),
            injected: injected.clone(),
            sockets: Arc::clone(&sockets),
        };
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(passage.clone().serve(stream));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { addr, injected, sockets, _server: server }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The number of sockets that it has connected so far.
    pub fn sockets(&self) -> usize {
        self.sockets.load(Ordering::SeqCst)
    }

    /// Sends a frame to every connected client, as if the relay had sent it.
    pub fn inject(&self, frame: &Frame) {
        self.inject_raw(SocketMessage::Binary(frame.encode_to_vec().into()));
    }

    /// Like [`Proxy::inject`], for a message that is not a frame.
    pub fn inject_raw(&self, message: SocketMessage) {
        // There may be no connected client.
        let _ = self.injected.send(message);
    }
}

/// The settings of a connection.
#[derive(Clone)]
struct ProxyConnection {
    upstream: SocketAddr,
    interceptor: Arc<dyn Interceptor>,
    injected: broadcast::Sender<SocketMessage>,
    sockets: Arc<AtomicUsize>,
}

impl ProxyConnection {
    /// Serves one connection; any failure ends it, as on a real network.
    async fn serve(self, stream: TcpStream) {
        let mut start = [0; 10];
        let is_socket = loop {
            match stream.peek(&mut start).await {
                Ok(length) if length == start.len() => break &start == b"GET /v1/ws",
                Ok(1..) => tokio::task::yield_now().await,
                _ => return,
            }
        };
        let _ = stream.set_nodelay(true);
        let Ok(upstream) = TcpStream::connect(self.upstream).await else { return };
        let _ = upstream.set_nodelay(true);
        if is_socket {
            let _ = self.pass_frames(stream, upstream).await;
        } else {
            let _ = self.pass_requests(stream, upstream).await;
        }
    }

    async fn pass_requests(self, mut client: TcpStream, mut relay: TcpStream) -> std::io::Result<()> {
        loop {
            let Some((request, _)) = read_message(&mut client).await? else { return Ok(()) };
            let line = first_line(&request);
            let loss = self.interceptor.loses(&line);
            if loss == Some(Loss::Request) {
                return Ok(());
            }
            relay.write_all(&request).await?;
            let Some((answer, head)) = read_message(&mut relay).await? else { return Ok(()) };
            if loss == Some(Loss::Answer) {
                return Ok(());
            }
            let body = answer.get(head..).unwrap_or_default().to_vec();
            let body = self.interceptor.answer(&line, body);
            let head = String::from_utf8_lossy(answer.get(..head).unwrap_or_default()).into_owned();
            let kept: Vec<&str> = head.lines().filter(|line| !line.is_empty() && !is_length(line)).collect();
            let head = format!("{}\r\ncontent-length: {}\r\n\r\n", kept.join("\r\n"), body.len());
            client.write_all(head.as_bytes()).await?;
            client.write_all(&body).await?;
        }
    }

    async fn pass_frames(self, client: TcpStream, relay: TcpStream) -> Option<()> {
        let mut request = format!("ws://{}/v1/ws", self.upstream).into_client_request().ok()?;
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        let (mut relay, _) = client_async(request, relay).await.ok()?;
        let mut client = accept_hdr_async(client, accept_subprotocol).await.ok()?;
        let mut injected = self.injected.subscribe();
        self.sockets.fetch_add(1, Ordering::SeqCst);
        loop {
            tokio::select! {
                message = client.next() => {
                    pass(message?.ok()?, &mut relay, |frame| self.interceptor.up(frame)).await?;
                }
                message = relay.next() => {
                    pass(message?.ok()?, &mut client, |frame| self.interceptor.down(frame)).await?;
                }
                Ok(message) = injected.recv() => client.send(message).await.ok()?,
            }
        }
    }
}

/// Forwards one message. Returns `None` if the other side is disconnected.
async fn pass(
    message: SocketMessage,
    to: &mut WebSocketStream<TcpStream>,
    interceptor: impl FnOnce(Frame) -> Vec<Frame>,
) -> Option<()> {
    let SocketMessage::Binary(bytes) = &message else {
        return to.send(message).await.ok();
    };
    let Ok(frame) = sealpost_wire::decode(bytes.clone()) else {
        return to.send(message).await.ok();
    };
    for frame in interceptor(frame) {
        to.send(SocketMessage::Binary(frame.encode_to_vec().into())).await.ok()?;
    }
    Some(())
}

#[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
#[expect(clippy::unnecessary_wraps, reason = "the signature is tungstenite's")]
fn accept_subprotocol(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Ok(response)
}

fn is_length(line: &str) -> bool {
    line.to_ascii_lowercase().starts_with("content-length:")
}
