//! Servers that are not relays, such as a captive portal, a broken proxy, or a wrong address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::http::read_message;

/// How a server reacts to every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadResponse {
    /// Accepts the connection and sends nothing.
    Silent,
    /// Closes the connection immediately.
    Closes,
    /// Sends bytes that are not HTTP.
    Garbage,
    /// Sends a web page.
    WebPage,
    /// Sends ten megabytes with our media type.
    TenMegabytes,
    /// Sends another media type.
    OtherMediaType,
    /// Sends our media type, with bytes that are not a valid message.
    BrokenBody,
    /// Answers 500.
    Fails,
    /// Answers 502.
    BadGateway,
    /// Answers 504.
    GatewayTimeout,
}

impl BadResponse {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Silent,
        Self::Closes,
        Self::Garbage,
        Self::WebPage,
        Self::TenMegabytes,
        Self::OtherMediaType,
        Self::BrokenBody,
        Self::Fails,
        Self::BadGateway,
        Self::GatewayTimeout,
    ];

    fn answer(self) -> Vec<u8> {
        match self {
            Self::Silent | Self::Closes => Vec::new(),
            Self::Garbage => vec![0xee; 300],
            Self::WebPage => response("200 OK", "text/html", b"<html>Please log in to the Wi-Fi</html>"),
            Self::TenMegabytes => response("200 OK", sealpost_wire::MEDIA_TYPE, &vec![0; 10 << 20]),
            Self::OtherMediaType => response("200 OK", "application/json", b"{}"),
            Self::BrokenBody => response("200 OK", sealpost_wire::MEDIA_TYPE, &[0xff; 20]),
            Self::Fails => response("500 Internal Server Error", "text/plain", b"oops"),
            Self::BadGateway => response("502 Bad Gateway", "text/plain", b"try later"),
            Self::GatewayTimeout => response("504 Gateway Timeout", "text/html", b"<html>too late</html>"),
        }
    }
}

/// A running server that is not a relay. Dropping it stops it.
#[derive(Debug)]
pub struct BadServer {
    addr: SocketAddr,
    requests: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl BadServer {
    /// Starts a server on a free port.
    pub async fn start(response: BadResponse) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let requests = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&requests);
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, response, Arc::clone(&count)));
            }
        });
        Self { addr, requests, _server: server }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The number of requests so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, response: BadResponse, count: Arc<AtomicUsize>) {
    if response == BadResponse::Closes {
        count.fetch_add(1, Ordering::SeqCst);
        return;
    }
    while let Ok(Some(_)) = read_message(&mut stream).await {
        count.fetch_add(1, Ordering::SeqCst);
        // The client may have closed the connection.
        if stream.write_all(&response.answer()).await.is_err() {
            return;
        }
    }
}

fn response(status: &str, media_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}
