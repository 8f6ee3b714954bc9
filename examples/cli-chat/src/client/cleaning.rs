//! What takes up how much on this device, and making room.

use std::collections::HashMap;

use sealpost_core::{Error, ThreadId};

use super::Worker;
use crate::clock::system_ms;
use crate::news::News;

const DAY_MS: u64 = 24 * 3_600_000;

impl Worker {
    pub(super) async fn storage(&mut self) -> Result<Vec<String>, Error> {
        let report = self.client.storage_report().await?;
        let (database, free) = (size(report.database_bytes), size(report.free_bytes));
        let mut lines =
            vec![format!("The database takes up {database}, of which {free} are free."), String::new()];
        let threads: Vec<_> = report.threads.iter().map(|storage| storage.thread).collect();
        let summaries = self.client.summaries(&threads).await?;
        let others: HashMap<_, _> =
            summaries.iter().map(|thread| (thread.id, thread.others.first().copied())).collect();
        for storage in report.threads {
            let name = self.name(others.get(&storage.thread).copied().flatten());
            let messages = if storage.messages == 1 { "message" } else { "messages" };
            lines.push(format!("{name}: {} {messages}, {}", storage.messages, size(storage.bytes)));
        }
        lines.push("/cleanup 365 deletes what is older than a year on this device.".to_owned());
        Ok(lines)
    }

    /// Deletes old messages. That may take a while, in which everything else goes on.
    pub(super) async fn clean_up(&mut self, thread: Option<ThreadId>, days: u64) -> Result<(), Error> {
        let before_ms = system_ms().saturating_sub(days.saturating_mul(DAY_MS));
        let (client, news) = (self.client.clone(), self.news.clone());
        let thread = match thread {
            Some(thread) => Some(client.thread(thread).await?),
            None => None,
        };
        self.tasks.spawn(async move {
            let deleted = match thread {
                Some(thread) => thread.delete_older(before_ms).await,
                None => client.delete_older(before_ms).await,
            };
            let note = match deleted {
                Ok(1) => "1 message was deleted on this device".to_owned(),
                Ok(count) => format!("{count} messages were deleted on this device"),
                Err(error) => format!("not everything was deleted: {error}"),
            };
            let _ = news.send(News::Note(note));
            None
        });
        Ok(())
    }
}

/// A number of bytes, as people read it.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["bytes", "kB", "MB", "GB"];
    let (mut rest, mut unit) = (bytes, 0_usize);
    while rest >= 10_000 && unit < UNITS.len().saturating_sub(1) {
        rest = rest.saturating_add(500).checked_div(1_000).unwrap_or_default();
        unit = unit.saturating_add(1);
    }
    format!("{rest} {}", UNITS.get(unit).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_short() {
        let sizes = [
            (0, "0 bytes"),
            (9_999, "9999 bytes"),
            (10_000, "10 kB"),
            (2_345_678, "2346 kB"),
            (12_345_678, "12 MB"),
        ];
        for (bytes, shown) in sizes {
            assert_eq!(size(bytes), shown);
        }
        assert_eq!(size(u64::MAX), "18446744074 GB");
    }
}
