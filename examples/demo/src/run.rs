//! Runs the conversation with its failures, and checks the result.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sealpost_core::{Delivery, Direction, Error, Message};
use sealpost_testkit::RelayProcess;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::cut::Wire;
use crate::figures::{Table, size};
use crate::scan::{ScanError, read_all, scan};
use crate::side::{Settled, Side, history, text};
use crate::talk::{Line, Talk};

/// Longer than any step takes, including retries.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(180);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the client: {0}")]
    Client(#[from] Error),
    #[error("the relay process: {0}")]
    Relay(#[from] io::Error),
    #[error("line {line} was not sent: {how}")]
    NotSent { line: usize, how: String },
    #[error("{0} did not happen")]
    TimedOut(&'static str),
    #[error("{name}'s history differs at line {line}: {found:?} instead of {expected:?}")]
    Differs { name: String, line: usize, found: Option<String>, expected: Option<String> },
    #[error("no message was submitted twice")]
    NothingTwice,
    #[error(transparent)]
    Scan(#[from] ScanError),
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// The lines at which failures occur. All are in the middle, so that there are lines before and after them.
struct Incidents {
    /// The other side is offline from here to the end of the speaker's turn.
    offline: std::ops::Range<usize>,
    killed: usize,
    twice: usize,
}

pub(crate) async fn run(talk: &Talk, relay_binary: &Path) -> Result<Table> {
    let mut stage = Stage::set(talk, relay_binary).await?;
    let control = read_all(stage.dir.path())?;
    let incidents = plan(&talk.lines);
    let begun = Instant::now();
    for (number, line) in talk.lines.iter().enumerate() {
        let listener = 1_usize.saturating_sub(line.speaker);
        if number == incidents.offline.start {
            println!("line {}: {} goes offline", number.saturating_add(1), talk.name(listener));
            stage.go_offline(listener).await?;
        }
        if number == incidents.offline.end {
            println!("line {}: back online", number.saturating_add(1));
            stage.come_back().await?;
        }
        stage.say(talk, number, line, &incidents).await?;
    }
    stage.come_back().await?;
    for side in 0..2 {
        stage.compare(talk, side).await?;
    }
    let took = begun.elapsed();
    let duplicates = stage.duplicates_at_relay().await?;
    if duplicates == 0 {
        return Err(Failure::NothingTwice);
    }
    stage.report(talk, took, duplicates, &control).await
}

/// The other side is offline during the longest turn; the relay is killed in the middle, and a line is sent twice
/// after it.
fn plan(lines: &[Line]) -> Incidents {
    let mut offline = 0..0;
    let mut begin = 0;
    for (end, pair) in (1_usize..).zip(lines.windows(2)) {
        if let [a, b] = pair
            && a.speaker != b.speaker
        {
            if end.saturating_sub(begin) > offline.len() {
                offline = begin..end;
            }
            begin = end;
        }
    }
    let (middle, twice) = (lines.len() / 2, lines.len().saturating_mul(3) / 4);
    // If there are only two lines, both would be the second one.
    let killed = if middle == twice { middle.saturating_sub(1) } else { middle };
    Incidents { offline, killed, twice }
}

struct Stage {
    dir: TempDir,
    relay_binary: PathBuf,
    relay: Option<RelayProcess>,
    relay_addr: SocketAddr,
    sides: [Side; 2],
    offline: Option<usize>,
    /// For each line, when it was said, by whom, and its position in the thread.
    said: Vec<(Instant, usize, u64)>,
}

impl Stage {
    async fn set(talk: &Talk, relay_binary: &Path) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let relay = start_relay(relay_binary, dir.path(), any_port).await?;
        println!("a relay runs at {}", relay.url());
        let [first, second] = &talk.names;
        let first = Side::register(dir.path(), first, 1, &relay.url()).await?;
        let second = Side::register(dir.path(), second, 2, &relay.url()).await?;
        let sides = [first, second];
        let relay_addr = relay.addr();
        let relay_binary = relay_binary.to_owned();
        Ok(Self { dir, relay_binary, relay: Some(relay), relay_addr, sides, offline: None, said: Vec::new() })
    }

    fn side(&mut self, side: usize) -> &mut Side {
        let [first, second] = &mut self.sides;
        if side == 0 { first } else { second }
    }

    async fn say(&mut self, talk: &Talk, number: usize, line: &Line, incidents: &Incidents) -> Result<()> {
        if self.offline == Some(line.speaker) {
            self.come_back().await?;
        }
        let sent = if number == incidents.twice {
            println!(
                "line {}: {} sends it twice, as the answer is lost",
                number.saturating_add(1),
                talk.name(line.speaker)
            );
            self.say_twice(line).await
        } else if number == incidents.killed {
            println!(
                "line {}: the relay is killed while {} sends it",
                number.saturating_add(1),
                talk.name(line.speaker)
            );
            self.say_and_kill(line).await
        } else {
            self.say_once(line).await
        };
        let (said, message) = sent?;
        match (message.direction, message.server_seq) {
            (Direction::Outgoing(Delivery::Failed(reason)), _) => {
                Err(Failure::NotSent { line: number.saturating_add(1), how: reason.to_string() })
            }
            (_, Some(place)) => {
                self.said.push((said, line.speaker, place));
                Ok(())
            }
            (_, None) => Err(Failure::NotSent { line: number.saturating_add(1), how: "no place".to_owned() }),
        }
    }

    async fn say_once(&mut self, line: &Line) -> Result<(Instant, Message)> {
        let peer = self.side(1_usize.saturating_sub(line.speaker)).client.user_id();
        let side = self.side(line.speaker);
        let thread = side.thread_with(peer).await?;
        let settled = Settled::listen(&side.client);
        let said = Instant::now();
        let message = thread.send_text(&line.text).await?;
        Ok((said, settled.wait(&thread, message.id).await?))
    }

    /// Kills the relay while the message is on its way, and starts it again.
    async fn say_and_kill(&mut self, line: &Line) -> Result<(Instant, Message)> {
        let peer = self.side(1_usize.saturating_sub(line.speaker)).client.user_id();
        let side = self.side(line.speaker);
        let thread = side.thread_with(peer).await?;
        let settled = Settled::listen(&side.client);
        let said = Instant::now();
        let message = thread.send_text(&line.text).await?;
        if let Some(relay) = self.relay.take() {
            relay.kill().await?;
        }
        self.relay = Some(start_relay(&self.relay_binary, self.dir.path(), self.relay_addr).await?);
        Ok((said, settled.wait(&thread, message.id).await?))
    }

    /// Sends the line over a connection that is cut when the relay answers: the client cannot know that the relay has
    /// it, and submits it again.
    async fn say_twice(&mut self, line: &Line) -> Result<(Instant, Message)> {
        let wire = Wire::to(self.relay_addr).await?;
        let peer = self.side(1_usize.saturating_sub(line.speaker)).client.user_id();
        let direct = format!("http://{}", self.relay_addr);
        let side = self.side(line.speaker);
        side.reopen(&wire.url()).await?;
        side.wait_until_live().await?;
        let thread = side.thread_with(peer).await?;
        // Other data that may be in transit now, such as a receipt, is waited for first.
        sleep(Duration::from_millis(300)).await;
        let settled = Settled::listen(&side.client);
        wire.cut_at_next_answer();
        let said = Instant::now();
        let message = thread.send_text(&line.text).await?;
        let message = settled.wait(&thread, message.id).await?;
        if !wire.was_cut() {
            return Err(Failure::TimedOut("the cut"));
        }
        side.reopen(&direct).await?;
        Ok((said, message))
    }

    async fn go_offline(&mut self, side: usize) -> Result<()> {
        self.offline = Some(side);
        Ok(self.side(side).client.suspend().await?)
    }

    async fn come_back(&mut self) -> Result<()> {
        if let Some(side) = self.offline.take() {
            self.side(side).client.resume().await?;
        }
        Ok(())
    }

    /// Each side's history must equal the conversation: in order, once each.
    async fn compare(&mut self, talk: &Talk, which: usize) -> Result<()> {
        let peer = self.side(1_usize.saturating_sub(which)).client.user_id();
        let side = self.side(which);
        let thread = side.thread_with(peer).await?;
        let complete = async {
            while history(&thread).await?.len() < talk.lines.len() {
                sleep(Duration::from_millis(20)).await;
            }
            Ok::<_, Error>(())
        };
        timeout(TIMEOUT, complete).await.unwrap_or(Ok(()))?;
        let mut history = history(&thread).await?.into_iter();
        let us = side.client.user_id();
        let mut lines = talk.lines.iter();
        for number in 1.. {
            let expected = lines.next().map(|line| (line.speaker == which, line.text.clone()));
            let found = history.next().map(|message| (message.sender == us, text(message.body)));
            if expected != found {
                return Err(Failure::Differs {
                    name: side.name.clone(),
                    line: number,
                    found: found.map(|(_, text)| text),
                    expected: expected.map(|(_, text)| text),
                });
            }
            if expected.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// How often the relay received a message that it already had.
    async fn duplicates_at_relay(&self) -> Result<u64> {
        let relay = self.relay.as_ref().ok_or_else(|| io::Error::other("there is no relay"))?;
        let metrics = async { reqwest::get(relay.metrics_url()).await?.text().await };
        let metrics = metrics.await.map_err(io::Error::other)?;
        let value = metrics
            .lines()
            .find_map(|line| line.strip_prefix("relay_dedupe_hits_total ")?.trim().parse().ok());
        value.ok_or_else(|| io::Error::other("the relay does not count duplicates").into())
    }

    /// Closes everything, searches the files for the conversation, and prints the measurements.
    async fn report(
        mut self,
        talk: &Talk,
        took: Duration,
        duplicates: u64,
        control: &[(PathBuf, Vec<u8>)],
    ) -> Result<Table> {
        let mut to_ack = Vec::new();
        let mut to_delivered = Vec::new();
        for (said, speaker, place) in std::mem::take(&mut self.said) {
            let acked = self.side(speaker).listener.acknowledged(place);
            to_ack.extend(acked.map(|at| at.saturating_duration_since(said)));
            let delivered = self.side(1_usize.saturating_sub(speaker)).listener.delivered(place);
            to_delivered.extend(delivered.map(|at| at.saturating_duration_since(said)));
        }
        for side in &self.sides {
            side.client.suspend().await?;
        }
        if let Some(relay) = self.relay.take() {
            relay.kill().await?;
        }
        let files = read_all(self.dir.path())?;
        let scanned = scan(talk.lines.iter().map(|line| line.text.as_str()), &files, control)?;
        let bytes = |part: &str| {
            let sizes = files.iter().filter(|(path, _)| path.starts_with(self.dir.path().join(part)));
            size(sizes.map(|(_, bytes)| bytes.len() as u64).sum())
        };
        let mut table = Table::default();
        let lines = talk.lines.len();
        table.row(
            "messages",
            format!("{lines}: both histories equal the conversation, in order, without duplicates"),
        );
        table.row("submitted twice", format!("{duplicates}, stored once"));
        table.percentiles("send → ack", to_ack);
        table.percentiles("send → delivered", to_delivered);
        table.row("messages per second", format!("{:.0}", lines as f64 / took.as_secs_f64()));
        table.row("relay's files", bytes("relay"));
        for side in &self.sides {
            table.row(format!("{}'s files", side.name), bytes(&side.folder_name()));
        }
        table.row("readable lines", scanned.to_string());
        Ok(table)
    }
}

impl Talk {
    fn name(&self, side: usize) -> &str {
        self.names.get(side).map_or("", String::as_str)
    }
}

async fn start_relay(binary: &Path, dir: &Path, listen: SocketAddr) -> io::Result<RelayProcess> {
    let data = dir.join("relay");
    std::fs::create_dir_all(&data)?;
    RelayProcess::start(binary, &data, listen, &data.join("relay.log"), None).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_every_conversation_each_incident_has_its_own_line() {
        for count in 2..100_usize {
            for turn in 1..count {
                let speaker = |number: usize| usize::from(number >= turn);
                let lines: Vec<_> =
                    (0..count).map(|number| Line { speaker: speaker(number), text: String::new() }).collect();
                let Incidents { offline, killed, twice } = plan(&lines);
                assert!(!offline.is_empty() && offline.end < count, "{count} {turn}: {offline:?}");
                assert!(killed < count && twice < count && killed != twice, "{count}: {killed} {twice}");
            }
        }
    }
}
