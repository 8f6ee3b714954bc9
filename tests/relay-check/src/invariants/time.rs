//! I11: the hybrid logical clock grows with the sequence numbers of a thread.

use std::collections::BTreeMap;

use super::{CheckResult, ensure};
use crate::history::History;

pub(super) fn check(history: &History) -> CheckResult {
    let clocks: BTreeMap<_, _> = history.dump.stored.iter().map(|row| (&row.place, row.hlc)).collect();
    let mut before = None;
    for (place, hlc) in &clocks {
        if let Some((thread, last)) = before.replace((&place.thread, *hlc)) {
            ensure(*thread != place.thread || last < *hlc, || format!("{place:?} has {hlc}, after {last}"))?;
        }
    }
    for seen in &history.seen {
        let (place, hlc) = (&seen.row.place, seen.row.hlc);
        ensure(clocks.get(place) == Some(&hlc), || {
            format!("{place:?} was received with another clock value, {hlc}")
        })?;
    }
    Ok(clocks.len())
}

#[cfg(test)]
mod tests {
    use super::super::examples::modified;
    use super::check;

    #[test]
    fn a_clock_that_does_not_advance_is_found() {
        for (at, hlc) in [(1, 101), (1, 100), (2, 5)] {
            assert!(check(&modified(|history| history.dump.stored[at].hlc = hlc)).is_err());
        }
    }

    #[test]
    fn a_row_received_with_another_clock_value_is_found() {
        assert!(check(&modified(|history| history.seen[0].row.hlc = 9)).is_err());
    }
}
