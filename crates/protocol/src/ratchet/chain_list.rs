//! The keys of a ratchet: a list of chains, a head for each, and the keys that belong to no chain, such as the root.
//!
//! A record is read for a single message and then dropped. It has up to a dozen chains, and the message advances one of
//! each ratchet. With one allocation per key, the allocations took most of the time. The list has a single owner:
//! every message changes it anyway, and a copy costs less than counting the owners.

use std::fmt;

use crate::primitives::secret::wipe;

/// Up to `MAX` chains, oldest first, each with a head `H` and a key, and `K` other keys. A change makes a new list. The
/// keys are wiped on drop.
pub(crate) struct ChainList<H, const MAX: usize, const K: usize>(Box<Chains<H, MAX, K>>);

struct Chains<H, const MAX: usize, const K: usize> {
    /// The number of chains. They occupy the first places.
    len: usize,
    /// Every place has a value. Padding inside an unused `Option` could keep a copy of stack contents in this
    /// allocation.
    heads: [H; MAX],
    keys: [[u8; 32]; MAX],
    others: [[u8; 32]; K],
}

impl<H: Copy, const MAX: usize, const K: usize> ChainList<H, MAX, K> {
    /// These keys and chains, ignoring those beyond `MAX`. `blank` fills the unused places.
    pub(crate) fn of<'a>(
        others: [&[u8; 32]; K],
        chains: impl IntoIterator<Item = (H, &'a [u8; 32])>,
        blank: H,
    ) -> Self {
        let read = |(head, key): (H, &'a [u8; 32]), place: &mut H, slot: &mut [u8; 32]| {
            (*place, *slot) = (head, *key);
            Ok::<_, std::convert::Infallible>(())
        };
        match Self::read(others, chains.into_iter().map(Ok), blank, read) {
            Ok(list) => list,
            Err(never) => match never {},
        }
    }

