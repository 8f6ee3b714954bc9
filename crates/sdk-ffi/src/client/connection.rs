//! The connection to the relay.

use sealpost_core as core;

/// The connection to the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum ConnectionState {
    /// No connection; trying again by itself.
    Offline,
    /// Connecting.
    Connecting,
    /// Connected; what arrived in the meantime is coming in.
    CatchingUp,
    /// Connected, nothing waits.
    Live,
    /// The relay no longer accepts this device. Nothing is tried any more.
    SignedOut,
    /// The client was suspended.
    Suspended,
}

impl From<core::ConnectionState> for ConnectionState {
    fn from(state: core::ConnectionState) -> Self {
        match state {
            core::ConnectionState::Connecting => Self::Connecting,
            core::ConnectionState::CatchingUp => Self::CatchingUp,
            core::ConnectionState::Live => Self::Live,
            core::ConnectionState::SignedOut => Self::SignedOut,
            core::ConnectionState::Suspended => Self::Suspended,
            _ => Self::Offline,
        }
    }
}
