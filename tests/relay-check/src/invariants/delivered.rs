//! I4: every device has received every message, exactly once by message id, and no row has left its mailbox except by
//! being acknowledged. (The mailboxes of a history are small and young, so nothing is trimmed or expires.)

use std::collections::{BTreeMap, BTreeSet};

use super::{CheckResult, ensure};
use crate::event::Call;
use crate::history::History;

pub(super) fn check(history: &History) -> CheckResult {
    let got: BTreeSet<_> = history.seen.iter().map(|seen| (&seen.device, &seen.row.place)).collect();
    let waiting: BTreeSet<_> = history
        .dump
        .mailboxes
        .iter()
        .flat_map(|(device, rows)| rows.iter().map(move |place| (device, place)))
        .collect();
    let acknowledged: BTreeSet<_> = history
        .operations
        .iter()
        .filter_map(|operation| match &operation.call {
            Call::Ack { device, rows } => Some(rows.iter().map(move |place| (device, place))),
            _ => None,
        })
        .flatten()
        .collect();
    let sent: BTreeMap<_, _> =
        history.sends().map(|(send, _)| ((send.sender.user(), send.id.as_str()), &send.to)).collect();
    let mut checked = 0_usize;
    for row in &history.dump.stored {
        let to = sent.get(&(row.sender.as_str(), row.id.as_str()));
        ensure(to.is_some(), || format!("{} was never sent", row.id))?;
        for device in to.into_iter().copied().flatten() {
            let (it, name) = ((device, &row.place), &row.id);
            ensure(got.contains(&it), || format!("{device:?} never received {name}"))?;
            let gone = !waiting.contains(&it);
            ensure(!gone || acknowledged.contains(&it), || format!("{device:?} lost {name}"))?;
            checked = checked.saturating_add(1);
        }
    }
    once(history)?;
    Ok(checked)
}

/// Each id has one position, the row there has the contents that were sent with that id, and it was not received before
/// it was sent.
fn once(history: &History) -> Result<(), super::Violation> {
    let stored: BTreeMap<_, _> = history.dump.stored.iter().map(|row| (&row.place, row)).collect();
    for seen in &history.seen {
        let row = &seen.row;
        let (user, id) = (row.sender.user(), row.id.as_str());
        let there = stored.get(&row.place).map(|row| (row.sender.as_str(), row.id.as_str()));
        ensure(there == Some((user, id)), || {
            format!("{id} of {user} was received at {:?}, where {there:?} is", row.place)
        })?;
        let sent = history.sends().any(|(send, operation)| {
            operation.invoked < seen.at
                && (&send.sender, &send.id, &send.body) == (&row.sender, &row.id, &row.body)
        });
        ensure(sent, || format!("{id} was received, but was not sent with these contents before"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::examples::modified;
    use super::check;

    #[test]
    fn a_message_that_was_never_received_is_found() {
        assert!(check(&modified(|history| drop(history.seen.remove(0)))).is_err());
    }

    #[test]
    fn a_row_removed_without_an_acknowledgement_is_found() {
        assert!(check(&modified(|history| history.dump.mailboxes.clear())).is_err());
    }

    #[test]
    fn a_message_received_as_another_is_found() {
        assert!(check(&modified(|history| history.seen[0].row.id = "m9".into())).is_err());
        assert!(check(&modified(|history| history.seen[1].row.place.seq = 1)).is_err());
        let mut again = super::super::examples::history();
        let mut changed = again.seen[0].clone();
        changed.row.body = "another".into();
        again.seen.push(changed);
        assert!(check(&again).is_err());
    }

    #[test]
    fn a_message_received_before_it_was_sent_is_found() {
        assert!(check(&modified(|history| history.seen[0].at = 3)).is_err());
    }

    #[test]
    fn a_message_that_nobody_sent_is_found() {
        assert!(check(&modified(|history| history.dump.stored[0].id = "m9".into())).is_err());
    }
}
