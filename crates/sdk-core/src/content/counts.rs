//! Sets of counts: which contents of a run have come somewhere. A set is written as an up-to mark with exceptions.

use prost::encoding::{decode_varint, encode_varint};
use sealpost_wire::limits::MAX_COUNT;

use super::ContentError;

/// A set of counts, which begin at 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counts {
    /// What is not in the set: ranges, both ends included, in their order, none of which touches the next. The last one ends at
    /// [`u64::MAX`].
    missing: Vec<(u64, u64)>,
}

impl Counts {
    pub(crate) fn none() -> Self {
        Self { missing: vec![(1, u64::MAX)] }
    }

    /// Every count up to this one.
    pub(crate) fn up_to(last: u64) -> Self {
        Self { missing: vec![(last.saturating_add(1), u64::MAX)] }
    }

    /// The highest count; 0 if there is none.
    pub(crate) fn highest(&self) -> u64 {
        self.missing.last().map_or(0, |(first, _)| first.saturating_sub(1))
    }

    /// The ranges below the highest count that are not in the set.
    pub(crate) fn exceptions(&self) -> &[(u64, u64)] {
        self.missing.split_last().map_or(&[], |(_, exceptions)| exceptions)
    }

    /// The ranges that are not in the set, the last of which has no end.
    pub(crate) fn missing_ranges(&self) -> &[(u64, u64)] {
        &self.missing
    }

    /// The ranges of the set, both ends included, in their order.
    pub(crate) fn ranges(&self) -> Vec<(u64, u64)> {
        let mut next = 1_u64;
        let ranges = self.missing.iter().map(|(first, last)| {
            let range = (next, first.saturating_sub(1));
            next = last.saturating_add(1);
            range
        });
        ranges.filter(|(first, last)| first <= last).collect()
    }

    pub(crate) fn contains(&self, count: u64) -> bool {
        count > 0 && !self.missing.iter().any(|(first, last)| (*first..=*last).contains(&count))
    }

    /// Adds a count. Returns whether it is new.
    pub(crate) fn insert(&mut self, count: u64) -> bool {
        let is_new = count > 0 && !self.contains(count);
        if is_new {
            *self = self.union(&Self::between(count, count));
        }
        is_new
    }

    /// These counts, both ends included.
    fn between(first: u64, last: u64) -> Self {
        let before = (1, first.saturating_sub(1));
        let after = (last.saturating_add(1), u64::MAX);
        Self::missing([before, after].into_iter())
    }

