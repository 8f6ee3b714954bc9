//! Runs the conversation with its failures, with every kind of content between its lines, and checks the result.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sealpost_core::{Error, UserId};
use tokio::time::sleep;

use crate::act::{Kind, choose};
use crate::figures::{Table, list, size};
use crate::group::FOUNDER;
use crate::plan::{Guests, plan};
use crate::scan::{ScanError, read_all, scan};
use crate::stage::{Companion, Stage};
use crate::talk::Talk;
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

pub(crate) async fn run(talk: &Talk, relay_binary: &Path, seed: u64) -> Result<Table> {
    println!("the events between the lines are chosen by --seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut stage = Stage::set(talk, relay_binary).await?;
    let control = read_all(stage.dir.path())?;
    let incidents = plan(talk);
    if let Some(Guests { added: (later, _), .. }) = incidents.guests {
        stage.link(FOUNDER).await?;
        println!("{} has a companion", talk.name(FOUNDER));
        stage.gather(later).await?;
        println!("{} creates a group of {}", talk.name(FOUNDER), stage.model.members().count());
    }
    for (number, line) in talk.lines.iter().enumerate() {
        let shown = number.saturating_add(1);
        if let Some((who, lines)) = &incidents.offline {
            if number == lines.end {
                println!("line {shown}: {} is back online", talk.name(*who));
                stage.come_back().await?;
            }
            if let Some(guests) = &incidents.guests {
                come_and_go(&mut stage, talk, guests, number).await?;
            }
            if number == lines.start {
                println!("line {shown}: {} goes offline", talk.name(*who));
                stage.go_offline(*who).await?;
            }
        } else if let Some(guests) = &incidents.guests {
            come_and_go(&mut stage, talk, guests, number).await?;
        }
        let name = talk.name(line.speaker);
        if number == incidents.linked && !stage.model.is_group() {
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
    compare(&mut stage, Devices::All).await?;
    let duplicates = stage.duplicates_at_relay().await?;
    if duplicates == 0 {
        return Err(Failure::NothingTwice);
    }
    report(stage, duplicates, &control).await
}

/// Somebody comes or goes before a line, once everybody has what was said before.
async fn come_and_go(stage: &mut Stage, talk: &Talk, guests: &Guests, number: usize) -> Result<()> {
    let shown = number.saturating_add(1);
    let Guests { added: (added, comes), removed, without } = guests;
    if number == *comes {
        compare(stage, Devices::First).await?;
        println!("line {shown}: {} is added, and gets nothing that was said before", talk.name(*added));
        stage.add(*added).await?;
    }
    if number == without.start {
        compare(stage, Devices::First).await?;
        println!(
            "line {shown}: {} is removed, and gets nothing that is said from now on",
            talk.name(*removed)
        );
        stage.remove(*removed).await?;
    }
    if number == without.end {
        compare(stage, Devices::First).await?;
        println!("line {shown}: {} is added again", talk.name(*removed));
        stage.add(*removed).await?;
    }
    Ok(())
}

/// Something happens, if anything can.
async fn happen(
    stage: &mut Stage,
    talk: &Talk,
    line: usize,
    random: &mut StdRng,
    can: fn(Kind) -> bool,
) -> Result<()> {
    let kinds = Kind::events(stage.model.is_group()).filter(|kind| can(*kind));
    let offline = stage.offline();
    if let Some(act) = choose(&stage.model, kinds, |side| offline != Some(side), random) {
        println!("line {line}: {} {}", talk.name(act.by), act.words());
        stage.perform(&act).await?;
    }
    Ok(())
}

fn missing(stage: &Stage) -> Vec<Kind> {
    Kind::events(stage.model.is_group()).filter(|kind| stage.model.done(*kind) == 0).collect()
}

/// How many of the events follow a line, so that they are spread over the conversation.
fn events_after(line: usize, lines: usize) -> usize {
    let until = |line: usize| line.saturating_mul(EVENTS).checked_div(lines).unwrap_or_default();
    until(line.saturating_add(1)).saturating_sub(until(line))
}

/// Who is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Devices {
    /// Of each side, the one that it began with. A receipt that was sealed before its author knew of the companion says there later what it says,
    /// together with the next one.
    First,
    All,
}

/// All sides, and the companion of one of them, must have exactly what was said and done while they were there. What is still on its way is waited
/// for, and so is that messages disappear.
async fn compare(stage: &mut Stage, devices: Devices) -> Result<()> {
    let begun = Instant::now();
    // Who was not added yet has nothing to compare.
    let sides = (0..stage.sides.len()).filter(|side| {
        let person = stage.model.people.get(*side);
        person.is_some_and(|person| person.is_there || person.was_removed)
    });
    let sides: Vec<usize> = sides.collect();
    loop {
        let reading = Instant::now();
        let views = match views(stage, &sides, devices).await {
            // A message has taken the place of what stood for it until its key came, or has disappeared.
            Err(Failure::Client(Error::NotFound)) if begun.elapsed() < TIMEOUT => continue,
            views => views?,
        };
        let stayed = |side: usize| stage.model.people.get(side).is_some_and(|person| !person.was_removed);
        let found = views.iter().find_map(|(side, name, view)| {
            let (_, _, first) = views.first()?;
            let of_times = || view.differs_from_other(first).filter(|_| stayed(*side));
            let difference = view.differs_from(&stage.model, *side).or_else(of_times)?;
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

/// Reads everything, and what these sides then have: each with its number, its name and its view.
async fn views(stage: &mut Stage, sides: &[usize], devices: Devices) -> Result<Vec<(usize, String, View)>> {
    let users: Vec<UserId> = stage.sides.iter().map(|side| side.client.user_id()).collect();
    let mut views = Vec::new();
    for side in sides {
        stage.read_everything(*side).await?;
        let thread = stage.thread(*side).await?;
        let of = stage.side(*side)?;
        views.push((*side, of.name.clone(), View::read(&of.client, &thread, &users).await?));
    }
    if devices == Devices::All
        && let Some(thread) = stage.thread_at_companion().await?
        && let Some(Companion { of, side, .. }) = &stage.companion
    {
        // What was read on the other device is read here.
        views.push((*of, side.name.clone(), View::read(&side.client, &thread, &users).await?));
    }
    Ok(views)
}

/// Closes everything, searches the files for the conversation, and returns what was compared and measured.
async fn report(mut stage: Stage, duplicates: u64, control: &[(PathBuf, Vec<u8>)]) -> Result<Table> {
    let mut to_ack = Vec::new();
    let mut to_delivered = Vec::new();
    for (said, speaker, place) in std::mem::take(&mut stage.said) {
        let acked = stage.side(speaker)?.listener.acknowledged(place);
        to_ack.extend(acked.map(|at| at.saturating_duration_since(said)));
        let others = stage.sides.iter().enumerate().filter(|(side, _)| *side != speaker);
        // To all who got it.
        let delivered = others.filter_map(|(_, side)| side.listener.delivered(place)).max();
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
    let messages = stage.model.messages;
    let everybody = if stage.model.is_group() { "all who were there" } else { "both sides" };
    table.row("messages", format!("{messages}: {everybody} have the same, in order, without duplicates"));
    if stage.model.is_group() {
        for (side, person) in stage.sides.iter().zip(&stage.model.people) {
            table.row(&side.name, format!("has the {} of their time in the group", person.entries.len()));
        }
    }
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
        let linked = if stage.model.is_group() { "before the talk" } else { "in mid-talk" };
        table.row(&side.name, format!("has all of them, linked {linked}; {lines} lines were said there"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_are_spread_over_every_conversation() {
        for lines in [2, 3, 21, 40, 1000] {
            let after: Vec<_> = (0..lines).map(|line| events_after(line, lines)).collect();
            assert_eq!(after.iter().sum::<usize>(), EVENTS, "{lines}");
            assert!(after.iter().max().unwrap() - after.iter().min().unwrap() <= 1, "{lines}");
        }
    }
}
