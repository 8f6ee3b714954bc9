//! I2: the sequence numbers of a thread are 1 to n, without gaps and without duplicates.

use std::collections::BTreeMap;

use super::{CheckResult, ensure};
use crate::history::History;

pub(super) fn check(history: &History) -> CheckResult {
    let mut threads: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for row in &history.dump.stored {
        threads.entry(&row.place.thread).or_default().push(row.place.seq);
    }
    let mut checked = 0_usize;
    for (thread, last) in &history.dump.last {
        let mut seqs = threads.remove(thread.as_str()).unwrap_or_default();
        seqs.sort_unstable();
        ensure(seqs.iter().copied().eq(1..=*last), || format!("{thread} ends at {last}, but has {seqs:?}"))?;
        checked = checked.saturating_add(seqs.len());
    }
    ensure(threads.is_empty(), || format!("messages of unknown threads: {threads:?}"))?;
    let mut ids: BTreeMap<_, _> = BTreeMap::new();
    for (send, place, ..) in history.placed() {
        let first = ids.entry(place.clone()).or_insert(&send.id);
        ensure(*first == &send.id, || format!("{place:?} was assigned to {first} and to {}", send.id))?;
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::super::examples::{modified, stored};
    use super::check;
    use crate::event::Reply;
    use crate::history::Outcome;

    #[test]
    fn a_gap_is_found() {
        assert!(check(&modified(|history| drop(history.dump.stored.remove(1)))).is_err());
        assert!(check(&modified(|history| *history.dump.last.get_mut("t").unwrap() = 4)).is_err());
    }

    #[test]
    fn a_duplicate_is_found() {
        assert!(check(&modified(|history| history.dump.stored.push(stored("ada", "m9", 2)))).is_err());
        assert!(check(&modified(|history| history.dump.last.clear())).is_err());
        // Only the answers reveal this one.
        let twice = modified(|history| {
            for operation in &mut history.operations {
                if let Outcome::Ok(Reply::Send { seq, .. }) = &mut operation.outcome {
                    *seq = 1;
                }
            }
        });
        assert!(check(&twice).is_err());
    }
}
