//! Runs the conversation with its failures, with every kind of content between its lines, and checks the result.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sealpost_core::Error;
use tokio::time::sleep;

use crate::act::{Kind, choose};
use crate::figures::{Table, list, size};
use crate::scan::{ScanError, read_all, scan};
use crate::stage::{Companion, Stage};
use crate::talk::{Line, Talk};
use crate::view::{Difference, View};

/// Longer than any step takes, including retries.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(180);
/// How often something happens between the lines: each kind about twice.
const EVENTS: usize = 42;
/// How many changes of messages are on their way while the relay is killed.
const CHANGES_WHILE_KILLED: usize = 3;
/// After so many further events, a kind that has not happened cannot happen.
const MOST_EVENTS: usize = 400;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the client: {0}")]
    Client(#[from] Error),
    #[error("the relay process: {0}")]
    Relay(#[from] io::Error),
    #[error("a message was not sent: {0}")]
    NotSent(String),
    #[error("{0} did not happen")]
    TimedOut(&'static str),
    #[error("{0}")]
    Signal(&'static str),
    #[error("{name} does not have what was said and done: {difference}")]
    Differs { name: String, difference: Difference },
    #[error("no message was submitted twice")]
    NothingTwice,
    #[error("some kinds of content did not happen: {0:?}")]
    Missing(Vec<Kind>),
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
    /// The speaker links a companion before this line.
    linked: usize,
}

pub(crate) async fn run(talk: &Talk, relay_binary: &Path, seed: u64) -> Result<Table> {
    println!("the events between the lines are chosen by --seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut stage = Stage::set(talk, relay_binary).await?;
    let control = read_all(stage.dir.path())?;
    let incidents = plan(&talk.lines);
    for (number, line) in talk.lines.iter().enumerate() {
        let shown = number.saturating_add(1);
        let listener = 1_usize.saturating_sub(line.speaker);
        if number == incidents.offline.start {
            println!("line {shown}: {} goes offline", talk.name(listener));
            stage.go_offline(listener).await?;
        }
        if number == incidents.offline.end {
            println!("line {shown}: back online");
            stage.come_back().await?;
        }
        let name = talk.name(line.speaker);
        if number == incidents.linked {
            println!("line {shown}: {name} links a companion, which gets what was said before");
            stage.link(line.speaker).await?;
        }
        if number == incidents.twice {
            println!("line {shown}: {name} sends it twice, as the answer is lost");
            stage.say_twice(line).await?;
        } else if number == incidents.killed {
            for _ in 0..CHANGES_WHILE_KILLED {
                happen(&mut stage, talk, shown, &mut random, Kind::is_change).await?;
            }
            println!("line {shown}: the relay is killed while {name} sends it");
            stage.say_and_kill(line).await?;
        } else {
            stage.say(line).await?;
        }
        for _ in 0..events_after(number, talk.lines.len()) {
            happen(&mut stage, talk, shown, &mut random, |_| true).await?;
        }
    }
    stage.come_back().await?;
    for _ in 0..MOST_EVENTS {
        if missing(&stage).is_empty() {
            break;
        }
        happen(&mut stage, talk, talk.lines.len(), &mut random, |_| true).await?;
    }
    let missing = missing(&stage);
    if !missing.is_empty() {
        return Err(Failure::Missing(missing));
    }
    compare(&mut stage).await?;
    let duplicates = stage.duplicates_at_relay().await?;
    if duplicates == 0 {
        return Err(Failure::NothingTwice);
    }
    report(stage, duplicates, &control).await
}

/// Something happens, if anything can.
async fn happen(
    stage: &mut Stage,
    talk: &Talk,
    line: usize,
    random: &mut StdRng,
    can: fn(Kind) -> bool,
) -> Result<()> {
    let kinds = Kind::EVENTS.into_iter().filter(|kind| can(*kind));
    if let Some(act) = choose(&stage.model, kinds, stage.online(), random) {
        println!("line {line}: {} {}", talk.name(act.by), act.words());
        stage.perform(&act).await?;
    }
    Ok(())
}

fn missing(stage: &Stage) -> Vec<Kind> {
    Kind::EVENTS.into_iter().filter(|kind| stage.model.done(*kind) == 0).collect()
}

/// How many of the events follow a line, so that they are spread over the conversation.
fn events_after(line: usize, lines: usize) -> usize {
    let until = |line: usize| line.saturating_mul(EVENTS).checked_div(lines).unwrap_or_default();
    until(line.saturating_add(1)).saturating_sub(until(line))
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
    Incidents { offline, killed, twice, linked: (lines.len() / 4).max(1) }
}

/// Both sides, and the companion of one of them, must have exactly what was said and done. What is still on its way is waited for, and so is that messages
/// disappear.
async fn compare(stage: &mut Stage) -> Result<()> {
    let begun = Instant::now();
    let users = [0, 1].map(|side| stage.side(side).client.user_id());
    loop {
        let reading = Instant::now();
        let mut views = Vec::new();
        for side in 0..2 {
            stage.read_everything(side).await?;
            let thread = stage.thread(side).await?;
            let side_now = stage.side(side);
            views.push((side, side_now.name.clone(), View::read(&side_now.client, &thread, users).await?));
        }
        if let Some(Companion { of, side, .. }) = &mut stage.companion {
            // What was read on the other device is read here.
            let peer = users.get(1_usize.saturating_sub(*of)).copied().unwrap_or(side.client.user_id());
            let thread = side.thread_with(peer).await?;
            views.push((*of, side.name.clone(), View::read(&side.client, &thread, users).await?));
        }
        let found = views.iter().find_map(|(side, name, view)| {
            let (_, _, first) = views.first()?;
            let difference =
                view.differs_from(&stage.model, *side).or_else(|| view.differs_from_other(first))?;
            Some((name.clone(), difference))
        });
        let Some((name, difference)) = found else { return Ok(()) };
        if begun.elapsed() > TIMEOUT {
            return Err(Failure::Differs { name, difference });
        }
        // A long conversation is not read all the time.
        sleep(reading.elapsed().max(Duration::from_millis(20))).await;
    }
}

/// Closes everything, searches the files for the conversation, and returns what was compared and measured.
async fn report(mut stage: Stage, duplicates: u64, control: &[(PathBuf, Vec<u8>)]) -> Result<Table> {
    let mut to_ack = Vec::new();
    let mut to_delivered = Vec::new();
    for (said, speaker, place) in std::mem::take(&mut stage.said) {
        let acked = stage.side(speaker).listener.acknowledged(place);
        to_ack.extend(acked.map(|at| at.saturating_duration_since(said)));
        let delivered = stage.other(speaker).listener.delivered(place);
        to_delivered.extend(delivered.map(|at| at.saturating_duration_since(said)));
    }
    stage.close().await?;
    let files = read_all(stage.dir.path())?;
    let scanned = scan(stage.model.secrets.iter().map(String::as_str), &files, control)?;
    let bytes = |part: &str| {
        let sizes = files.iter().filter(|(path, _)| path.starts_with(stage.dir.path().join(part)));
        size(sizes.map(|(_, bytes)| bytes.len() as u64).sum())
    };
    let mut table = Table::default();
    let messages = stage.model.entries.len();
    table.row("messages", format!("{messages}: both sides have the same, in order, without duplicates"));
    let compared: [(&str, &[Kind]); 4] = [
        ("of these kinds", &Kind::MESSAGES),
        ("and their changes", &Kind::CHANGES),
        ("of the people", &Kind::PEOPLE),
        ("seen at once", &Kind::PASSING),
    ];
    for (what, kinds) in compared {
        let counts = kinds.iter().map(|kind| (stage.model.done(*kind), kind.names()));
        table.row(what, list(counts));
    }
    if let Some(Companion { side, lines, .. }) = &stage.companion {
        table.row(
            &side.name,
            format!("has all {messages}, linked in mid-talk; {lines} lines were said there"),
        );
    }
    table.row("submitted twice", format!("{duplicates}, stored once"));
    table.percentiles("send → ack", to_ack);
    table.percentiles("send → delivered", to_delivered);
    table.row("relay's files", bytes("relay"));
    for side in stage.sides.iter().chain(stage.companion.as_ref().map(|companion| &companion.side)) {
        table.row(format!("{}'s files", side.name), bytes(&side.folder_name()));
    }
    table.row("readable lines", scanned.to_string());
    Ok(table)
}

impl Talk {
    fn name(&self, side: usize) -> &str {
        self.names.get(side).map_or("", String::as_str)
    }
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
                let Incidents { offline, killed, twice, linked } = plan(&lines);
                assert!(linked > 0 && linked < count, "{count}: {linked}");
                assert!(!offline.is_empty() && offline.end < count, "{count} {turn}: {offline:?}");
                assert!(killed < count && twice < count && killed != twice, "{count}: {killed} {twice}");
            }
        }
    }

    #[test]
    fn the_events_are_spread_over_every_conversation() {
        for lines in [2, 3, 21, 40, 1000] {
            let after: Vec<_> = (0..lines).map(|line| events_after(line, lines)).collect();
            assert_eq!(after.iter().sum::<usize>(), EVENTS, "{lines}");
            assert!(after.iter().max().unwrap() - after.iter().min().unwrap() <= 1, "{lines}");
        }
    }
}
