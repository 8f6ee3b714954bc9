//! I13: mail that was acknowledged as stored reaches each device that it names, under one number, and leaves a mailbox only by
//! being acknowledged. It is stored once.

use std::collections::{BTreeMap, BTreeSet};

use super::{CheckResult, ensure};
use crate::event::{Call, Reply};
use crate::history::{History, Outcome};

pub(super) fn check(history: &History) -> CheckResult {
    let (mut by_number, mut by_id) = (BTreeMap::new(), BTreeMap::new());
    for (at, device, seq, id) in &history.mail {
        let sent = history.operations.iter().any(|operation| {
            let not_refused = !matches!(operation.outcome, Outcome::Fail(_));
            not_refused
                && operation.invoked < *at
                && matches!(&operation.call, Call::Mail(mail)
                    if (&mail.sender, &mail.id) == (&id.0, &id.1) && mail.to.contains(device))
        });
        ensure(sent, || format!("{device:?} received {id:?}, which was not sent to it"))?;
        let other = by_number.insert((device, *seq), id);
        ensure(other.is_none_or(|other| other == id), || format!("{device:?} has two mails {seq}"))?;
        let other = by_id.insert((device, id), *seq);
        ensure(other.is_none_or(|other| other == *seq), || format!("{device:?} has {id:?} twice"))?;
    }
    let mut stored = BTreeSet::new();
    for operation in &history.operations {
        let (Call::Mail(mail), Outcome::Ok(Reply::Mail { duplicate })) =
            (&operation.call, &operation.outcome)
        else {
            continue;
        };
        let id = (mail.sender.clone(), mail.id.clone());
        for device in &mail.to {
            ensure(by_id.contains_key(&(device, &id)), || format!("{device:?} never received {id:?}"))?;
        }
        ensure(*duplicate || stored.insert(id), || format!("{} was stored twice", mail.id))?;
    }
    let acknowledged: BTreeSet<_> = history
        .operations
        .iter()
        .filter_map(|operation| match &operation.call {
            Call::AckMail { device, seqs } => Some(seqs.iter().map(move |seq| (device, *seq))),
            _ => None,
        })
        .flatten()
        .collect();
    for (device, seq) in by_number.keys() {
        let waits = history.dump.mail.get(device).is_some_and(|seqs| seqs.contains(seq));
        ensure(waits || acknowledged.contains(&(*device, *seq)), || format!("{device:?} lost mail {seq}"))?;
    }
    Ok(stored.len())
}

#[cfg(test)]
mod tests {
    use super::super::examples::{device, modified};
    use super::check;
    use crate::event::{Call, Reply};
    use crate::history::Outcome;

    #[test]
    fn mail_that_was_lost_is_found() {
        assert!(check(&modified(|history| drop(history.mail.remove(0)))).is_err());
        assert!(check(&modified(|history| history.dump.mail.clear())).is_err());
    }

    #[test]
    fn mail_with_two_numbers_and_a_number_with_two_mails_are_found() {
        let again = |seq| {
            modified(move |history| {
                let (at, device, _, id) = history.mail[0].clone();
                history.mail.push((at, device, seq, id));
            })
        };
        assert!(check(&again(1)).is_ok(), "it may be pushed again");
        assert!(check(&again(3)).is_err());
        assert!(check(&modified(|history| history.mail[1].2 = 1)).is_err());
    }

    #[test]
    fn mail_that_was_stored_twice_refused_or_sent_to_others_is_found() {
        let twice = modified(|history| {
            for operation in &mut history.operations {
                if let Outcome::Ok(Reply::Mail { duplicate }) = &mut operation.outcome {
                    *duplicate = false;
                }
            }
        });
        assert!(check(&twice).is_err());
        let refused = modified(|history| {
            for operation in &mut history.operations {
                if matches!(&operation.call, Call::Mail(mail) if mail.id == "k2") {
                    operation.outcome = Outcome::Fail("not_accepted".to_owned());
                }
            }
        });
        assert!(check(&refused).is_err());
        assert!(check(&modified(|history| history.mail[0].1 = device("ada/1"))).is_err());
    }
}
