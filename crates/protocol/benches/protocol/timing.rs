//! Measures durations.

use std::time::{Duration, Instant};

/// The number of rounds. There are many short ones, because the best one counts, which other work has disturbed least.
const ROUNDS: u32 = 150;
const ROUND: Duration = Duration::from_millis(2);
/// Calls that take longer than a round get fewer rounds.
const LONGEST: Duration = Duration::from_secs(2);
const LEAST_ROUNDS: u32 = 10;

/// The nanoseconds of one call, in the best of several rounds.
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
        // For short calls, the clock is not read after each.
        if elapsed < ROUND / 16 {
            step *= 2;
        }
    }
}
