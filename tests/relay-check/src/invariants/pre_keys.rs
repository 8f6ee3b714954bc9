//! I6: no one-time key is handed out twice, and requests get one as long as there are any.
//!
//! A repetition with the same idempotency key may get the same keys again.

use std::collections::{BTreeMap, BTreeSet};

use super::{CheckResult, ensure};
use crate::event::{Call, Device, Reply};
use crate::history::{History, Operation, Outcome};

pub(super) fn check(history: &History) -> CheckResult {
    let ec = check_kind(history, |ec, _| ec, |ec, _| ec)?;
    let kem = check_kind(history, |_, kem| kem, |_, kem| kem)?;
    Ok(ec.saturating_add(kem))
}

fn check_kind(
    history: &History,
    given: fn(Option<u32>, Option<u32>) -> Option<u32>,
    uploaded: for<'a> fn(&'a [u32], &'a [u32]) -> &'a [u32],
) -> CheckResult {
    let mut owners: BTreeMap<(&Device, u32), _> = BTreeMap::new();
    let mut checked = 0_usize;
    for operation in &history.operations {
        let Some((target, requester, ec, kem)) = taken(operation) else { continue };
        match given(ec, kem) {
            Some(key) => {
                let owner = owners.entry((target, key)).or_insert(requester);
                ensure(*owner == requester, || {
                    format!("key {key} of {target:?} was handed out to {owner:?} and to {requester:?}")
                })?;
            }
            None => {
                // A repetition gets the first answer, which may be older than keys that were uploaded since.
                let first =
                    history.operations.iter().filter(|other| asks(other) == Some((target, requester)));
                let first = first.map(|other| other.invoked).min().unwrap_or(operation.invoked);
                let there = history.operations.iter().filter_map(|other| match &other.call {
                    Call::Upload { device, ec, kem }
                        if device == target && done(other) && other.ended < first =>
                    {
                        Some(uploaded(ec, kem).len())
                    }
                    _ => None,
                });
                let there: usize = there.sum();
                // Each request that was sent before this one was answered may have taken a key; repetitions count as
                // one request.
                let others: BTreeSet<_> = history
                    .operations
                    .iter()
                    .filter(|other| other.invoked < operation.ended)
                    .filter_map(|other| asks(other).filter(|(of, by)| *of == target && *by != requester))
                    .collect();
                ensure(there <= others.len(), || {
                    format!(
                        "{requester:?} got no key of {target:?}, which has {there}, with {} other requests",
                        others.len()
                    )
                })?;
            }
        }
        checked = checked.saturating_add(1);
    }
    for (device, (ec, kem)) in &history.dump.keys {
        for key in uploaded(ec, kem) {
            let owner = owners.get(&(device, *key));
            ensure(owner.is_none(), || {
                format!("key {key} of {device:?} was handed out to {owner:?}, but is still in the store")
            })?;
        }
    }
    Ok(checked)
}

fn done(operation: &Operation) -> bool {
    matches!(operation.outcome, Outcome::Ok(_))
}

/// The owner of the requested keys, and the request.
fn asks(operation: &Operation) -> Option<(&Device, (&Device, &str))> {
    match &operation.call {
        Call::Take { requester, idempotency, target } => Some((target, (requester, idempotency))),
        _ => None,
    }
}

type Taken<'a> = (&'a Device, (&'a Device, &'a str), Option<u32>, Option<u32>);

fn taken(operation: &Operation) -> Option<Taken<'_>> {
    let (target, requester) = asks(operation)?;
    match operation.outcome {
        Outcome::Ok(Reply::Take { ec, kem }) => Some((target, requester, ec, kem)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::{device, modified};
    use super::check;
    use crate::event::Reply;
    use crate::history::{History, Operation, Outcome};

    fn takes(history: &mut History) -> Vec<&mut Operation> {
        let takes = |operation: &&mut Operation| matches!(operation.outcome, Outcome::Ok(Reply::Take { .. }));
        history.operations.iter_mut().filter(takes).collect()
    }

    #[test]
    fn a_key_that_was_given_out_twice_is_found() {
        let twice =
            |ec, kem| modified(|history| takes(history)[1].outcome = Outcome::Ok(Reply::Take { ec, kem }));
        assert!(check(&twice(Some(1), None)).is_err());
        assert!(check(&twice(Some(2), Some(1))).is_err());
        assert!(
            check(&modified(|history| {
                history.dump.keys.insert(device("ben/1"), (vec![2], vec![]));
            }))
            .is_err()
        );
    }

    #[test]
    fn a_repeated_request_may_get_the_same_key() {
        let again = modified(|history| {
            let first = takes(history)[0].clone();
            history.operations.push(first);
        });
        assert!(check(&again).is_ok());
    }

    #[test]
    fn a_repeated_request_may_get_no_key_although_there_are_new_ones() {
        let repeated = |first_invoked| {
            modified(|history| {
                let none = Outcome::Ok(Reply::Take { ec: None, kem: None });
                let mut again = takes(history)[0].clone();
                let first = takes(history).remove(0);
                (first.invoked, first.outcome) = (first_invoked, Outcome::Unknown);
                again.outcome = none;
                history.operations.push(again);
            })
        };
        assert!(check(&repeated(0)).is_ok());
        assert!(check(&repeated(u64::MAX)).is_err());
    }

    #[test]
    fn a_denied_key_is_found() {
        let none = Outcome::Ok(Reply::Take { ec: None, kem: None });
        assert!(check(&modified(|history| takes(history)[0].outcome = none)).is_err());
    }
}
