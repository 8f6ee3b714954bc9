//! Connections that occupy a slot without being used, and the listener of the operator.

use std::net::SocketAddr;
use std::time::Duration;

use sealpost_wire::frame::Body;
use sealpost_wire::{Ping, reason};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::common::World;
use crate::common::socket::Socket;

/// Much longer than anything should take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The time limit for the head of a request.
const HEAD: Duration = Duration::from_secs(30);

async fn long_heads() -> World {
    World::start_with(|config| config.timing.head = HEAD).await
}

/// Lets the time for a head pass for all tasks on this thread, without waiting.
async fn a_head_later() {
    tokio::time::pause();
    tokio::time::advance(HEAD + Duration::from_secs(1)).await;
    tokio::time::resume();
}

/// Waits until the relay closes the connection, and returns what it sent before.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    // A connection that is closed while we write ends with an error.
    let _ = timeout(TIMEOUT, stream.read_to_end(&mut said)).await.expect("the relay closes the connection");
    said
}

#[tokio::test]
async fn a_request_head_has_a_time_limit() {
    let world = World::start_with(|config| config.timing.head = Duration::from_millis(100)).await;
    for begin in ["", "GET /healthz HT", "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-"] {
        let mut stream = TcpStream::connect(world.relay.addr()).await.unwrap();
        stream.write_all(begin.as_bytes()).await.unwrap();
        assert_eq!(rest(&mut stream).await, b"", "after {begin:?}");
    }
    // One byte at a time does not count as progress.
    let mut stream = TcpStream::connect(world.relay.addr()).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    let trickle = async {
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, trickle).await.expect("the relay closes the connection");
    world.relay.shutdown().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let world = long_heads().await;
    let mut stream = TcpStream::connect(world.relay.addr()).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut begin = [0; 1];
    timeout(TIMEOUT, stream.read_exact(&mut begin)).await.expect("an answer").unwrap();
    a_head_later().await;
    let said = String::from_utf8([&begin[..], &rest(&mut stream).await].concat()).unwrap();
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
    assert_eq!(said.matches("HTTP/1.1").count(), 1, "{said}");
    world.relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_disconnected() {
    let world = World::start_with(|config| {
        config.timing.head = Duration::from_secs(3_600);
        config.timing.write_timeout = Duration::from_millis(100);
    })
    .await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    // With the large segments of the loopback interface, the kernel would buffer 20,000 answers before one has to wait.
    SockRef::from(&socket).set_tcp_mss(1_400).unwrap();
    let mut stream = socket.connect(world.relay.addr()).await.unwrap();
    let requests = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(100);
    let ask = async { while stream.write_all(&requests).await.is_ok() {} };
    timeout(TIMEOUT, ask).await.expect("the relay closes the connection");
    world.relay.shutdown().await;
}

#[tokio::test]
async fn an_upgraded_socket_is_not_subject_to_the_limit_for_heads() {
    let world = long_heads().await;
    let alice = world.register().await;
    let mut socket = Socket::connect(&world, &alice).await;
    for t in 0..5 {
        a_head_later().await;
        let Body::Pong(pong) = socket.ask(Body::Ping(Ping { t })).await else { panic!() };
        assert_eq!(pong.t, t);
    }
    world.end(socket).await;
}

/// Whether a client at this loopback address is served.
async fn is_served(from: &str, relay: SocketAddr) -> bool {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from.parse::<std::net::IpAddr>().unwrap(), 0).into()).unwrap();
    let mut stream = socket.connect(relay).await.unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    // The relay may already have closed a connection that it refuses.
    let _ = stream.write_all(request).await;
    !rest(&mut stream).await.is_empty()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_number_of_connections_of_an_address_is_limited() {
    let world = World::start_with(|config| {
        config.limits.connections = Some(3);
        config.metrics = Some(([127, 0, 0, 1], 0).into());
    })
    .await;
    let relay = world.relay.addr();
    // One that the test's own HTTP client keeps open, and two sockets.
    let alice = world.register().await;
    let (first, second) = (Socket::connect(&world, &alice).await, Socket::connect(&world, &alice).await);
    assert!(!is_served("127.0.0.1", relay).await);
    assert!(is_served("127.0.0.2", relay).await, "another address");
    let refused = metrics(&world).await;
    assert!(refused.contains("relay_rate_limited_total{policy=\"connections\"} 1\n"), "{refused}");
    drop(first);
    let again = async { while !is_served("127.0.0.1", relay).await {} };
    timeout(TIMEOUT, again).await.expect("a connection is accepted again");
    world.end(second).await;
}

#[tokio::test]
async fn connections_without_a_tls_handshake_count() {
    let (_folder, files, _) = crate::tls::certificate();
    let world = World::start_with(|config| {
        config.tls = Some(files);
        config.limits.connections = Some(1);
    })
    .await;
    let mut silent = TcpStream::connect(world.relay.addr()).await.unwrap();
    let mut late = TcpStream::connect(world.relay.addr()).await.unwrap();
    assert_eq!(rest(&mut late).await, b"");
    // The first one is still waited for.
    assert!(silent.write_all(&[0x16]).await.is_ok());
    let nothing = silent.try_read(&mut [0; 8]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    world.end(silent).await;
}

#[tokio::test]
async fn metrics_are_served_only_on_their_own_listener() {
    let world = World::start().await;
    world.get("/metrics", None).await.refused(404, reason::NOT_FOUND);
    assert_eq!(world.relay.metrics_addr(), None);
    world.relay.shutdown().await;

    let world = World::start_with(|config| config.metrics = Some(([127, 0, 0, 1], 0).into())).await;
    world.get("/metrics", None).await.refused(404, reason::NOT_FOUND);
    assert!(metrics(&world).await.ends_with("relay_epoch 1\n"));
    let addr = world.relay.metrics_addr().unwrap();
    for path in ["healthz", "v1/ws", "v1/accounts"] {
        let answer = world.http.get(format!("http://{addr}/{path}")).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    let url = format!("http://{addr}/metrics");
    world.relay.shutdown().await;
    assert!(reqwest::get(url).await.is_err(), "the listener is closed");
}

pub(crate) async fn metrics(world: &World) -> String {
    let url = format!("http://{}/metrics", world.relay.metrics_addr().unwrap());
    world.http.get(url).send().await.unwrap().text().await.unwrap()
}

/// The maximum backlog that the system allows.
fn largest_backlog() -> usize {
    let known = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
    known.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(128)
}

#[tokio::test]
async fn many_connections_can_wait_to_be_accepted() {
    let world = World::start().await;
    // The relay runs on this thread too, so it accepts no connection in the meantime. If the system's queue is full,
    // the attempt is repeated until the time limit.
    let many: Result<Vec<_>, _> = (0..largest_backlog().min(300))
        .map(|_| std::net::TcpStream::connect_timeout(&world.relay.addr(), TIMEOUT))
        .collect();
    assert!(many.is_ok(), "{many:?}");
    drop(many);
    world.relay.shutdown().await;
}
