//! What one connection may do that costs only itself.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::bucket::Bucket;
use super::limiter::Limiter;
use super::table::Name;

/// What one connection may do that costs only itself, and how often it may be refused.
#[derive(Debug)]
pub struct ConnectionLimits {
    controls: Bucket,
    refusals: Bucket,
}

/// A connection that goes on above its limits: it is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flooding;

impl ConnectionLimits {
    /// Full buckets, for a connection that begins now.
    pub fn new(now: Duration) -> Self {
        Self { controls: Bucket::full(now), refusals: Bucket::full(now) }
    }

    /// A frame that is limited by nothing else.
    ///
    /// # Errors
    /// [`Flooding`]
    pub fn control(&mut self, limiter: &Limiter, now: Duration) -> Result<(), Flooding> {
        take(&mut self.controls, limiter, Name::Controls, now)
    }

    /// A frame that was refused by a limit.
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
