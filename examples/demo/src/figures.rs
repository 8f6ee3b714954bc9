//! What was measured, and the table that says so.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sealpost_core::{Client, Delivery, Direction, Event, Events};
use tokio::task::JoinHandle;

/// When each message came how far, by its place in the thread.
#[derive(Debug, Default)]
pub(crate) struct Times {
    acknowledged: HashMap<u64, Instant>,
    delivered: HashMap<u64, Instant>,
}

/// Listens to a client for as long as it lives.
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

    /// Goes on with another client of the same person.
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

/// Half of the values are at most the first of these, 99 of 100 at most the second.
pub(crate) fn percentiles(mut times: Vec<Duration>) -> Option<(Duration, Duration)> {
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len().saturating_sub(1).saturating_mul(percent) / 100).copied();
    Some((at(50)?, at(99)?))
}

/// A table of two columns.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<(String, String)>);

impl Table {
    pub(crate) fn row(&mut self, what: impl Into<String>, value: impl Into<String>) {
        self.0.push((what.into(), value.into()));
    }

    pub(crate) fn percentiles(&mut self, what: &str, times: Vec<Duration>) {
        let value = percentiles(times)
            .map_or_else(|| "none".to_owned(), |(p50, p99)| format!("p50 {}, p99 {}", ms(p50), ms(p99)));
        self.row(what, value);
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

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// Bytes, for a person.
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
    fn percentiles_are_of_the_sorted_values() {
        let times = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentiles(times), Some((Duration::from_millis(50), Duration::from_millis(99))));
        assert_eq!(percentiles(Vec::new()), None);
    }
}
