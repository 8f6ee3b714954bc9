//! I1: every acknowledged message is in the store, at its position.

use std::collections::BTreeMap;

use super::{CheckResult, ensure};
use crate::event::Reply;
use crate::history::{History, Outcome};

pub(super) fn check(history: &History) -> CheckResult {
    let stored: BTreeMap<_, _> =
        history.dump.stored.iter().map(|row| ((row.sender.as_str(), row.id.as_str()), row)).collect();
    let mut checked = 0_usize;
    for (send, place, hlc, _) in history.placed() {
        let row = stored.get(&(send.sender.user(), send.id.as_str()));
        ensure(row.is_some_and(|row| row.place == place && row.hlc == hlc), || {
            format!("{} was acknowledged at {place:?}, where the store has {row:?}", send.id)
        })?;
        checked = checked.saturating_add(1);
    }
    for (_, operation) in history.sends() {
        if let Outcome::Ok(Reply::Send { epoch, .. }) = operation.outcome {
            ensure(epoch == history.dump.epoch, || format!("acknowledged in epoch {epoch}"))?;
        }
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::super::examples::modified;
    use super::check;

    #[test]
    fn a_lost_message_is_found() {
        assert!(check(&modified(|history| drop(history.dump.stored.remove(1)))).is_err());
    }

    #[test]
    fn a_message_at_another_position_is_found() {
        assert!(check(&modified(|history| history.dump.stored[0].place.seq = 9)).is_err());
        assert!(check(&modified(|history| history.dump.stored[0].hlc = 9)).is_err());
        assert!(check(&modified(|history| history.dump.epoch = 2)).is_err());
    }
}
