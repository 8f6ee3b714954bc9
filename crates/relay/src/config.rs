//! The configuration of a relay.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::bus::{Bus, LocalBus};
use crate::clock::{Clock, SystemClock};
use crate::limits::Limits;
use crate::problem::Problem;

/// Everything that a relay needs to start.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder of the database and the signing key.
    pub data: PathBuf,
    /// The address to listen on; port 0 selects a free port.
    pub listen: SocketAddr,
    /// Without it, the relay uses plain HTTP, and on loopback only.
    pub tls: Option<TlsFiles>,
    /// Allows plain HTTP on other addresses, for a relay behind a proxy that terminates TLS.
    pub insecure_plain: bool,
    /// The operator's proxies. A request that comes through one of them is attributed to the last address in its
    /// `X-Forwarded-For` that is not a proxy's. Connections of proxies are not counted.
    pub trusted_proxies: Vec<IpAddr>,
    /// The address of `/metrics`, in plain HTTP; port 0 selects a free port. `None` means that there are no metrics.
    pub metrics: Option<SocketAddr>,
    /// Who may register an account.
    pub registration: Registration,
    /// The rate limits.
    pub limits: Limits,
    /// Timeouts and intervals.
    pub timing: Timing,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// How connections are woken.
    pub bus: Arc<dyn Bus>,
}

impl Config {
    /// A relay that listens on a free port on loopback and accepts every registration.
    pub fn local(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            tls: None,
            insecure_plain: false,
            trusted_proxies: Vec::new(),
            metrics: None,
            registration: Registration::Dev,
            limits: Limits::default(),
            timing: Timing::default(),
            clock: Arc::new(SystemClock::new()),
            bus: Arc::new(LocalBus::default()),
        }
    }
}

/// PEM files: the certificate chain and its private key.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// What is required to register an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Nothing; for development.
    Dev,
    /// Nobody can register any more; existing accounts continue to work.
    Closed,
}

impl Registration {
    /// Checks the proof of a registration.
    ///
    /// # Errors
    /// [`Problem::ProofRefused`]
    pub fn check(self, _proof: &[u8]) -> Result<(), Problem> {
        match self {
            Self::Dev => Ok(()),
            Self::Closed => Err(Problem::ProofRefused),
        }
    }
}

/// Timeouts and intervals. The defaults are documented to clients; tests shorten them.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Timeout for the `Hello` of a connection, and for a complete body.
    pub receive_timeout: Duration,
    /// Timeout for the head of a request, and therefore also for an idle connection between two requests.
    pub head: Duration,
    /// Timeout for writing to a peer that does not read. It starts again after every 64 KiB that were written. It is
    /// longer than `stall`, which closes a socket with a reason.
    pub write_timeout: Duration,
    /// How often a connection checks its own deadlines.
    pub tick: Duration,
    /// How often a connection checks its mailbox without being woken.
    pub rescan: Duration,
    /// A connection that has used up its credit and acknowledges nothing is closed after this time.
    pub stall: Duration,
    /// How often expired rows are removed from the store.
    pub sweep: Duration,
    /// The period over which a drain tells the connections to leave, at most.
    pub drain_spread: Duration,
    /// How long requests in flight may take to finish during a drain.
    pub drain_grace: Duration,
    /// The period over which clients that were told to leave spread their return, each at a random time.
    pub spread_return: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            receive_timeout: Duration::from_secs(sealpost_wire::limits::HELLO_TIMEOUT_S),
            head: Duration::from_secs(30),
            write_timeout: Duration::from_secs(75),
            tick: Duration::from_secs(5),
            rescan: Duration::from_secs(30),
            stall: Duration::from_secs(60),
            sweep: Duration::from_secs(60),
            drain_spread: Duration::from_secs(10),
            drain_grace: Duration::from_secs(5),
            spread_return: Duration::from_secs(30),
        }
    }
}
