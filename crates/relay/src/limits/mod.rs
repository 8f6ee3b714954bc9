//! How much one requester may do: one [`TABLE`], token buckets for whoever it counts, and what happens above it.
//!
//! Everything that costs the relay something is charged before it is done, whether it succeeds or not. What only its
//! outcome tells (the time of the writer, what reached a mailbox) is charged afterwards, and the next request waits for
//! it. Kept in the process; a restart forgives.

mod bucket;
mod buckets;
mod connection;
mod inbound;
mod limiter;
mod network;
mod table;

use std::time::Duration;

pub use bucket::{Bucket, Rate};
pub use connection::{ConnectionLimits, Flooding};
pub use inbound::Inbound;
pub use limiter::Limiter;
pub use table::{Limit, Limits, Name, Over, Scope, TABLE, Unit, Unsure};

/// A requester is above a limit, and is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverLimit {
    /// When the next request may pass, in milliseconds.
    pub retry_after_ms: u32,
}

/// How long a requester is to wait before it is served again; with sockets, before it is read from again.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait(pub Duration);

impl Wait {
    /// No time at all.
    pub const NONE: Self = Self(Duration::ZERO);

    /// Waits.
    pub async fn over(self) {
        if !self.0.is_zero() {
            tokio::time::sleep(self.0).await;
        }
    }
}
