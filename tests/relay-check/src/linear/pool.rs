//! The model of a pool of one-time keys: each is added once and taken once.

use std::collections::{BTreeMap, BTreeSet};

use super::tester::{Model, Timed, order};
use crate::event::{At, Call, Device, Reply};
use crate::history::{History, Operation, Outcome};
use crate::invariants::CheckResult;

/// The requester and the idempotency key.
type Request<'a> = (&'a Device, &'a str);

/// A request as a number, because states are copied and compared often.
type Number = usize;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct State {
    keys: BTreeSet<u32>,
    /// All keys that were ever added; one that was taken does not return if it is added again.
    known: BTreeSet<u32>,
    /// What each request got, in case it is repeated.
    given: BTreeMap<Number, Option<u32>>,
    /// The number of keys that may have been taken by requests without an answer.
    perhaps: usize,
}

#[derive(Debug, Clone)]
enum Op {
    Put(Vec<u32>),
    Take {
        request: Number,
        got: Option<u32>,
    },
    /// The answer was lost.
    Lost(Number),
    /// All keys that are left.
    Left(Vec<u32>),
}

struct Pool;

impl Model for Pool {
    type State = State;
    type Op = Op;

    fn step(op: &Op, state: &State) -> Option<State> {
        let mut next = state.clone();
        match op {
            Op::Put(keys) => {
                let new: Vec<u32> = keys.iter().copied().filter(|key| next.known.insert(*key)).collect();
                next.keys.extend(new);
            }
            Op::Take { request, got } => {
                if state.given.get(request) == Some(got) {
                    return Some(next);
                }
                let possible = match got {
                    Some(key) => next.keys.remove(key),
                    None => state.keys.len() <= state.perhaps,
                };
                if !possible {
                    return None;
                }
                next.given.insert(*request, *got);
            }
            Op::Lost(request) => {
                if !state.given.contains_key(request) {
                    next.perhaps = state.perhaps.saturating_add(1);
                }
            }
            Op::Left(keys) => {
                let left = keys.iter().all(|key| state.keys.contains(key));
                let gone = state.keys.len().checked_sub(keys.len())?;
                if !left || gone > state.perhaps {
                    return None;
                }
            }
        }
        Some(next)
    }
}

pub(super) fn check(history: &History) -> CheckResult {
    let targets: BTreeSet<&Device> = history
        .operations
        .iter()
        .filter_map(|operation| match &operation.call {
            Call::Upload { device, .. } => Some(device),
            _ => None,
        })
        .collect();
    let mut checked = 0_usize;
    for target in targets {
        let kinds: [(&str, Kind); 2] = [("ec", |ec, _| ec), ("kem", |_, kem| kem)];
        for (name, kind) in kinds {
            let operations = operations(history, target, kind);
            let found = order::<Pool>(&format!("{name} keys of {}", target.0), &operations)?;
            checked = checked.saturating_add(found);
        }
    }
    Ok(checked)
}

/// One of the two kinds of keys.
type Kind = for<'a> fn(&'a [u32], &'a [u32]) -> &'a [u32];

fn operations(history: &History, of: &Device, kind: Kind) -> Vec<Timed<Op>> {
    let mut numbers = BTreeMap::new();
    let mut timed: Vec<_> = history
        .operations
        .iter()
        .filter_map(|operation| convert(history, operation, of, kind, &mut numbers))
        .collect();
    if let Some((ec, kem)) = history.dump.keys.get(of) {
        let (invoked, ended) = (At::MAX.saturating_sub(2), At::MAX.saturating_sub(1));
        timed.push(Timed { invoked, ended, op: Op::Left(kind(ec, kem).to_vec()) });
    }
    timed
}

fn convert<'a>(
    history: &History,
    operation: &'a Operation,
    of: &Device,
    kind: Kind,
    numbers: &mut BTreeMap<Request<'a>, Number>,
) -> Option<Timed<Op>> {
    let (invoked, ended) = (operation.invoked, operation.ended);
    let one = |ec: Option<u32>, kem: Option<u32>| kind(ec.as_slice(), kem.as_slice()).first().copied();
    match (&operation.call, &operation.outcome) {
        (Call::Upload { device, ec, kem }, outcome) if device == of => match outcome {
            Outcome::Ok(_) => Some(Timed { invoked, ended, op: Op::Put(kind(ec, kem).to_vec()) }),
            // The keys were added by then or never; a repetition shows which.
            Outcome::Unknown => Some(Timed { invoked, ended: At::MAX, op: Op::Put(kind(ec, kem).to_vec()) }),
            Outcome::Fail(_) => None,
        },
        (Call::Take { requester, idempotency, target }, outcome) if target == of => {
            let asked = (requester, idempotency.as_str());
            let next = numbers.len();
            let request = *numbers.entry(asked).or_insert(next);
            match outcome {
                Outcome::Ok(Reply::Take { ec, kem }) => {
                    Some(Timed { invoked, ended, op: Op::Take { request, got: one(*ec, *kem) } })
                }
                Outcome::Unknown => match later(history, operation, asked) {
                    // One of the two requests took the keys that the repetition returned.
                    Some((ec, kem, ended)) => {
                        Some(Timed { invoked, ended, op: Op::Take { request, got: one(ec, kem) } })
                    }
                    None => Some(Timed { invoked, ended: At::MAX, op: Op::Lost(request) }),
                },
                _ => None,
            }
        }
        _ => None,
    }
}

/// The keys that the same request got when it was repeated.
fn later(history: &History, lost: &Operation, asked: Request<'_>) -> Option<(Option<u32>, Option<u32>, At)> {
    history.operations.iter().find_map(|operation| match (&operation.call, &operation.outcome) {
        (Call::Take { requester, idempotency, .. }, Outcome::Ok(Reply::Take { ec, kem }))
            if operation.invoked > lost.invoked && (requester, idempotency.as_str()) == asked =>
        {
            Some((*ec, *kem, operation.ended))
        }
        _ => None,
    })
}
