//! The model of a thread: an append-only log with idempotent appends, and the mailboxes that it fills.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::tester::{Model, Timed, order};
use crate::event::{At, Call, Device, Place, Reply, Row, Send};
use crate::history::{History, Operation, Outcome, Seen};
use crate::invariants::CheckResult;

/// A text of the history, represented as a number, because states are copied and compared often.
type Symbol = usize;

/// The identity of a message: the user and the id.
type Name = (Symbol, Symbol);

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct State {
    /// The message with sequence number n is at index n - 1, with its contents.
    log: Rc<Vec<(Name, Symbol)>>,
    /// The waiting rows of each device.
    mailboxes: BTreeMap<Symbol, BTreeSet<u64>>,
}

#[derive(Debug, Clone)]
enum Op {
    Append {
        name: Name,
        body: Symbol,
        to: Vec<Symbol>,
        answer: Answer,
    },
    /// Rows were deleted. `removed` is their number, if it is known.
    Ack {
        device: Symbol,
        seqs: Vec<u64>,
        removed: Option<u64>,
    },
    /// A row that was in the mailbox.
    Row {
        device: Symbol,
        seq: u64,
        name: Name,
    },
    /// All rows that were in the mailbox, with their ids if they are known.
    Mailbox {
        device: Symbol,
        rows: Vec<(u64, Option<Name>)>,
    },
    /// All messages of the thread.
    Log {
        names: Vec<Name>,
    },
}

#[derive(Debug, Clone)]
enum Answer {
    /// It now has sequence number n.
    Stored(u64),
    /// It already had sequence number n.
    Duplicate(u64),
    /// Another message has this id.
    Reused,
    /// The answer was lost. A later answer revealed the sequence number, or there was none.
    Lost(Option<u64>),
}

struct Lane;

impl Model for Lane {
    type State = State;
    type Op = Op;

    fn step(op: &Op, state: &State) -> Option<State> {
        let waiting = |device: &Symbol| state.mailboxes.get(device);
        match op {
            Op::Append { name, body, to, answer } => append(state, (*name, *body), to, answer),
            Op::Ack { device, seqs, removed } => {
                let mut next = state.clone();
                let mailbox = next.mailboxes.entry(*device).or_default();
                let count = seqs.iter().filter(|seq| mailbox.remove(seq)).count();
                removed.is_none_or(|removed| u64::try_from(count) == Ok(removed)).then_some(next)
            }
            Op::Row { device, seq, name } => {
                let there = waiting(device).is_some_and(|rows| rows.contains(seq));
                (there && at(state, *seq) == Some(*name)).then(|| state.clone())
            }
            Op::Mailbox { device, rows } => {
                let all = waiting(device).into_iter().flatten().eq(rows.iter().map(|(seq, _)| seq));
                let named = rows.iter().all(|(seq, name)| name.is_none() || at(state, *seq) == *name);
                (all && named).then(|| state.clone())
            }
            Op::Log { names } => state.log.iter().map(|(name, _)| name).eq(names).then(|| state.clone()),
        }
    }
}

fn append(state: &State, (name, body): (Name, Symbol), to: &[Symbol], answer: &Answer) -> Option<State> {
    let before = (1..).zip(state.log.iter()).find(|(_, (earlier, _))| *earlier == name);
    let expected = match (before, answer) {
        (_, Answer::Lost(None)) => true,
        (None, Answer::Stored(seq) | Answer::Lost(Some(seq))) => {
            u64::try_from(state.log.len()).ok()?.checked_add(1) == Some(*seq)
        }
        (Some((seq, _)), Answer::Lost(Some(said))) => seq == *said,
        (Some((seq, (_, earlier))), Answer::Duplicate(said)) => seq == *said && *earlier == body,
        (Some((_, (_, earlier))), Answer::Reused) => *earlier != body,
        _ => false,
    };
    if !expected {
        return None;
    }
    let mut next = state.clone();
    if before.is_none() {
        Rc::make_mut(&mut next.log).push((name, body));
        let seq = u64::try_from(next.log.len()).ok()?;
        for device in to {
            next.mailboxes.entry(*device).or_default().insert(seq);
        }
    }
    Some(next)
}

fn at(state: &State, seq: u64) -> Option<Name> {
    let index = usize::try_from(seq.checked_sub(1)?).ok()?;
    state.log.get(index).map(|(name, _)| *name)
}

