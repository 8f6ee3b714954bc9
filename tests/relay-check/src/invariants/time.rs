//! I11: the hybrid logical clock grows with the sequence numbers of a thread.

use std::collections::BTreeMap;

use super::{Found, ensure};
use crate::history::History;

pub(super) fn judge(history: &History) -> Found {
    let clocks: BTreeMap<_, _> = history.dump.stored.iter().map(|row| (&row.place, row.hlc)).collect();
    let mut before = None;
    for (place, hlc) in &clocks {
        if let Some((thread, last)) = before.replace((&place.thread, *hlc)) {
            ensure(*thread != place.thread || last < *hlc, || format!("{place:?} has {hlc}, after {last}"))?;
        }
    }
    for seen in &history.seen {
        let (place, hlc) = (&seen.row.place, seen.row.hlc);
        ensure(clocks.get(place) == Some(&hlc), || format!("{place:?} came with another time, {hlc}"))?;
    }
    Ok(clocks.len())
}

#[cfg(test)]
mod tests {
    use super::super::examples::broken;
    use super::judge;

    #[test]
    fn a_clock_that_stands_or_steps_back_is_found() {
        for (at, hlc) in [(1, 101), (1, 100), (2, 5)] {
            assert!(judge(&broken(|history| history.dump.stored[at].hlc = hlc)).is_err());
        }
    }

    #[test]
    fn a_row_that_comes_with_another_time_is_found() {
        assert!(judge(&broken(|history| history.seen[0].row.hlc = 9)).is_err());
    }
}
