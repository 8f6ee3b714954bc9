//! Metrics in the Prometheus text format. No label identifies a user.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::limits::Limiter;

/// The metrics of one relay.
#[derive(Debug, Default)]
pub struct Metrics {
    /// The time from receiving a send to answering it.
    pub send_ack: PerTransport<Histogram>,
    /// The time from storing a message to pushing it on a live connection.
    pub send_deliver: Histogram,
    /// The duration of a commit of the store.
    pub store_commit: Histogram,
    /// The number of operations in a commit.
    pub store_batch: Counted,
    /// The number of statements that the writer of the store has started.
    #[cfg(feature = "statements")]
    pub store_statements: Counter,
    /// Ephemeral mail by outcome.
    pub ephemeral: Ephemeral,
    /// Posts of groups.
    pub fanout: FanoutCounts,
    /// Incoming frames.
    pub frames: Frames,
    /// Repeated sends that were answered from the stored result.
    pub dedupe_hits: Counter,
    /// Bundles that contain the last-resort key because no one-time key was available.
    pub last_resort: Counter,
    /// Connections that were refused because their address has too many.
    pub refused_connections: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn count(&self) {
        self.add(1);
    }

    /// Adds this many.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The count and the sum of a quantity.
#[derive(Debug, Default)]
pub struct Counted {
    count: Counter,
    sum: Counter,
}

impl Counted {
    /// Records one event of this size.
    pub fn observe(&self, size: u64) {
        self.count.count();
        self.sum.add(size);
    }
}

/// The upper bounds of the buckets of a [`Histogram`] in microseconds, with their text in seconds.
const BUCKETS: [(u64, &str); 12] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (5_000_000, "5"),
];

/// A distribution of durations.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BUCKETS.len()],
    count: Counter,
    sum_micros: Counter,
}

impl Histogram {
    /// Records one duration.
    pub fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().zip(&self.buckets).find(|((bound, _), _)| micros <= *bound);
        if let Some((_, bucket)) = bucket {
            bucket.count();
        }
        self.count.count();
        self.sum_micros.add(micros);
    }

    fn write(&self, out: &mut String, name: &str, label: &str) -> fmt::Result {
        let comma = if label.is_empty() { "" } else { "," };
        let mut below: u64 = 0;
        for ((_, bound), bucket) in BUCKETS.iter().zip(&self.buckets) {
            below = below.saturating_add(bucket.get());
            writeln!(out, "{name}_bucket{{{label}{comma}le=\"{bound}\"}} {below}")?;
        }
        let (count, sum) = (self.count.get(), Duration::from_micros(self.sum_micros.get()).as_secs_f64());
        writeln!(out, "{name}_bucket{{{label}{comma}le=\"+Inf\"}} {count}")?;
        writeln!(out, "{name}_sum{{{label}}} {sum}\n{name}_count{{{label}}} {count}")
    }
}

/// One value for each transport.
#[derive(Debug, Default)]
pub struct PerTransport<T> {
    /// `GET /v1/ws`.
    pub socket: T,
    /// The corresponding HTTP route.
    pub http: T,
}

/// Incoming frames by kind.
#[derive(Debug, Default)]
pub struct Frames {
    /// Sends.
    pub send: Counter,
    /// Acknowledgements.
    pub ack: Counter,
    /// Mail.
    pub mail: Counter,
    /// Everything else that is allowed.
    pub other: Counter,
    /// Frames that are malformed or not allowed.
    pub bad: Counter,
}

/// Ephemeral mail by outcome.
#[derive(Debug, Default)]
pub struct Ephemeral {
    /// Written to a connection.
    pub written: Counter,
    /// Dropped because it was too old, or too much was waiting for the connection.
    pub dropped: Counter,
    /// The device was not connected.
    pub offline: Counter,
}

/// Posts of groups, and their rows.
#[derive(Debug, Default)]
pub struct FanoutCounts {
    /// Posts that were in all mailboxes before they were acknowledged.
    pub inline: Counter,
    /// Posts that became jobs.
    pub background: Counter,
    /// Jobs that are done.
    pub done: Counter,
    /// Rows that were added to mailboxes.
    pub rows: Counter,
    /// Entries of rosters.
    pub entries: Counter,
}