pub(super) fn check(history: &History) -> CheckResult {
    let mut checked = 0_usize;
    for thread in history.threads.keys() {
        let operations = Recorded { history, thread, interner: Interner::default() }.operations();
        checked = checked.saturating_add(order::<Lane>(thread, &operations)?);
    }
    Ok(checked)
}

/// Assigns numbers to texts.
#[derive(Debug, Default)]
struct Interner<'a>(BTreeMap<&'a str, Symbol>);

impl<'a> Interner<'a> {
    fn number(&mut self, text: &'a str) -> Symbol {
        let next = self.0.len();
        *self.0.entry(text).or_insert(next)
    }
}

/// The operations on one thread, converted for the model.
struct Recorded<'a> {
    history: &'a History,
    thread: &'a str,
    interner: Interner<'a>,
}

impl<'a> Recorded<'a> {
    fn operations(mut self) -> Vec<Timed<Op>> {
        let mut timed = Vec::new();
        for operation in &self.history.operations {
            match &operation.call {
                Call::Send(send) if send.thread == self.thread => timed.extend(self.send(send, operation)),
                Call::Ack { device, rows } => timed.extend(self.ack(device, rows, operation)),
                Call::Page { device } => timed.extend(self.page(device, operation)),
                _ => {}
            }
        }
        timed.extend(self.pushed());
        timed.extend(self.end());
        timed
    }

    fn send(&mut self, send: &'a Send, operation: &Operation) -> Option<Timed<Op>> {
        let (answer, ended) = match &operation.outcome {
            Outcome::Ok(Reply::Send { seq, duplicate: false, .. }) => (Answer::Stored(*seq), operation.ended),
            Outcome::Ok(Reply::Send { seq, duplicate: true, .. }) => {
                (Answer::Duplicate(*seq), operation.ended)
            }
            Outcome::Fail(reason) if reason == "msg_id_reuse" => (Answer::Reused, operation.ended),
            Outcome::Fail(_) | Outcome::Ok(_) => return None,
            // The message was never stored, whatever the answer was.
            Outcome::Unknown if send.ephemeral => return None,
            Outcome::Unknown => resolve_lost_send(self.history, send, operation)?,
        };
        let (name, body) = (self.name(send.sender.user(), &send.id), self.interner.number(&send.body));
        let to = send.to.iter().map(|device| self.interner.number(&device.0)).collect();
        Some(Timed { invoked: operation.invoked, ended, op: Op::Append { name, body, to, answer } })
    }

    fn ack(&mut self, device: &'a Device, rows: &[Place], operation: &Operation) -> Option<Timed<Op>> {
        let seqs = self.here(rows);
        if seqs.is_empty() {
            return None;
        }
        let (removed, ended) = match operation.outcome {
            Outcome::Ok(Reply::Ack { removed }) if seqs.len() == rows.len() => {
                (Some(removed), operation.ended)
            }
            Outcome::Ok(_) => (None, operation.ended),
            Outcome::Unknown => (None, latest_effect(self.history, device, rows, operation)?),
            Outcome::Fail(_) => return None,
        };
        let op = Op::Ack { device: self.interner.number(&device.0), seqs, removed };
        Some(Timed { invoked: operation.invoked, ended, op })
    }

    fn page(&mut self, device: &'a Device, operation: &'a Operation) -> Vec<Timed<Op>> {
        let Outcome::Ok(Reply::Page { rows, more }) = &operation.outcome else { return Vec::new() };
        let thread = self.thread;
        let mine = rows.iter().filter(|row| row.place.thread == thread);
        let ops = if *more {
            mine.map(|row| self.row(device, row)).collect()
        } else {
            let named =
                mine.map(|row| (row.place.seq, Some(self.name(row.sender.user(), &row.id)))).collect();
            vec![Op::Mailbox { device: self.interner.number(&device.0), rows: named }]
        };
        let Operation { invoked, ended, .. } = *operation;
        ops.into_iter().map(|op| Timed { invoked, ended, op }).collect()
    }

