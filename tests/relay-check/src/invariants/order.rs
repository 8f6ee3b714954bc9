//! I5: a device first receives the messages of a thread in their order.

use std::collections::BTreeMap;

use super::{CheckResult, ensure};
use crate::history::History;

pub(super) fn check(history: &History) -> CheckResult {
    let mut newest: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    let mut checked = 0_usize;
    for seen in &history.seen {
        let place = &seen.row.place;
        let seqs = newest.entry((&seen.device, &place.thread)).or_default();
        if seqs.contains(&place.seq) {
            continue;
        }
        ensure(seqs.last().is_none_or(|last| *last < place.seq), || {
            format!("{:?} first received {place:?} after {:?}", seen.device, seqs.last())
        })?;
        seqs.push(place.seq);
        checked = checked.saturating_add(1);
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::super::examples::modified;
    use super::check;

    #[test]
    fn a_message_that_was_overtaken_is_found() {
        assert!(check(&modified(|history| history.seen.swap(0, 1))).is_err());
    }

    #[test]
    fn a_repeated_delivery_may_be_late() {
        let again = modified(|history| {
            let first = history.seen[0].clone();
            history.seen.push(first);
        });
        assert_eq!(check(&again), Ok(3));
    }
}
