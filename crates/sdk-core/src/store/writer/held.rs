//! The transactions for which nobody waits. They are held back until they share a commit.

use std::time::{Duration, Instant};

use super::group::Job;

/// How long a transaction for which nobody waits can be held back, until it shares a commit.
const HOLD: Duration = Duration::from_millis(300);
/// How many such transactions are held back at most.
const MAX_HELD: usize = 16;

/// The transactions that are held back.
#[derive(Default)]
pub(super) struct Held {
    jobs: Vec<Box<dyn Job>>,
    /// When they are committed at the latest.
    until: Option<Instant>,
}

impl Held {
    pub(super) fn add(&mut self, job: Box<dyn Job>) {
        self.until = self.until.or_else(|| Instant::now().checked_add(HOLD));
        self.jobs.push(job);
    }

    /// The time until they must be committed, but no longer than `limit`.
    pub(super) fn remaining(&self, limit: Duration) -> Duration {
        self.until.map_or(limit, |until| until.saturating_duration_since(Instant::now()).min(limit))
    }

    pub(super) fn is_due(&self) -> bool {
        self.jobs.len() >= MAX_HELD || self.until.is_some_and(|until| until <= Instant::now())
    }

    pub(super) fn take(&mut self) -> Vec<Box<dyn Job>> {
        self.until = None;
        std::mem::take(&mut self.jobs)
    }
}