    /// Rows that were pushed. Each was in the mailbox when its device received it: only the device deletes rows, and
    /// not before it has received them. A row that it had already asked to delete may have been on its way since the
    /// connection was opened.
    fn pushed(&mut self) -> Vec<Timed<Op>> {
        let deleted = |seen: &Seen| {
            self.history.operations.iter().any(|operation| {
                operation.invoked < seen.at
                    && matches!(&operation.call, Call::Ack { device, rows }
                        if *device == seen.device && rows.contains(&seen.row.place))
            })
        };
        let mine =
            self.history.seen.iter().filter(|seen| seen.pushed && seen.row.place.thread == self.thread);
        let mine: Vec<_> =
            mine.map(|seen| (seen, if deleted(seen) { seen.since } else { seen.at })).collect();
        mine.into_iter()
            .map(|(seen, invoked)| {
                let op = self.row(&seen.device, &seen.row);
                Timed { invoked, ended: seen.at, op }
            })
            .collect()
    }

    /// The contents of the store at the end.
    fn end(&mut self) -> Vec<Timed<Op>> {
        let history = self.history;
        let mut stored: Vec<_> =
            history.dump.stored.iter().filter(|row| row.place.thread == self.thread).collect();
        stored.sort_by_key(|row| row.place.seq);
        let names = stored.iter().map(|row| self.name(&row.sender, &row.id)).collect();
        let mut ops = vec![Op::Log { names }];
        if !(1..).zip(&stored).all(|(seq, row)| row.place.seq == seq) {
            // This position does not exist in any log, so that there is no order.
            ops.push(Op::Row { device: Symbol::MAX, seq: 0, name: (Symbol::MAX, Symbol::MAX) });
        }
        let devices: BTreeSet<&Device> = history
            .sends()
            .filter(|(send, _)| send.thread == self.thread)
            .flat_map(|(send, _)| &send.to)
            .collect();
        for device in devices {
            let rows = history.dump.mailboxes.get(device).map(|rows| self.here(rows)).unwrap_or_default();
            let rows = rows.into_iter().map(|seq| (seq, None)).collect();
            ops.push(Op::Mailbox { device: self.interner.number(&device.0), rows });
        }
        // This takes place after every answer, and before the end of operations that were never answered.
        let (invoked, ended) = (At::MAX.saturating_sub(2), At::MAX.saturating_sub(1));
        ops.into_iter().map(|op| Timed { invoked, ended, op }).collect()
    }

    fn row(&mut self, device: &'a Device, row: &'a Row) -> Op {
        let name = self.name(row.sender.user(), &row.id);
        Op::Row { device: self.interner.number(&device.0), seq: row.place.seq, name }
    }

    fn name(&mut self, user: &'a str, id: &'a str) -> Name {
        (self.interner.number(user), self.interner.number(id))
    }

    /// The sequence numbers of the positions in this thread, in order.
    fn here(&self, places: &[Place]) -> Vec<u64> {
        let mine = places.iter().filter(|place| place.thread == self.thread);
        let mut seqs: Vec<u64> = mine.map(|place| place.seq).collect();
        seqs.sort_unstable();
        seqs
    }
}

/// Determines the outcome of a send whose answer was lost, and until when it may have taken effect. If a later answer
/// says that the message was stored before, it took effect before that answer. If it says that the message is stored
/// only now, this send had no effect (`None`). Without a later answer, it may have taken effect at any time or never.
fn resolve_lost_send(history: &History, send: &Send, lost: &Operation) -> Option<(Answer, At)> {
    let later = history.sends().find_map(|(other, operation)| match operation.outcome {
        Outcome::Ok(Reply::Send { seq, duplicate, .. })
            if operation.invoked > lost.invoked
                && (other.sender.user(), &other.id) == (send.sender.user(), &send.id) =>
        {
            Some((duplicate, seq, operation.ended))
        }
        _ => None,
    });
    match later {
        None => Some((Answer::Lost(None), At::MAX)),
        Some((true, seq, ended)) => Some((Answer::Lost(Some(seq)), ended)),
        Some((false, ..)) => None,
    }
}

/// Determines until when an acknowledgement whose answer was lost may have taken effect: until the next kill after the
/// client gave up, at the latest. If one of its rows was received again on a connection opened after that, or is in the
/// store at the end, it had no effect (`None`).
fn latest_effect(history: &History, device: &Device, rows: &[Place], lost: &Operation) -> Option<At> {
    let again = history
        .seen
        .iter()
        .any(|seen| seen.device == *device && seen.since >= lost.ended && rows.contains(&seen.row.place));
    let mut left = history.dump.mailboxes.get(device).into_iter().flatten();
    if again || left.any(|place| rows.contains(place)) {
        return None;
    }
    Some(history.kills.iter().copied().find(|at| *at > lost.ended).unwrap_or(At::MAX))
}