    /// The counts in either set.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let both = self.missing.iter().flat_map(|(first, last)| {
            let overlap = move |(a, b): &(u64, u64)| (*first.max(a), *last.min(b));
            other.missing.iter().map(overlap)
        });
        Self::missing(both)
    }

    /// The counts of this set that are in none of these ranges.
    pub(crate) fn without(&self, ranges: impl IntoIterator<Item = (u64, u64)>) -> Self {
        Self::missing(self.missing.iter().copied().chain(ranges))
    }

    /// The counts that are in both sets.
    pub(crate) fn common(&self, other: &Self) -> Self {
        self.without(other.missing_ranges().iter().copied()).at_most(other.highest())
    }

    /// The counts of this set up to the given one.
    pub(crate) fn at_most(&self, last: u64) -> Self {
        self.without([(last.saturating_add(1), u64::MAX)])
    }

    /// This set, or if it has more exceptions than that, the part before the first one.
    pub(crate) fn before_many_exceptions(self, most: usize) -> Self {
        match self.missing.first() {
            Some((first, _)) if self.exceptions().len() > most => Self::up_to(first.saturating_sub(1)),
            _ => self,
        }
    }

    /// The greatest part of this set that has at most so many exceptions, of which the first one grows.
    pub(crate) fn with_fewer_exceptions(self, most: usize) -> Self {
        let surplus = self.exceptions().len().saturating_sub(most);
        match (self.missing.first(), self.missing.get(surplus)) {
            (Some((first, _)), Some((_, last))) if surplus > 0 => {
                let hole = (*first, *last);
                self.without([hole])
            }
            _ => self,
        }
    }

    /// The smallest set with this one in it that has at most so many ranges, of which the first one grows.
    pub(crate) fn with_fewer_ranges(self, most: usize) -> Self {
        let ranges = self.ranges();
        let surplus = ranges.len().saturating_sub(most);
        match (ranges.first(), ranges.get(surplus)) {
            (Some((first, _)), Some((_, last))) if surplus > 0 => self.union(&Self::between(*first, *last)),
            _ => self,
        }
    }

    /// Brings the missing ranges into their form. Empty ranges are left out.
    fn missing(ranges: impl Iterator<Item = (u64, u64)>) -> Self {
        let mut ranges: Vec<_> = ranges.filter(|(first, last)| first <= last).collect();
        ranges.sort_unstable();
        let mut missing: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match missing.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => missing.push((first, last)),
            }
        }
        Self { missing }
    }

    /// The exceptions as bytes: for each, two varints, how many counts are between it and the one before, and its length.
    pub(crate) fn exception_bytes(&self) -> Vec<u8> {
        let (mut bytes, mut next) = (Vec::new(), 1_u64);
        for (first, last) in self.exceptions() {
            encode_varint(first.saturating_sub(next), &mut bytes);
            encode_varint(last.saturating_sub(*first).saturating_add(1), &mut bytes);
            next = last.saturating_add(1);
        }
        bytes
    }

    /// The inverse of [`Counts::highest`] and [`Counts::exception_bytes`].
    ///
    /// # Errors
    /// [`ContentError::Malformed`] if a count is out of its range, exceptions touch or lie beyond the mark, or there are more than
    /// `most`.
    pub(crate) fn from_parts(highest: u64, exceptions: &[u8], most: usize) -> Result<Self, ContentError> {
        if highest > MAX_COUNT {
            return Err(ContentError::Malformed);
        }
        let (mut rest, mut next, mut ranges) = (exceptions, 1_u64, Vec::new());
        while !rest.is_empty() {
            let mut number = || decode_varint(&mut rest).map_err(|_| ContentError::Malformed);
            let (between, length) = (number()?, number()?);
            let first = next.checked_add(between).ok_or(ContentError::Malformed)?;
            next = first.checked_add(length).ok_or(ContentError::Malformed)?;
            let touches = between == 0 && !ranges.is_empty();
            if length == 0 || touches || next > highest || ranges.len() == most {
                return Err(ContentError::Malformed);
            }
            ranges.push((first, next.saturating_sub(1)));
        }
        Ok(Self::up_to(highest).without(ranges))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const LAST: u64 = 40;

    impl Counts {
        /// These counts, for tests.
        pub(crate) fn of(counts: impl IntoIterator<Item = u64>) -> Self {
            let mut set = Self::none();
            for count in counts {
                set.insert(count);
            }
            set
        }
    }

    fn model(counts: &Counts) -> BTreeSet<u64> {
        (0..=LAST + 2).filter(|count| counts.contains(*count)).collect()
    }

    fn sets() -> impl Strategy<Value = BTreeSet<u64>> {
        proptest::collection::btree_set(1..=LAST, 0..30)
    }

    proptest! {
        #[test]
        fn counts_are_a_set_of_numbers(a in sets(), b in sets(), last in 0..LAST) {
            let (left, right) = (Counts::of(a.iter().copied()), Counts::of(b.iter().copied()));
            prop_assert_eq!(model(&left), a.clone());
            prop_assert_eq!(left.highest(), a.last().copied().unwrap_or(0));
            let ranges = left.ranges();
            prop_assert_eq!(ranges.iter().flat_map(|(first, last)| *first..=*last).collect::<BTreeSet<_>>(), a.clone());
            prop_assert_eq!(ranges.len(), left.missing_ranges().len().saturating_sub(usize::from(!a.contains(&1))));
            let union = left.union(&right);
            prop_assert_eq!(model(&union), a.union(&b).copied().collect::<BTreeSet<_>>());
            prop_assert_eq!(&union, &right.union(&left));
            prop_assert_eq!(&union, &Counts::of(a.union(&b).copied()));
            let common = a.intersection(&b).copied().collect::<BTreeSet<_>>();
            prop_assert_eq!(model(&left.common(&right)), common);
            let without = left.without(b.iter().map(|count| (*count, *count)));
            prop_assert_eq!(model(&without), a.difference(&b).copied().collect::<BTreeSet<_>>());
            prop_assert_eq!(model(&left.at_most(last)), a.range(..=last).copied().collect::<BTreeSet<_>>());
        }

        #[test]
        fn counts_round_trip_as_parts(a in sets()) {
            let counts = Counts::of(a);
            let bytes = counts.exception_bytes();
            let most = counts.exceptions().len();
            prop_assert_eq!(Counts::from_parts(counts.highest(), &bytes, most), Ok(counts.clone()));
            if most > 0 {
                prop_assert!(Counts::from_parts(counts.highest(), &bytes, most.saturating_sub(1)).is_err());
            }
        }

        #[test]
        fn limited_counts_claim_nothing_more(a in sets(), most in 0..10_usize) {
            let counts = Counts::of(a.iter().copied());
            for limited in [counts.clone().before_many_exceptions(most), counts.clone().with_fewer_exceptions(most)] {
                prop_assert!(limited.exceptions().len() <= most);
                prop_assert!(model(&limited).is_subset(&a));
                prop_assert!(counts.exceptions().len() > most || limited == counts);
            }
            prop_assert_eq!(counts.clone().with_fewer_exceptions(most.max(1)).highest(), counts.highest());
        }

        #[test]
        fn a_set_with_fewer_ranges_contains_the_whole(a in sets(), most in 1..10_usize) {
            let counts = Counts::of(a.iter().copied());
            let wider = counts.clone().with_fewer_ranges(most);
            prop_assert!(wider.ranges().len() <= most && model(&wider).is_superset(&a));
            prop_assert!(counts.ranges().len() > most || wider == counts);
            let added = model(&wider).difference(&a).count();
            prop_assert!(added == 0 || counts.ranges().len() > most);
        }

        #[test]
        fn any_parts_are_refused_or_parsed(highest: u64, bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(counts) = Counts::from_parts(highest, &bytes, 8) {
                prop_assert!(counts.highest() == highest && counts.exceptions().len() <= 8);
                prop_assert_eq!(Counts::from_parts(highest, &counts.exception_bytes(), 8), Ok(counts));
            }
        }
    }

    #[test]
    fn impossible_marks_are_refused() {
        assert!(Counts::from_parts(MAX_COUNT, &[], 0).is_ok());
        assert!(Counts::from_parts(MAX_COUNT + 1, &[], 0).is_err());
        assert!(Counts::from_parts(3, &[1, 1], 1).is_ok());
        for beyond in [&[2, 1][..], &[1, 2], &[0, 0], &[1], &[0x80], &[0xff; 20]] {
            assert!(Counts::from_parts(3, beyond, 8).is_err(), "{beyond:?}");
        }
        // Exceptions that touch are one exception.
        assert!(Counts::from_parts(9, &[1, 1, 0, 1], 8).is_err());
    }
}
