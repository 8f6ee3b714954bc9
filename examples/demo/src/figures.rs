//! Measurements, and the table that shows them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sealpost_core::{Client, Delivery, Direction, Event, Events};
use tokio::task::JoinHandle;

/// When each message was acknowledged and delivered, by its position in the thread.
#[derive(Debug, Default)]
pub(crate) struct Times {
    acknowledged: HashMap<u64, Instant>,
    delivered: HashMap<u64, Instant>,
}

/// Listens to the events of a client until it is dropped.
pub(crate) struct Listener {
    times: Arc<Mutex<Times>>,
    running: JoinHandle<()>,
}

impl Listener {
    pub(crate) fn listen(client: &Client) -> Self {
        let times = Arc::default();
        let running = tokio::spawn(note(client.events(), Arc::clone(&times)));
        Self { times, running }
    }

    /// Continues with another client of the same person.
    pub(crate) fn follow(&mut self, client: &Client) {
        self.running.abort();
        self.running = tokio::spawn(note(client.events(), Arc::clone(&self.times)));
    }

    pub(crate) fn acknowledged(&self, place: u64) -> Option<Instant> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).acknowledged.get(&place).copied()
    }

    pub(crate) fn delivered(&self, place: u64) -> Option<Instant> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).delivered.get(&place).copied()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn note(mut events: Events, noted: Arc<Mutex<Times>>) {
    while let Some(event) = events.next().await {
        let now = Instant::now();
        let mut times = noted.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(Event::MessageAdded(message)) if matches!(message.direction, Direction::Incoming { .. }) => {
                times.delivered.insert(message.server_seq.unwrap_or(0), now);
            }
            Ok(Event::MessageChanged { message, .. })
                if message.direction == Direction::Outgoing(Delivery::Sent) =>
            {
                times.acknowledged.entry(message.server_seq.unwrap_or(0)).or_insert(now);
            }
            _ => {}
        }
    }
}

/// With fewer values than this, the 99th percentile would be the largest value.
const ENOUGH_FOR_P99: usize = 100;
/// With fewer values than this, a median is not meaningful.
const ENOUGH_FOR_P50: usize = 10;

/// Summarises the values: each of them if they are few, and percentiles if they are many.
pub(crate) fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |percent: usize| {
        let at = times.len().saturating_sub(1).saturating_mul(percent) / 100;
        times.get(at).copied().map_or_else(|| "none".to_owned(), ms)
    };
    match times.len() {
        0 => "not measured".to_owned(),
        1 => format!("{}, once", at(0)),
        n @ 2..ENOUGH_FOR_P50 => format!("{} to {}, {n} times", at(0), at(100)),
        n @ ENOUGH_FOR_P50..ENOUGH_FOR_P99 => format!("p50 {}, at most {}, {n} times", at(50), at(100)),
        _ => format!("p50 {}, p99 {}", at(50), at(99)),
    }
}

/// A table of two columns.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<(String, String)>);

impl Table {
    pub(crate) fn row(&mut self, what: impl Into<String>, value: impl Into<String>) {
        self.0.push((what.into(), value.into()));
    }

    pub(crate) fn percentiles(&mut self, what: &str, times: Vec<Duration>) {
        self.row(what, percentiles(times));
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = self.0.iter().map(|(what, _)| what.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for (what, value) in &self.0 {
            writeln!(text, "  {what:<width$}  {value}")?;
        }
        f.write_str(text.trim_end())
    }
}

/// How often each of these has happened, with the name of one and of several.
pub(crate) fn list<'n>(counts: impl Iterator<Item = (usize, (&'n str, &'n str))>) -> String {
    let named = counts.filter(|(count, _)| *count > 0).map(|(count, (one, several))| {
        let name = if count == 1 { one } else { several };
        format!("{count} {name}")
    });
    named.collect::<Vec<_>>().join(", ")
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// Formats a number of bytes.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_happened_is_listed_with_its_number() {
        let counts = [(1, ("reply", "replies")), (0, ("poll", "polls")), (3, ("edit", "edits"))];
        assert_eq!(list(counts.into_iter()), "1 reply, 3 edits");
    }

    #[test]
    fn percentiles_use_sorted_values_and_require_enough_of_them() {
        let of = |count: u64| percentiles((1..=count).rev().map(Duration::from_millis).collect());
        assert_eq!(of(0), "not measured");
        assert_eq!(of(1), "1.0 ms, once");
        assert_eq!(of(2), "1.0 ms to 2.0 ms, 2 times");
        assert_eq!(of(9), "1.0 ms to 9.0 ms, 9 times");
        assert_eq!(of(11), "p50 6.0 ms, at most 11.0 ms, 11 times");
        assert_eq!(of(100), "p50 50.0 ms, p99 99.0 ms");
    }
}
