//! What the app decides.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use sealpost_protocol::{Secret, SessionPolicy};

use crate::env::{Clock, SystemClock};

/// The raw key of a database: 32 random bytes that the app keeps in the Keychain or Keystore.
pub struct DatabaseKey(Secret<32>);

impl DatabaseKey {
    /// Takes over the 32 bytes. They must be random: no key derivation stands between them and the pages.
    pub fn new(key: [u8; 32]) -> Self {
        Self(Secret::new(key))
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

impl fmt::Debug for DatabaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseKey(..)")
    }
}

/// Whom to believe that it is the relay.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Trust {
    /// The certificate store of the platform. Not on Android, where it can only be asked in Java: hand over what it says
    /// as [`Roots`](Self::Roots).
    #[default]
    Platform,
    /// Only certificates that lead to one of these (DER): one of the relay's own, or a platform's list. What cannot be
    /// read is left out, as such lists hold odd ones too; [`Error::Misuse`](crate::Error::Misuse) when nothing is left.
    Roots(Vec<Vec<u8>>),
}

/// The way to the relay. It is the same for REST and for the socket, which is tunnelled by `CONNECT`. A relay on loopback is
/// always reached directly.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Proxy {
    /// No proxy, whatever the environment or the system says.
    #[default]
    Direct,
    /// The one that `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name, or else the settings of macOS or Windows; none when neither
    /// names one that speaks HTTP. They are read when the client is opened.
    System,
    /// This one: `http://[user:password@]host[:port]`. Any other form is an
    /// [`Error::Misuse`](crate::Error::Misuse).
    Address(String),
}

impl fmt::Debug for Proxy {
    /// Leaves out the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "Direct",
            Self::System => "System",
            Self::Address(_) => "Address(..)",
        })
    }
}

/// What [`Client::open`](crate::Client::open) needs.
pub struct Config {
    pub(crate) database: PathBuf,
    pub(crate) key: DatabaseKey,
    pub(crate) relay: String,
    pub(crate) trust: Trust,
    pub(crate) proxy: Proxy,
    pub(crate) policy: SessionPolicy,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Config {
    /// One database file per account; its folder must exist. `relay` is `https://host[:port]`, or
    /// `http://` on loopback, with no path behind it.
    pub fn new(database: impl Into<PathBuf>, key: DatabaseKey, relay: impl Into<String>) -> Self {
        Self {
            database: database.into(),
            key,
            relay: relay.into(),
            trust: Trust::default(),
            proxy: Proxy::default(),
            policy: SessionPolicy::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Whom to believe that it is the relay. Default: the platform's certificates.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// The way to the relay. Default: direct.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = proxy;
        self
    }

    /// The least that a session must offer. Default: the Triple Ratchet, as Signal itself demands today.
    #[must_use]
    pub fn session_policy(mut self, policy: SessionPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Another clock than the operating system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { database: _, key, relay: _, trust: _, proxy: _, policy, clock: _ } = self;
        f.debug_struct("Config").field("key", key).field("policy", policy).finish_non_exhaustive()
    }
}
