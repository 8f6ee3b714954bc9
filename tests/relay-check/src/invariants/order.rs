//! I5: a device first receives the messages of a thread in their order.

use std::collections::BTreeMap;

use super::{Found, ensure};
use crate::history::History;

pub(super) fn judge(history: &History) -> Found {
    let mut newest: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    let mut judged = 0_usize;
    for seen in &history.seen {
        let place = &seen.row.place;
        let seqs = newest.entry((&seen.device, &place.thread)).or_default();
        if seqs.contains(&place.seq) {
            continue;
        }
        ensure(seqs.last().is_none_or(|last| *last < place.seq), || {
            format!("{:?} got {place:?} for the first time after {:?}", seen.device, seqs.last())
        })?;
        seqs.push(place.seq);
        judged = judged.saturating_add(1);
    }
    Ok(judged)
}

#[cfg(test)]
mod tests {
    use super::super::examples::broken;
    use super::judge;

    #[test]
    fn a_message_that_was_overtaken_is_found() {
        assert!(judge(&broken(|history| history.seen.swap(0, 1))).is_err());
    }

    #[test]
    fn what_comes_again_may_come_late() {
        let again = broken(|history| {
            let first = history.seen[0].clone();
            history.seen.push(first);
        });
        assert_eq!(judge(&again), Ok(3));
    }
}
