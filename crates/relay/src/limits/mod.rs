//! Rate limits: one [`TABLE`], token buckets for each requester, and what happens above a limit.
//!
//! Every expensive operation is charged before it is carried out, whether it succeeds or not. Costs that are known
//! only afterwards (the time of the writer, the bytes that reached a mailbox) are charged then, and delay the next
//! request. The buckets are kept in memory; a restart resets them.

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
pub use table::{Limit, Limits, Name, Over, Scope, TABLE, Unit, WhenFull};

/// A requester is above a limit and is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverLimit {
    /// When the next request may be accepted, in milliseconds.
    pub retry_after_ms: u32,
}

/// How long a requester has to wait before it is served again, or, for a socket, before it is read from again.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait(pub Duration);

impl Wait {
    /// No wait.
    pub const NONE: Self = Self(Duration::ZERO);

    /// Waits.
    pub async fn over(self) {
        if !self.0.is_zero() {
            tokio::time::sleep(self.0).await;
        }
    }
}
