//! I4: every device has received every message, exactly once by message id, and no row has left its mailbox except by
//! being acknowledged. (The mailboxes of a history are small and young, so nothing is trimmed or expires.)

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, ensure};
use crate::event::Call;
use crate::history::History;

pub(super) fn judge(history: &History) -> Found {
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
    let mut judged = 0_usize;
    for row in &history.dump.stored {
        let to = sent.get(&(row.sender.as_str(), row.id.as_str()));
        ensure(to.is_some(), || format!("{} was never sent", row.id))?;
        for device in to.into_iter().copied().flatten() {
            let (it, name) = ((device, &row.place), &row.id);
            ensure(got.contains(&it), || format!("{device:?} never got {name}"))?;
            let gone = !waiting.contains(&it);
            ensure(!gone || acknowledged.contains(&it), || format!("{device:?} lost {name}"))?;
            judged = judged.saturating_add(1);
        }
    }
    once(history)?;
    Ok(judged)
}

/// Each id has one position, and the row from there is what was sent with that id, and was not received before it was
/// sent.
fn once(history: &History) -> Result<(), super::Violation> {
    let stored: BTreeMap<_, _> = history.dump.stored.iter().map(|row| (&row.place, row)).collect();
    for seen in &history.seen {
        let row = &seen.row;
        let (user, id) = (row.sender.user(), row.id.as_str());
        let there = stored.get(&row.place).map(|row| (row.sender.as_str(), row.id.as_str()));
        ensure(there == Some((user, id)), || format!("{id} of {user} came as {:?}: {there:?}", row.place))?;
        let sent = history.sends().any(|(send, operation)| {
            operation.invoked < seen.at
                && (&send.sender, &send.id, &send.body) == (&row.sender, &row.id, &row.body)
        });
        ensure(sent, || format!("{id} came and was not sent like this before"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::examples::broken;
    use super::judge;

    #[test]
    fn a_message_that_never_came_is_found() {
        assert!(judge(&broken(|history| drop(history.seen.remove(0)))).is_err());
    }

    #[test]
    fn a_row_that_left_without_an_acknowledgement_is_found() {
        assert!(judge(&broken(|history| history.dump.mailboxes.clear())).is_err());
    }

    #[test]
    fn a_message_that_came_as_another_is_found() {
        assert!(judge(&broken(|history| history.seen[0].row.id = "m9".into())).is_err());
        assert!(judge(&broken(|history| history.seen[1].row.place.seq = 1)).is_err());
        let mut again = super::super::examples::history();
        let mut changed = again.seen[0].clone();
        changed.row.body = "another".into();
        again.seen.push(changed);
        assert!(judge(&again).is_err());
    }

    #[test]
    fn a_message_that_came_before_it_was_sent_is_found() {
        assert!(judge(&broken(|history| history.seen[0].at = 3)).is_err());
    }

    #[test]
    fn a_message_that_nobody_sent_is_found() {
        assert!(judge(&broken(|history| history.dump.stored[0].id = "m9".into())).is_err());
    }
}
