//! I3: each message id has one position.

use std::collections::BTreeMap;

use super::{CheckResult, Violation, ensure};
use crate::history::History;

pub(super) fn check(history: &History) -> CheckResult {
    let mut checked = 0_usize;
    let mut first: BTreeMap<_, _> = BTreeMap::new();
    let mut stored = BTreeMap::new();
    for (send, place, _, duplicate) in history.placed() {
        let name = (send.sender.user(), send.id.as_str());
        let (first_place, body) = first.entry(name).or_insert_with(|| (place.clone(), &send.body));
        ensure(*first_place == place, || format!("{} has {first_place:?} and {place:?}", send.id))?;
        ensure(*body == &send.body, || format!("{} was accepted for two different messages", send.id))?;
        if !duplicate && stored.insert(name, ()).is_some() {
            return Err(Violation(format!("{} was reported as newly stored twice", send.id)));
        }
        checked = checked.saturating_add(1);
    }
    let mut there = BTreeMap::new();
    for row in &history.dump.stored {
        let again = there.insert((&row.sender, &row.id), &row.place);
        ensure(again.is_none(), || format!("{} is at {again:?} and {:?}", row.id, row.place))?;
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::super::examples::{modified, stored};
    use super::check;
    use crate::event::{Call, Reply};
    use crate::history::Outcome;

    #[test]
    fn a_repetition_with_another_position_is_found() {
        let twice = modified(|history| {
            let mut other = history.operations[1].clone();
            if let Outcome::Ok(Reply::Send { seq, duplicate, .. }) = &mut other.outcome {
                (*seq, *duplicate) = (7, true);
            }
            history.operations.push(other);
        });
        assert!(check(&twice).is_err());
    }

    #[test]
    fn a_message_that_was_stored_twice_is_found() {
        let anew = modified(|history| {
            let first = history.operations[1].clone();
            history.operations.push(first);
        });
        assert!(check(&anew).is_err());
        assert!(check(&modified(|history| history.dump.stored.push(stored("ada", "m1", 4)))).is_err());
    }

    #[test]
    fn one_id_for_two_messages_is_found() {
        let reused = modified(|history| {
            let mut first = history.operations[1].clone();
            if let (Call::Send(send), Outcome::Ok(Reply::Send { duplicate, .. })) =
                (&mut first.call, &mut first.outcome)
            {
                send.body = "another".into();
                *duplicate = true;
            }
            history.operations.push(first);
        });
        assert!(check(&reused).is_err());
    }
}
