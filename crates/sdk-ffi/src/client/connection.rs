//! The connection to the relay.

use sealpost_core as core;

/// The connection to the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum ConnectionState {
    /// There is no connection. The client keeps trying to connect.
    Offline,
    /// Connecting.
    Connecting,
    /// Connected. Messages that arrived in the meantime are being received.
    CatchingUp,
    /// Connected, and nothing is waiting.
    Live,
    /// The relay does not accept this device. The client asks it again every hour or two, and when the app calls `reconnect`.
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
