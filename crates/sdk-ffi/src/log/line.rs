//! What is told.

use tracing::{Level, Metadata};

/// A line. It holds nothing secret and nothing personal.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// The part of the library it comes from.
    pub target: String,
    /// What it says.
    pub text: String,
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, uniffi::Enum)]
pub enum LogLevel {
    /// A mistake in this library.
    Error,
    /// Somebody else does what they should not.
    Warn,
    /// Rare and worth knowing.
    Info,
    /// What goes on, for who looks for a fault.
    Debug,
}

impl LogLevel {
    /// Of what `tracing` tells; none for what is finer than any of ours.
    pub(super) fn of(metadata: &Metadata<'_>) -> Option<Self> {
        Some(match *metadata.level() {
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warn,
            Level::INFO => Self::Info,
            Level::DEBUG => Self::Debug,
            _ => return None,
        })
    }
}
