//! Limits on what costs only a single connection.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::bucket::Bucket;
use super::limiter::Limiter;
use super::table::Name;

/// The buckets of one connection: for frames that cost only the connection, and for refusals.
#[derive(Debug)]
pub struct ConnectionLimits {
    controls: Bucket,
    refusals: Bucket,
}

/// The connection exceeds its limits and is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flooding;

impl ConnectionLimits {
    /// Full buckets, for a new connection.
    pub fn new(now: Duration) -> Self {
        Self { controls: Bucket::full(now), refusals: Bucket::full(now) }
    }

    /// Charges a frame that no other limit covers.
    ///
    /// # Errors
    /// [`Flooding`]
    pub fn control(&mut self, limiter: &Limiter, now: Duration) -> Result<(), Flooding> {
        take(&mut self.controls, limiter, Name::Controls, now)
    }

    /// Charges a frame that was refused by a limit.
    ///
    /// # Errors
    /// [`Flooding`]
    pub fn refused(&mut self, limiter: &Limiter, now: Duration) -> Result<(), Flooding> {
        take(&mut self.refusals, limiter, Name::Refusals, now)
    }
}

fn take(bucket: &mut Bucket, limiter: &Limiter, name: Name, now: Duration) -> Result<(), Flooding> {
    let Some((rate, row, _)) = limiter.find(name) else { return Ok(()) };
    bucket.take(rate, 1, Duration::ZERO, now).map(drop).map_err(|_wait| {
        row.refused.fetch_add(1, Ordering::Relaxed);
        Flooding
    })
}
