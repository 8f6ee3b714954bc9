//! I12: requests that are reported as carried out were carried out, and those reported as refused were not. (I1 covers
//! acknowledged messages, and I6 covers taken keys.)

use std::collections::{BTreeMap, BTreeSet};

use super::{CheckResult, ensure};
use crate::event::{Call, Place, Reply};
use crate::history::{History, Outcome};

pub(super) fn check(history: &History) -> CheckResult {
    let refused = refused_sends(history)?;
    let acknowledged = acknowledged_rows(history)?;
    let missing = whole_pages(history)?;
    Ok(refused.saturating_add(acknowledged).saturating_add(missing))
}

/// A page that claims to be complete contains every row that existed before it was requested and that its device had
/// not asked to delete before the page was received.
fn whole_pages(history: &History) -> CheckResult {
    let mut checked = 0_usize;
    for page in &history.operations {
        let (Call::Page { device }, Outcome::Ok(Reply::Page { rows, more: false })) =
            (&page.call, &page.outcome)
        else {
            continue;
        };
        let deleted: BTreeSet<&Place> = history
            .operations
            .iter()
            .filter(|operation| operation.invoked < page.ended)
            .filter_map(|operation| match &operation.call {
                Call::Ack { device: other, rows } if other == device => Some(rows),
                _ => None,
            })
            .flatten()
            .collect();
        let before = history
            .sends()
            .filter(|(send, operation)| operation.ended < page.invoked && send.to.contains(device));
        for (send, operation) in before {
            let Outcome::Ok(Reply::Send { seq, .. }) = operation.outcome else { continue };
            let place = Place { thread: send.thread.clone(), seq };
            let there = rows.iter().any(|row| row.place == place);
            ensure(there || deleted.contains(&place), || {
                format!("{place:?} was in the mailbox of {device:?}, but not in its page")
            })?;
        }
        checked = checked.saturating_add(1);
    }
    Ok(checked)
}

/// A message that was refused at every attempt is not stored anywhere.
fn refused_sends(history: &History) -> CheckResult {
    let mut refused: BTreeMap<_, bool> = BTreeMap::new();
    for (send, operation) in history.sends() {
        let always = refused.entry((send.sender.user(), send.id.as_str())).or_insert(true);
        *always &= matches!(operation.outcome, Outcome::Fail(_));
    }
    refused.retain(|_, always| *always);
    let there = history.dump.stored.iter().map(|row| (row.sender.as_str(), row.id.as_str()));
    let came = history.seen.iter().map(|seen| (seen.row.sender.user(), seen.row.id.as_str()));
    for (user, id) in there.chain(came) {
        ensure(!refused.contains_key(&(user, id)), || format!("{id} of {user} was refused, but is stored"))?;
    }
    Ok(refused.len())
}

/// A row whose deletion was acknowledged is not returned to later requests.
fn acknowledged_rows(history: &History) -> CheckResult {
    let mut gone: BTreeMap<_, u64> = BTreeMap::new();
    for operation in &history.operations {
        if let (Call::Ack { device, rows }, Outcome::Ok(_)) = (&operation.call, &operation.outcome) {
            for place in rows {
                let first = gone.entry((device, place)).or_insert(operation.ended);
                *first = (*first).min(operation.ended);
            }
        }
    }
    for (device, rows) in &history.dump.mailboxes {
        let rows: BTreeSet<_> = rows.iter().map(|place| (device, place)).collect();
        let back = rows.iter().find(|row| gone.contains_key(*row));
        ensure(back.is_none(), || format!("acknowledged but still stored: {back:?}"))?;
    }
    for seen in &history.seen {
        let when = gone.get(&(&seen.device, &seen.row.place));
        ensure(when.is_none_or(|when| seen.since < *when), || {
            format!("{:?} received {:?} after it was deleted", seen.device, seen.row.place)
        })?;
    }
    Ok(gone.len())
}

#[cfg(test)]
mod tests {
    use super::super::examples::{device, modified, place, row, stored};
    use super::check;
    use crate::event::{Call, Reply};
    use crate::history::{Operation, Outcome, Seen};

    #[test]
    fn a_message_that_was_refused_and_stored_is_found() {
        assert!(check(&modified(|history| history.dump.stored.push(stored("ada", "typing", 4)))).is_err());
        let came = modified(|history| history.seen[0].row.id = "typing".into());
        assert!(check(&came).is_err());
    }

    #[test]
    fn a_row_that_remains_after_its_acknowledgement_is_found() {
        let still =
            modified(|history| history.dump.mailboxes.get_mut(&device("ben/1")).unwrap().push(place(1)));
        assert!(check(&still).is_err());
    }

    #[test]
    fn a_page_that_omits_a_row_is_found() {
        let page = |device_name: &str| {
            modified(|history| {
                let call = Call::Page { device: device(device_name) };
                let outcome = Outcome::Ok(Reply::Page { rows: Vec::new(), more: false });
                history.operations.push(Operation { invoked: 70, ended: 71, call, outcome });
            })
        };
        assert!(check(&page("ben/1")).is_err());
        assert!(check(&page("ada/1")).is_ok(), "the device has deleted its row");
    }

    #[test]
    fn a_row_received_after_its_deletion_is_found_unless_its_connection_is_older() {
        let again = |since| {
            modified(|history| {
                let (device, row) = (device("ben/1"), row("ada/1", "m1", 1));
                history.seen.push(Seen { at: 80, since, device, pushed: true, row });
            })
        };
        assert!(check(&again(70)).is_err());
        assert!(check(&again(5)).is_ok());
    }
}
