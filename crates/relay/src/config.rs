//! How a relay is set up.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::bus::{Bus, LocalBus};
use crate::clock::{Clock, SystemClock};
use crate::limits::Limits;
use crate::problem::Problem;

/// Everything a relay must know to start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the database and the signing key are.
    pub data: PathBuf,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Without it the relay speaks plain HTTP, and only to this machine.
    pub tls: Option<TlsFiles>,
    /// Plain HTTP to other machines: only behind a proxy that ends TLS.
    pub insecure_plain: bool,
    /// Proxies of the operator: what they hand on comes from the last address in its `X-Forwarded-For` that is none of
    /// theirs. Their connections are not counted.
    pub trusted_proxies: Vec<IpAddr>,
    /// Where `/metrics` answers, in plain HTTP; port 0 takes a free one. None: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Who may have an account.
    pub registration: Registration,
    /// How much one requester may do.
    pub limits: Limits,
    /// How long things may take.
    pub timing: Timing,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How connections are woken.
    pub bus: Arc<dyn Bus>,
}

impl Config {
    /// A relay for this machine alone, on a free port, that lets everybody in.
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

/// What somebody must show to get an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Nothing: for development.
    Dev,
    /// Nobody gets an account any more; those that exist go on.
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

/// How long things may take. The defaults are the contract; tests shorten the waits of the machine.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long a connection may wait before it says `Hello`, and a body before it is whole.
    pub patience: Duration,
    /// How long the head of a request may take, and with it how long a connection may be idle between two.
    pub head: Duration,
    /// How long what is written may wait for a peer that does not read; 64 KiB that leave begin it anew. Longer than
    /// `stall`, which ends a socket with a reason.
    pub unread: Duration,
    /// How often a connection looks at the clock for its own deadlines.
    pub tick: Duration,
    /// How often a connection looks into its mailbox without being woken.
    pub rescan: Duration,
    /// A connection that uses up its credit and acknowledges nothing is closed after this.
    pub stall: Duration,
    /// How often the store is swept.
    pub sweep: Duration,
    /// Over how long a drain tells the connections to go elsewhere, at most.
    pub drain_spread: Duration,
    /// How long requests in flight may take to finish in a drain.
    pub drain_grace: Duration,
    /// Over how long the clients that a drain sent away spread their return, each at random.
    pub spread_return: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(sealpost_wire::limits::HELLO_TIMEOUT_S),
            head: Duration::from_secs(30),
            unread: Duration::from_secs(75),
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