impl Metrics {
    /// Renders all metrics in the Prometheus text format.
    pub fn render(&self, epoch: u64, connections: usize, limiter: &Limiter) -> String {
        let mut out = String::with_capacity(4_096);
        // Writing to a `String` does not fail.
        let _ = self.write(&mut out, epoch, connections, limiter);
        out
    }

    fn write(&self, out: &mut String, epoch: u64, connections: usize, limiter: &Limiter) -> fmt::Result {
        writeln!(out, "# TYPE relay_send_ack_seconds histogram")?;
        self.send_ack.socket.write(out, "relay_send_ack_seconds", "transport=\"ws\"")?;
        self.send_ack.http.write(out, "relay_send_ack_seconds", "transport=\"http\"")?;
        writeln!(out, "# TYPE relay_send_deliver_seconds histogram")?;
        self.send_deliver.write(out, "relay_send_deliver_seconds", "")?;
        writeln!(out, "# TYPE relay_store_commit_seconds histogram")?;
        self.store_commit.write(out, "relay_store_commit_seconds", "")?;
        let (batches, operations) = (self.store_batch.count.get(), self.store_batch.sum.get());
        writeln!(out, "# TYPE relay_store_batch_size summary")?;
        writeln!(out, "relay_store_batch_size_sum {operations}\nrelay_store_batch_size_count {batches}")?;
        #[cfg(feature = "statements")]
        writeln!(out, "# TYPE relay_store_statements_total counter")?;
        #[cfg(feature = "statements")]
        writeln!(out, "relay_store_statements_total {}", self.store_statements.get())?;
        writeln!(out, "# TYPE relay_connections gauge\nrelay_connections {}", connections)?;
        writeln!(out, "# TYPE relay_frames_total counter")?;
        for (label, counter) in [
            ("type=\"send\",result=\"ok\"", &self.frames.send),
            ("type=\"ack\",result=\"ok\"", &self.frames.ack),
            ("type=\"mail\",result=\"ok\"", &self.frames.mail),
            ("type=\"other\",result=\"ok\"", &self.frames.other),
            ("type=\"unknown\",result=\"bad\"", &self.frames.bad),
        ] {
            writeln!(out, "relay_frames_total{{{label}}} {}", counter.get())?;
        }
        writeln!(out, "# TYPE relay_ephemeral_total counter")?;
        for (outcome, counter) in [
            ("written", &self.ephemeral.written),
            ("dropped", &self.ephemeral.dropped),
            ("offline", &self.ephemeral.offline),
        ] {
            writeln!(out, "relay_ephemeral_total{{outcome=\"{outcome}\"}} {}", counter.get())?;
        }
        writeln!(out, "# TYPE relay_fanout_total counter")?;
        for (what, counter) in [
            ("inline", &self.fanout.inline),
            ("background", &self.fanout.background),
            ("done", &self.fanout.done),
            ("entry", &self.fanout.entries),
        ] {
            writeln!(out, "relay_fanout_total{{what=\"{what}\"}} {}", counter.get())?;
        }
        writeln!(out, "# TYPE relay_fanout_rows_total counter")?;
        writeln!(out, "relay_fanout_rows_total {}", self.fanout.rows.get())?;
        writeln!(out, "# TYPE relay_dedupe_hits_total counter")?;
        writeln!(out, "relay_dedupe_hits_total {}", self.dedupe_hits.get())?;
        writeln!(out, "# TYPE relay_prekeys_last_resort_total counter")?;
        writeln!(out, "relay_prekeys_last_resort_total {}", self.last_resort.get())?;
        limiter.write_metrics(out, &[("connections", self.refused_connections.get())])?;
        writeln!(out, "# TYPE relay_epoch gauge\nrelay_epoch {epoch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let metrics = Metrics::default();
        metrics.store_commit.observe(Duration::from_millis(4));
        metrics.store_commit.observe(Duration::from_secs(60));
        let text = metrics.render(3, 0, &Limiter::default());
        assert!(text.contains("relay_store_commit_seconds_bucket{le=\"0.0025\"} 0\n"));
        assert!(text.contains("relay_store_commit_seconds_bucket{le=\"0.005\"} 1\n"));
        assert!(text.contains("relay_store_commit_seconds_bucket{le=\"5\"} 1\n"));
        assert!(text.contains("relay_store_commit_seconds_bucket{le=\"+Inf\"} 2\n"));
        assert!(text.ends_with("relay_epoch 3\n"));
    }
}
