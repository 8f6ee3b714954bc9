//! Where connections come from: plain TCP on this machine, TLS 1.3 elsewhere.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::server::TlsStream;

use crate::config::TlsFiles;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Most finished handshakes that wait to be served.
const BACKLOG: usize = 64;

/// Why the relay cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate or the key cannot be read.
    #[error("the certificate or its key cannot be read")]
    Pem(#[from] tokio_rustls::rustls::pki_types::pem::Error),
    /// They do not fit together.
    #[error("the certificate cannot be used")]
    Rustls(#[from] tokio_rustls::rustls::Error),
}

/// Makes the TLS side of a listener: TLS 1.3 and nothing older.
pub(crate) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let chain = CertificateDer::pem_file_iter(&files.cert)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&files.key)?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Accepts TLS connections. Handshakes run beside each other, so that a slow peer holds up nobody.
#[derive(Debug)]
pub(crate) struct TlsListener {
    finished: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    addr: SocketAddr,
}

impl TlsListener {
    /// Starts to accept on this listener, until the value drops.
    pub(crate) fn start(tcp: TcpListener, acceptor: TlsAcceptor) -> io::Result<Self> {
        let addr = tcp.local_addr()?;
        let (sender, finished) = mpsc::channel(BACKLOG);
        tokio::spawn(accept_all(tcp, acceptor, sender));
        Ok(Self { finished, addr })
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        match self.finished.recv().await {
            Some(connection) => connection,
            // The accepting task ends only with this value.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }
}

async fn accept_all(
    mut tcp: TcpListener,
    acceptor: TlsAcceptor,
    sender: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    loop {
        let accepted = tokio::select! {
            // The trait's accept, which waits and tries again when the machine is out of descriptors.
            accepted = Listener::accept(&mut tcp) => accepted,
            () = sender.closed() => return,
        };
        let (stream, addr) = accepted;
        without_delay(&stream);
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        tokio::spawn(async move {
            if let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await {
                // Nobody takes it any more when the relay is stopping.
                sender.send((stream, addr)).await.ok();
            }
        });
    }
}

/// Small frames leave at once.
pub(crate) fn without_delay(stream: &TcpStream) {
    if stream.set_nodelay(true).is_err() {
        tracing::debug!("a connection keeps its delay");
    }
}
