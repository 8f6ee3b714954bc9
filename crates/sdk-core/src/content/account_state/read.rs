//! Which messages of a thread have been read.

use std::collections::BTreeSet;

/// Maximum number of places below the mark that have not been read.
pub(crate) const MAX_UNREAD_BELOW: usize = 64;

/// The places of a thread whose messages have been read: all up to one of them, except for some. A place is `epoch * 2^40 + server_seq`,
/// which is the same on all devices. It also covers messages that have not arrived here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ReadSet {
    up_to: i64,
    except: BTreeSet<i64>,
}

impl ReadSet {
    /// All places up to one, except for some. If there are too many, it ends before one of them: nothing counts as read that was not.
    pub(crate) fn new(up_to: i64, except: impl IntoIterator<Item = i64>) -> Self {
        let mut except: BTreeSet<_> = except.into_iter().filter(|place| *place <= up_to).collect();
        let mut up_to = up_to;
        if let Some(first_left_out) = except.iter().nth(MAX_UNREAD_BELOW).copied() {
            up_to = first_left_out.saturating_sub(1);
            drop(except.split_off(&first_left_out));
        }
        // An exception at the end says nothing.
        while except.last() == Some(&up_to) {
            except.pop_last();
            up_to = up_to.saturating_sub(1);
        }
        Self { up_to: up_to.max(0), except }
    }

    pub(crate) const fn up_to(&self) -> i64 {
        self.up_to
    }

    pub(crate) const fn except(&self) -> &BTreeSet<i64> {
        &self.except
    }

    pub(crate) fn contains(&self, place: i64) -> bool {
        place <= self.up_to && !self.except.contains(&place)
    }

    /// What has been read according to either.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let unread = |of: &Self, by: &Self| -> Vec<i64> {
            of.except.iter().copied().filter(|place| !by.contains(*place)).collect()
        };
        let except = [unread(self, other), unread(other, self)].concat();
        Self::new(self.up_to.max(other.up_to), except)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_union_contains_what_either_contains(
            sets in prop::collection::vec((0..40_i64, prop::collection::vec(1..40_i64, 0..20)), 2)
        ) {
            let sets: Vec<_> = sets.into_iter().map(|(up_to, except)| ReadSet::new(up_to, except)).collect();
            let union = sets[0].union(&sets[1]);
            for place in 1..50 {
                let expected = sets.iter().any(|set| set.contains(place));
                prop_assert_eq!(union.contains(place), expected, "{}", place);
            }
            prop_assert_eq!(&union, &sets[1].union(&sets[0]));
            prop_assert_eq!(&union.union(&sets[0]), &union);
        }

        #[test]
        fn with_too_many_exceptions_nothing_counts_as_read_that_was_not(
            up_to in 1..400_i64, except in prop::collection::btree_set(1..400_i64, 60..200)
        ) {
            let set = ReadSet::new(up_to, except.iter().copied());
            prop_assert!(set.except().len() <= MAX_UNREAD_BELOW);
            prop_assert!((1..=400).all(|place| !set.contains(place) || place <= up_to && !except.contains(&place)));
        }
    }

    #[test]
    fn an_exception_at_the_end_lowers_the_end() {
        assert_eq!(ReadSet::new(5, [5, 4, 2]), ReadSet::new(3, [2]));
        assert_eq!(ReadSet::new(-1, []).up_to(), 0);
    }
}
