//! The clock.

use std::time::{Duration, Instant};

/// Many short rounds, since the best of them counts: one that nobody else disturbed.
const ROUNDS: u32 = 150;
const ROUND: Duration = Duration::from_millis(2);
/// What takes longer than a round gets fewer of them.
const LONGEST: Duration = Duration::from_secs(2);
const LEAST_ROUNDS: u32 = 10;

/// Nanoseconds of one call, in the best of several rounds.
pub(crate) fn best(call: &mut dyn FnMut()) -> f64 {
    let (begin, mut best, mut rounds) = (Instant::now(), f64::INFINITY, 0);
    while rounds < ROUNDS && (rounds < LEAST_ROUNDS || begin.elapsed() < LONGEST) {
        best = best.min(round(call));
        rounds += 1;
    }
    best
}

fn round(call: &mut dyn FnMut()) -> f64 {
    let (start, mut calls, mut step) = (Instant::now(), 0_u32, 1);
    loop {
        for _ in 0..step {
            call();
        }
        calls += step;
        let elapsed = start.elapsed();
        if elapsed >= ROUND {
            return elapsed.as_secs_f64() * 1e9 / f64::from(calls);
        }
        // Short calls are not asked the time after each.
        if elapsed < ROUND / 16 {
            step *= 2;
        }
    }
}
