//! The configuration of a client.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sealpost_protocol::{Secret, SessionPolicy};

use crate::env::{Clock, SystemClock};

/// The raw key of a database: 32 random bytes that the app keeps in the Keychain or Keystore.
pub struct DatabaseKey(Secret<32>);

impl DatabaseKey {
    /// Takes the 32 bytes. They must be random, because they are used as the key without any key derivation.
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

/// How the relay's certificate is verified.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Trust {
    /// The certificate store of the platform. It is not available on Android, where it can only be queried in Java;
    /// pass its certificates as [`Roots`](Self::Roots) there.
    #[default]
    Platform,
    /// Only certificates that lead to one of these roots (DER): the relay's own root, or a platform's list. Entries
    /// that cannot be parsed are ignored, because such lists contain unusual ones too. If none remain, opening fails
    /// with [`Error::Misuse`](crate::Error::Misuse).
    Roots(Vec<Vec<u8>>),
}

/// How the client reaches the relay. This applies both to REST and to the WebSocket, which is tunnelled with
/// `CONNECT`. A relay on loopback is always reached directly.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum ProxyChoice {
    /// No proxy, whatever the environment or the system configures.
    #[default]
    Direct,
    /// The proxy that is configured by `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, or else in the settings of macOS or
    /// Windows; no proxy if neither names an HTTP proxy. The configuration is read when the client is opened.
    System,
    /// This proxy: `http://[user:password@]host[:port]`. Any other form is an
    /// [`Error::Misuse`](crate::Error::Misuse).
    Address(String),
}

impl fmt::Debug for ProxyChoice {
    /// Omits the address, which may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "Direct",
            Self::System => "System",
            Self::Address(_) => "Address(..)",
        })
    }
}

/// How long, and how often, messages can be changed after they were written. Clients apply these limits to what they receive, too, so
/// all clients of an app should have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangeLimits {
    /// For how long the author can edit a message. Default: 24 hours.
    pub edit_for: Duration,
    /// How often the author can edit a message. Default: 10 times.
    pub max_edits: u32,
    /// For how long the author can delete a message for everyone. Default: 48 hours.
    pub delete_for: Duration,
}

impl Default for ChangeLimits {
    fn default() -> Self {
        const HOUR_S: u64 = 3600;
        Self {
            edit_for: Duration::from_secs(24 * HOUR_S),
            max_edits: 10,
            delete_for: Duration::from_secs(48 * HOUR_S),
        }
    }
}

impl ChangeLimits {
    /// Everything can be changed at any time.
    pub(crate) const NONE: Self =
        Self { edit_for: Duration::MAX, max_edits: u32::MAX, delete_for: Duration::MAX };

    /// Whether a message can still be edited. Both times are its author's.
    pub(crate) fn may_edit(self, written_ms: u64, now_ms: u64) -> bool {
        self.max_edits > 0 && is_within(self.edit_for, written_ms, now_ms)
    }

    /// Whether a message can still be deleted for everyone.
    pub(crate) fn may_delete(self, written_ms: u64, now_ms: u64) -> bool {
        is_within(self.delete_for, written_ms, now_ms)
    }
}

fn is_within(limit: Duration, written_ms: u64, now_ms: u64) -> bool {
    u128::from(now_ms.saturating_sub(written_ms)) <= limit.as_millis()
}

/// What happens to a thread that a stranger begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum MessageRequests {
    /// It is a request, in a list of its own ([`Folder::Requests`](crate::Folder::Requests)), until the person accepts it or answers. Until
    /// then, its sender gets no receipts, and the relay stores only a few messages of it.
    #[default]
    Ask,
    /// It is accepted immediately, for programs that answer everyone.
    AcceptAll,
}

/// The parameters of [`Client::open`](crate::Client::open).
pub struct Config {
    pub(crate) database: PathBuf,
    pub(crate) key: DatabaseKey,
    pub(crate) relay: String,
    pub(crate) trust: Trust,
    pub(crate) proxy: ProxyChoice,
    pub(crate) policy: SessionPolicy,
    pub(crate) limits: ChangeLimits,
    pub(crate) requests: MessageRequests,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Config {
    /// The path of the account's database, whose folder must exist; each account has its own file. `relay` is
    /// `https://host[:port]`, or `http://` on loopback, without a path.
    pub fn new(database: impl Into<PathBuf>, key: DatabaseKey, relay: impl Into<String>) -> Self {
        Self {
            database: database.into(),
            key,
            relay: relay.into(),
            trust: Trust::default(),
            proxy: ProxyChoice::default(),
            policy: SessionPolicy::default(),
            limits: ChangeLimits::default(),
            requests: MessageRequests::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// How the relay's certificate is verified. Default: with the platform's certificates.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// How the client reaches the relay. Default: directly.
    #[must_use]
    pub fn proxy(mut self, proxy: ProxyChoice) -> Self {
        self.proxy = proxy;
        self
    }

    /// The minimum that a session must provide. Default: the Triple Ratchet, which Signal requires today too.
    #[must_use]
    pub fn session_policy(mut self, policy: SessionPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// How long, and how often, messages can be changed. Default: as [`ChangeLimits`] says.
    #[must_use]
    pub fn change_limits(mut self, limits: ChangeLimits) -> Self {
        self.limits = limits;
        self
    }

    /// What happens to threads that strangers begin. Default: the person is asked.
    #[must_use]
    pub fn message_requests(mut self, requests: MessageRequests) -> Self {
        self.requests = requests;
        self
    }

    /// Uses another clock than the operating system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { database: _, key, relay: _, trust: _, proxy: _, policy, limits: _, requests: _, clock: _ } =
            self;
        f.debug_struct("Config").field("key", key).field("policy", policy).finish_non_exhaustive()
    }
}
