//! I1: what was acknowledged is in the store, at its position.

use std::collections::BTreeMap;

use super::{Found, ensure};
use crate::event::Reply;
use crate::history::{History, Outcome};

pub(super) fn judge(history: &History) -> Found {
    let stored: BTreeMap<_, _> =
        history.dump.stored.iter().map(|row| ((row.sender.as_str(), row.id.as_str()), row)).collect();
    let mut judged = 0_usize;
    for (send, place, hlc, _) in history.placed() {
        let row = stored.get(&(send.sender.user(), send.id.as_str()));
        ensure(row.is_some_and(|row| row.place == place && row.hlc == hlc), || {
            format!("{} was acknowledged as {place:?} and is not there: {row:?}", send.id)
        })?;
        judged = judged.saturating_add(1);
    }
    for (_, operation) in history.sends() {
        if let Outcome::Ok(Reply::Send { epoch, .. }) = operation.outcome {
            ensure(epoch == history.dump.epoch, || format!("acknowledged in epoch {epoch}"))?;
        }
    }
    Ok(judged)
}

#[cfg(test)]
mod tests {
    use super::super::examples::broken;
    use super::judge;

    #[test]
    fn a_lost_message_is_found() {
        assert!(judge(&broken(|history| drop(history.dump.stored.remove(1)))).is_err());
    }

    #[test]
    fn a_message_in_another_place_is_found() {
        assert!(judge(&broken(|history| history.dump.stored[0].place.seq = 9)).is_err());
        assert!(judge(&broken(|history| history.dump.stored[0].hlc = 9)).is_err());
        assert!(judge(&broken(|history| history.dump.epoch = 2)).is_err());
    }
}
