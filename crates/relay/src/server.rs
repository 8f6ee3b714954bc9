//! Accepts connections, counts them, and serves HTTP/1.1 on them.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::serve::Listener;
use futures_util::FutureExt as _;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::admission::{Admission, Caller};
use crate::config::Timing;
use crate::limits::Wait;
use crate::read_ahead::ReadAhead;
use crate::tls;
use crate::write_timeout::WriteTimeout;

/// Maximum size of a head, and of what is read ahead; each connection may hold this much in memory.
const MAX_HEAD: usize = 16 << 10;

/// Maximum number of connections that wait to be accepted. After a restart all clients connect at once, and one that
/// finds no room waits for a second or more before it tries again. The system limits the number
/// (`net.core.somaxconn`, 4,096 on Linux).
const BACKLOG: u32 = 16_384;

/// Listens on this address, and returns the actual address in case the port was 0. Needs a tokio runtime.
pub(crate) fn listen(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A relay that is restarted can use its port immediately.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    let tcp = socket.listen(BACKLOG)?;
    let addr = tcp.local_addr()?;
    Ok((tcp, addr))
}

/// The settings of a listener.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) router: Router,
    /// `None` means plain HTTP.
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) timing: Timing,
}

impl Server {
    /// Serves until `stopped`, and then waits for requests in progress, up to a time limit. Afterwards only upgraded
    /// sockets continue, which are tasks of their own.
    pub(crate) async fn run(self, mut tcp: TcpListener, stopped: impl Future<Output = ()>) {
        let (stopping, stop) = watch::channel(());
        let mut connections = JoinSet::new();
        let mut stopped = pin!(stopped);
        loop {
            tokio::select! {
                // The trait's `accept`, which waits and retries when the process has run out of file descriptors.
                (stream, address) = Listener::accept(&mut tcp) => {
                    if let Some((caller, wait)) = self.admission.enter(address.ip()) {
                        connections.spawn(self.clone().serve(stream, caller, wait, stop.clone()));
                    }
                }
                Some(_) = connections.join_next() => {}
                () = &mut stopped => break,
            }
        }
        drop((tcp, stopping));
        let finished = async { while connections.join_next().await.is_some() {} };
        if timeout(self.timing.drain_grace, finished).await.is_err() {
            connections.shutdown().await;
        }
    }

    async fn serve(self, stream: TcpStream, caller: Caller, wait: Wait, stop: watch::Receiver<()>) {
        wait.over().await;
        // Small frames are sent immediately.
        if stream.set_nodelay(true).is_err() {
            tracing::debug!("TCP_NODELAY could not be set on a connection");
        }
        match &self.tls {
            None => self.serve_http(stream, caller, stop).await,
            Some(acceptor) => {
                if let Ok(stream) = tls::handshake(acceptor, stream).await {
                    self.serve_http(stream, caller, stop).await;
                }
            }
        }
    }

    async fn serve_http(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        caller: Caller,
        mut stop: watch::Receiver<()>,
    ) {
        let router = TowerToHyperService::new(self.router.clone());
        let service = service_fn(|request: Request<Incoming>| {
            let answer = caller.serve(request, async |request| match router.call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            });
            answer.map(Ok::<_, Infallible>)
        });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.timing.head)
                .max_buf_size(MAX_HEAD)
                .serve_connection(
                    TokioIo::new(WriteTimeout::new(ReadAhead::new(stream), self.timing.write_timeout)),
                    service
                )
                .with_upgrades()
        );
        // It does not matter here how a connection ends.
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = stop.changed() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}
