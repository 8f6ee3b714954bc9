//! A complete history, reconstructed from the recorded lines.

use std::collections::BTreeMap;

use crate::event::{At, Call, Device, Dump, Event, Line, Place, Reply, Row, Send};

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out.
    Ok(Reply),
    /// It was certainly not carried out.
    Fail(String),
    /// Unknown.
    Unknown,
}

/// A request with its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// When it was sent.
    pub invoked: At,
    /// When its answer arrived, or the client gave up.
    pub ended: At,
    /// The request.
    pub call: Call,
    /// Its outcome.
    pub outcome: Outcome,
}

/// A row that a device received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// When.
    pub at: At,
    /// When the connection was opened, or the request was sent, by which the row was received.
    pub since: At,
    /// The recipient.
    pub device: Device,
    /// Whether it was pushed, rather than part of a page.
    pub pushed: bool,
    /// The row.
    pub row: Row,
}

/// Why a history cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum BadHistory {
    /// A line is not an event.
    #[error("line {0} is not an event")]
    Line(usize, #[source] serde_json::Error),
    /// The positions of the lines do not increase.
    #[error("line {0} is out of order")]
    Order(usize),
    /// An outcome without a request, or a second one.
    #[error("line with an outcome of request {0}, which is not open")]
    NotOpen(u64),
    /// The history is incomplete.
    #[error("there is no dump of the store at the end")]
    NoDump,
}

/// A complete history.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// All requests, in the order in which they were sent.
    pub operations: Vec<Operation>,
    /// All rows that devices received, in order.
    pub seen: Vec<Seen>,
    /// All mail that devices received, in order: when, the recipient, the number, and the sender with the id.
    pub mail: Vec<(At, Device, u64, (Device, String))>,
    /// The members and the roster version of each thread.
    pub threads: BTreeMap<String, (Vec<String>, u64)>,
    /// When the relay was killed.
    pub kills: Vec<At>,
    /// The maximum memory in KiB and number of open files.
    pub limits: Option<(u64, u64)>,
    /// The measured memory in KiB and number of open files.
    pub samples: Vec<(u64, u64)>,
    /// Texts that must not be in the log.
    pub secrets: Vec<String>,
    /// The relay's log.
    pub log: String,
    /// The contents of the store at the end.
    pub dump: Dump,
}

impl History {
    /// Parses a history with one JSON object for each line.
    ///
    /// # Errors
    /// [`BadHistory`], if it is incomplete or inconsistent.
    pub fn parse(text: &str) -> Result<Self, BadHistory> {
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            lines.push(serde_json::from_str(line).map_err(|error| BadHistory::Line(number, error))?);
        }
        Self::from_lines(lines)
    }

    /// Reconstructs a history from its lines.
    ///
    /// # Errors
    /// [`BadHistory`], if it is incomplete or inconsistent.
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
                Event::Mail { device, seq, id, sender } => {
                    history.mail.push((at, device, seq, (sender, id)));
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

    /// The sends that were answered with a position: the position, its clock, and whether it was reported as a
    /// duplicate.
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
    fn a_history_round_trips() {
        let lines = examples::correct();
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
    fn an_incomplete_history_is_refused() {
        let good = examples::correct();
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
