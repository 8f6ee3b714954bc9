//! What is recorded, and what a judge reads of it.
//!
//! | Line | Recorded |
//! |---|---|
//! | `thread` | once, when the thread was made: its members and its roster version |
//! | `invoke` | before a request leaves |
//! | `ok`, `fail`, `unknown` | when its answer is there: done; certainly not done; nobody knows (no answer, or 503) |
//! | `deliver` | when a row was pushed, before it is acknowledged |
//! | `killed` | when the relay was killed |
//! | `limits`, `sample` | what the process may hold at most, and what it held |
//! | `secret` | a text that must not be in the log |
//! | `dump` | last: what is in the store when all is quiet |
//!
//! Every line carries `at`, its place in the one order of all lines. All identifiers are texts, and mean nothing here but
//! equality.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A place in the order of all lines.
pub type At = u64;

/// A device, as `<user>/<number>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Device(pub String);

impl Device {
    /// The user whose device it is.
    pub fn user(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

/// A place in a thread.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The thread.
    pub thread: String,
    /// The relay's number in it, from 1.
    pub seq: u64,
}

/// A message as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    /// Who sends.
    pub sender: Device,
    /// Where.
    pub thread: String,
    /// The sender's name for it.
    pub id: String,
    /// What it says, or a digest of that.
    pub body: String,
    /// The roster that it was made for.
    pub roster_version: u64,
    /// Whether it asked not to be stored.
    #[serde(default)]
    pub ephemeral: bool,
    /// The devices that are to have it.
    pub to: Vec<Device>,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum Call {
    /// Store a message.
    Send(Send),
    /// Show the whole mailbox.
    Page {
        /// Whose.
        device: Device,
    },
    /// Delete rows.
    Ack {
        /// Whose.
        device: Device,
        /// Which.
        rows: Vec<Place>,
    },
    /// Take one-time keys.
    Take {
        /// Who asks.
        requester: Device,
        /// What makes a repetition the same request.
        idempotency: String,
        /// Whose keys.
        target: Device,
    },
    /// Add one-time keys.
    Upload {
        /// Whose.
        device: Device,
        /// Their ids, of the one kind.
        ec: Vec<u32>,
        /// Their ids, of the other.
        kem: Vec<u32>,
    },
}

/// What was answered to a request that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// It is stored.
    Send {
        /// The number it got.
        seq: u64,
        /// The hybrid clock it got.
        hlc: u64,
        /// The epoch of the store.
        epoch: u64,
        /// It was stored before.
        duplicate: bool,
    },
    /// The rows of the mailbox.
    Page {
        /// From the first on.
        rows: Vec<Row>,
        /// There are more after these.
        more: bool,
    },
    /// Rows are deleted.
    Ack {
        /// So many were there.
        removed: u64,
    },
    /// Keys are taken: none when the pool was empty, and the last resort had to do.
    Take {
        /// Of the one kind.
        ec: Option<u32>,
        /// Of the other.
        kem: Option<u32>,
    },
    /// Keys are added.
    Upload,
}

/// A message as a device gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Where it stands.
    #[serde(flatten)]
    pub place: Place,
    /// The hybrid clock.
    pub hlc: u64,
    /// The epoch of the store.
    pub epoch: u64,
    /// The sender's name for it.
    pub id: String,
    /// Who sent it.
    pub sender: Device,
    /// What it says, or a digest of that.
    pub body: String,
    /// The roster that it was made for.
    pub roster_version: u64,
}

/// A message in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Where it stands.
    #[serde(flatten)]
    pub place: Place,
    /// The hybrid clock.
    pub hlc: u64,
    /// The sender's name for it.
    pub id: String,
    /// The user who sent it.
    pub sender: String,
}

/// What is in the store at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dump {
    /// The epoch.
    pub epoch: u64,
    /// The last number of each thread.
    pub last: BTreeMap<String, u64>,
    /// Every message.
    pub stored: Vec<Stored>,
    /// The rows of each mailbox.
    pub mailboxes: BTreeMap<Device, Vec<Place>>,
    /// The one-time keys that each device has left, of both kinds.
    pub keys: BTreeMap<Device, (Vec<u32>, Vec<u32>)>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A thread was made.
    Thread {
        /// Its name.
        thread: String,
        /// Its members.
        members: Vec<String>,
        /// Their roster.
        roster_version: u64,
    },
    /// A request is about to leave.
    Invoke {
        /// The name that its outcome bears too.
        op: u64,
        /// What is asked.
        #[serde(flatten)]
        call: Call,
    },
    /// It was done.
    Ok {
        /// Which.
        op: u64,
        /// The answer.
        #[serde(flatten)]
        reply: Reply,
    },
    /// It was certainly not done.
    Fail {
        /// Which.
        op: u64,
        /// The relay's word for it.
        reason: String,
    },
    /// Nobody knows whether it was done.
    Unknown {
        /// Which.
        op: u64,
    },
    /// A row was pushed.
    Deliver {
        /// To whom.
        device: Device,
        /// When that connection was opened.
        since: At,
        /// What.
        #[serde(flatten)]
        row: Row,
    },
    /// The relay was killed.
    Killed,
    /// What the process may hold at most.
    Limits {
        /// Memory, in KiB.
        rss_kib: u64,
        /// Open files.
        files: u64,
    },
    /// What the process holds.
    Sample {
        /// Memory, in KiB.
        rss_kib: u64,
        /// Open files.
        files: u64,
    },
    /// A text that must not be in the log.
    Secret {
        /// The text.
        text: String,
    },
    /// What is in the store.
    Dump(Dump),
}

/// One line of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its place in the order of all lines.
    pub at: At,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

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