    /// These keys and one chain for each row, ignoring those beyond `MAX`. `read` writes each chain directly to its
    /// final place, over `blank` and a key of zeros. Returns the first error, also that of a row that is ignored.
    #[inline]
    pub(crate) fn read<R, E>(
        others: [&[u8; 32]; K],
        rows: impl Iterator<Item = Result<R, E>>,
        blank: H,
        mut read: impl FnMut(R, &mut H, &mut [u8; 32]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let keys = ([[0; 32]; MAX], [[0; 32]; K]);
        let mut list = Box::new(Chains { len: 0, heads: [blank; MAX], keys: keys.0, others: keys.1 });
        let Chains { len, heads, keys, others: own } = &mut *list;
        own.iter_mut().zip(others).for_each(|(place, key)| *place = *key);
        let mut places = heads.iter_mut().zip(keys);
        for row in rows {
            let row = row?;
            if let Some((head, key)) = places.next() {
                read(row, head, key)?;
                *len = len.saturating_add(1);
            }
        }
        Ok(Self(list))
    }

    /// The number of chains.
    pub(crate) fn len(&self) -> usize {
        self.0.len
    }

    pub(crate) fn heads(&self) -> impl DoubleEndedIterator<Item = &H> {
        self.0.heads.iter().take(self.0.len)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (H, &[u8; 32])> {
        let chains = &*self.0;
        chains.heads.iter().zip(&chains.keys).take(chains.len).map(|(head, key)| (*head, key))
    }

    /// The keys that belong to no chain.
    pub(crate) fn others(&self) -> &[[u8; 32]; K] {
        &self.0.others
    }

    /// A new list after `change` has been applied to the chain at this place, and the result of `change`. Returns
    /// `None` if there is no such chain.
    #[inline]
    pub(crate) fn with_chain<T>(
        &self,
        at: usize,
        change: impl FnOnce(&mut H, &mut [u8; 32]) -> T,
    ) -> Option<(Self, T)> {
        if at >= self.0.len {
            return None;
        }
        let mut list = self.clone();
        let Chains { heads, keys, .. } = &mut *list.0;
        let changed = change(heads.get_mut(at)?, keys.get_mut(at)?);
        Some((list, changed))
    }

    /// A new list after `change` has been applied to the keys that belong to no chain, and the result of `change`.
    #[inline]
    pub(crate) fn with_others<T>(&self, change: impl FnOnce(&mut [[u8; 32]; K]) -> T) -> (Self, T) {
        let mut list = self.clone();
        let changed = change(&mut list.0.others);
        (list, changed)
    }
}

impl<H: Copy, const MAX: usize, const K: usize> Clone for ChainList<H, MAX, K> {
    #[inline]
    fn clone(&self) -> Self {
        let Chains { len, heads, keys, others } = &*self.0;
        let blank = ([[0; 32]; MAX], [[0; 32]; K]);
        let mut list = Box::new(Chains { len: *len, heads: *heads, keys: blank.0, others: blank.1 });
        // Copied directly, so that no copy is left anywhere else.
        (list.keys, list.others) = (*keys, *others);
        Self(list)
    }
}

impl<H, const MAX: usize, const K: usize> Drop for Chains<H, MAX, K> {
    fn drop(&mut self) {
        wipe(self.keys.as_flattened_mut());
        wipe(self.others.as_flattened_mut());
    }
}

impl<H: fmt::Debug, const MAX: usize, const K: usize> fmt::Debug for ChainList<H, MAX, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.heads.iter().take(self.0.len)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type List = ChainList<u8, 3, 1>;

    fn list<'a>(chains: impl IntoIterator<Item = (u8, &'a [u8; 32])>) -> List {
        List::of([&[9; 32]], chains, 0)
    }

    fn all(list: &List) -> Vec<(u8, [u8; 32])> {
        list.iter().map(|(head, key)| (head, *key)).collect()
    }

    #[test]
    fn chains_keep_their_order_and_their_keys() {
        let two = list([(1, &[1; 32]), (2, &[2; 32])]);
        assert_eq!(all(&two), [(1, [1; 32]), (2, [2; 32])]);
        assert_eq!((two.len(), two.heads().next_back(), two.others()), (2, Some(&2), &[[9; 32]]));
        let changed =
            two.with_chain(1, |head, key| (std::mem::replace(head, 5), std::mem::replace(key, [6; 32])));
        let (changed, old) = changed.unwrap();
        assert_eq!((all(&changed), old), (vec![(1, [1; 32]), (5, [6; 32])], (2, [2; 32])));
        assert_eq!(changed.others(), &[[9; 32]]);
        assert_eq!(all(&two), [(1, [1; 32]), (2, [2; 32])], "the first list keeps its chains");
        assert!(two.with_chain(2, |_, _| ()).is_none() && list([]).with_chain(0, |_, _| ()).is_none());
        let longer = list(two.iter().chain([(3, &[3; 32]), (4, &[4; 32])]));
        assert_eq!(all(&longer), [(1, [1; 32]), (2, [2; 32]), (3, [3; 32])], "there is no room for a fourth");
        assert_eq!(list([]).len(), 0);
    }

    #[test]
    fn a_key_that_belongs_to_no_chain_changes_alone() {
        let one = list([(1, &[1; 32])]);
        let (changed, old) = one.with_others(|[key]| std::mem::replace(key, [8; 32]));
        assert_eq!((changed.others(), old), (&[[8; 32]], [9; 32]));
        assert_eq!((all(&changed), one.others()), (all(&one), &[[9; 32]]));
    }

    #[test]
    fn the_first_error_is_returned() {
        let read = |chains: &[Result<(u8, &'static [u8; 32]), u8>]| {
            let write = |(head, key): (u8, &[u8; 32]), place: &mut u8, slot: &mut [u8; 32]| {
                (*place, *slot) = (head, *key);
                if head == 6 { Err(head) } else { Ok(()) }
            };
            List::read([&[9; 32]], chains.iter().copied(), 0, write).map(|list| all(&list))
        };
        let good = Ok((1, &[1; 32]));
        assert_eq!(read(&[good, good]), Ok(vec![(1, [1; 32]); 2]));
        assert_eq!(read(&[good, Err(7), Err(8)]), Err(7));
        assert_eq!(read(&[good, good, good, Err(9)]), Err(9));
        assert_eq!(
            read(&[good, Ok((6, &[1; 32])), Err(9)]),
            Err(6),
            "the second row is refused when it is read"
        );
        assert_eq!(read(&[]), Ok(vec![]));
    }

    #[test]
    fn a_clone_has_the_same_chains_and_keys() {
        let one = list([(1, &[1; 32])]);
        let clone = one.clone();
        assert_eq!((all(&clone), clone.others()), (all(&one), one.others()));
        assert_eq!(format!("{clone:?}"), "[1]");
    }
}
