//! Why the relay could not be used.

use sealpost_core as core;

/// Why the relay could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, uniffi::Enum)]
pub enum OfflineReason {
    /// No connection, or none that lasted.
    #[error("it is not reachable")]
    Unreachable,
    /// No answer in time: whether the relay did it is unknown.
    #[error("no answer in time")]
    TimedOut,
    /// It asked to come back later.
    #[error("it asks to come back later")]
    Busy,
    /// What answers there does not speak our protocol: a captive portal, another server, a proxy.
    #[error("what answers there is not a relay")]
    NotARelay,
    /// It refused the request.
    #[error("it refused")]
    Refused,
    /// Its certificate is not trusted.
    #[error("its certificate is not trusted")]
    Untrusted,
}

impl From<core::Offline> for OfflineReason {
    fn from(reason: core::Offline) -> Self {
        match reason {
            core::Offline::TimedOut => Self::TimedOut,
            core::Offline::Busy(_) => Self::Busy,
            core::Offline::NotARelay => Self::NotARelay,
            core::Offline::Refused(_) => Self::Refused,
            core::Offline::Untrusted => Self::Untrusted,
            _ => Self::Unreachable,
        }
    }
}
