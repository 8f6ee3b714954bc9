//! A whole history: what a judge reads of the recorded lines.

use std::collections::BTreeMap;

use crate::event::{At, Call, Device, Dump, Event, Line, Place, Reply, Row, Send};

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Ok(Reply),
    /// Certainly not done.
    Fail(String),
    /// Done or not.
    Unknown,
}

/// A request with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// When it left.
    pub invoked: At,
    /// When its answer came, or was given up.
    pub ended: At,
    /// What was asked.
    pub call: Call,
    /// What became of it.
    pub outcome: Outcome,
}

/// A row that a device got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// When.
    pub at: At,
    /// When the connection was opened, or the request left, by which it came.
    pub since: At,
    /// Who.
    pub device: Device,
    /// Whether it was pushed, or came in a page.
    pub pushed: bool,
    /// What.
    pub row: Row,
}

/// Why a history cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum BadHistory {
    /// A line is no event.
    #[error("line {0} is no event")]
    Line(usize, #[source] serde_json::Error),
    /// The places of the lines do not grow.
    #[error("line {0} is out of order")]
    Order(usize),
    /// An outcome without a request, or a second one.
    #[error("an outcome of request {0}, which is not open")]
    NotOpen(u64),
    /// The history was cut off.
    #[error("there is no dump of the store at the end")]
    NoDump,
}

/// A whole history.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// All requests, in the order in which they left.
    pub operations: Vec<Operation>,
    /// All rows that devices got, in that order.
    pub seen: Vec<Seen>,
    /// The members and the roster version of each thread.
    pub threads: BTreeMap<String, (Vec<String>, u64)>,
    /// When the relay was killed.
    pub kills: Vec<At>,
    /// What the process may hold: KiB, open files.
    pub limits: Option<(u64, u64)>,
    /// What it held: KiB, open files.
    pub samples: Vec<(u64, u64)>,
    /// What must not be in its log.
    pub secrets: Vec<String>,
    /// Its log.
    pub log: String,
    /// What is in the store at the end.
    pub dump: Dump,
}

impl History {
    /// Reads a history as it was written: one JSON object a line.
    ///
    /// # Errors
    /// [`BadHistory`], when it is not whole.
    pub fn parse(text: &str) -> Result<Self, BadHistory> {
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            lines.push(serde_json::from_str(line).map_err(|error| BadHistory::Line(number, error))?);
        }
        Self::from_lines(lines)
    }

    /// Puts a history together from its lines.
    ///
    /// # Errors
    /// [`BadHistory`], when it is not whole.
    pub fn from_lines(lines: Vec<Line>) -> Result<Self, BadHistory> {
        let mut history = Self::default();
        let mut open: BTreeMap<u64, usize> = BTreeMap::new();
        let (mut last, mut dumped) = (None, false);
        for (number, Line { at, event }) in (1..).zip(lines) {
            if last.is_some_and(|last| last >= at) {
                return Err(BadHistory::Order(number));
            }
            last = Some(at);
            match event {
                Event::Thread { thread, members, roster_version } => {
                    history.threads.insert(thread, (members, roster_version));
                }
                Event::Invoke { op, call } => {
                    open.insert(op, history.operations.len());
                    let outcome = Outcome::Unknown;
                    history.operations.push(Operation { invoked: at, ended: At::MAX, call, outcome });
                }
                Event::Ok { op, reply } => history.end(&mut open, op, at, Outcome::Ok(reply))?,
                Event::Fail { op, reason } => history.end(&mut open, op, at, Outcome::Fail(reason))?,
                Event::Unknown { op } => history.end(&mut open, op, at, Outcome::Unknown)?,
                Event::Deliver { device, since, row } => {
                    history.seen.push(Seen { at, since, device, pushed: true, row });
                }
                Event::Killed => history.kills.push(at),
                Event::Limits { rss_kib, files } => history.limits = Some((rss_kib, files)),
                Event::Sample { rss_kib, files } => history.samples.push((rss_kib, files)),
                Event::Secret { text } => history.secrets.push(text),
                Event::Dump(dump) => {
                    history.dump = dump;
                    dumped = true;
                }
            }
        }
        if dumped { Ok(history) } else { Err(BadHistory::NoDump) }
    }

    fn end(
        &mut self,
        open: &mut BTreeMap<u64, usize>,
        op: u64,
        at: At,
        outcome: Outcome,
    ) -> Result<(), BadHistory> {
        let index = open.remove(&op).ok_or(BadHistory::NotOpen(op))?;
        let operation = self.operations.get_mut(index).ok_or(BadHistory::NotOpen(op))?;
        if let (Call::Page { device }, Outcome::Ok(Reply::Page { rows, .. })) = (&operation.call, &outcome) {
            let since = operation.invoked;
            let seen =
                |row: &Row| Seen { at, since, device: device.clone(), pushed: false, row: row.clone() };
            self.seen.extend(rows.iter().map(seen));
        }
        (operation.ended, operation.outcome) = (at, outcome);
        Ok(())
    }

    /// The sends, each with its operation.
    pub fn sends(&self) -> impl Iterator<Item = (&Send, &Operation)> {
        self.operations.iter().filter_map(|operation| match &operation.call {
            Call::Send(send) => Some((send, operation)),
            _ => None,
        })
    }

    /// The sends that were answered with a place: that place, its clock, and whether it was said to be stored before.
    pub fn placed(&self) -> impl Iterator<Item = (&Send, Place, u64, bool)> {
        self.sends().filter_map(|(send, operation)| match operation.outcome {
            Outcome::Ok(Reply::Send { seq, hlc, duplicate, .. }) => {
                Some((send, Place { thread: send.thread.clone(), seq }, hlc, duplicate))
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::examples;

    #[test]
    fn a_history_is_read_as_it_was_written() {
        let lines = examples::good();
        let text: Vec<String> = lines.iter().map(|line| serde_json::to_string(line).unwrap()).collect();
        let read: Vec<Line> = text.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, lines);
        assert_eq!(
            text[0],
            r#"{"at":0,"event":"thread","thread":"t","members":["ada","ben"],"roster_version":1}"#
        );
        assert!(History::parse(&text.join("\n")).is_ok());
    }

    #[test]
    fn a_history_that_is_not_whole_is_not_judged() {
        let good = examples::good();
        let text = |lines: &[Line]| {
            let lines: Vec<String> = lines.iter().map(|line| serde_json::to_string(line).unwrap()).collect();
            lines.join("\n")
        };
        let mut cut = good.clone();
        cut.pop();
        assert!(matches!(History::parse(&text(&cut)), Err(BadHistory::NoDump)));
        let mut swapped = good.clone();
        swapped.swap(0, 1);
        assert!(matches!(History::parse(&text(&swapped)), Err(BadHistory::Order(2))));
        let mut twice = good;
        twice.push(Line { at: 9_000, event: Event::Unknown { op: 77 } });
        assert!(matches!(History::parse(&text(&twice)), Err(BadHistory::NotOpen(77))));
        assert!(matches!(History::parse("{}"), Err(BadHistory::Line(1, _))));
    }
}
