//! A list of chains: a head for each, and the keys of all of them in one allocation.
//!
//! A record is read for a single message and then dropped. It has up to a dozen chains, of which the message advances
//! one or two. With one allocation per key, the allocations took most of the time.

use std::fmt;
use std::sync::Arc;

use crate::primitives::secret::wipe;

/// Up to `MAX` chains, oldest first, each with a head `H` and a key. Clones share the list, and a change makes a new
/// one. The last owner of a list wipes its keys.
pub(crate) struct ChainList<H, const MAX: usize>(Option<Arc<Chains<H, MAX>>>);

/// A list of at least one chain.
struct Chains<H, const MAX: usize> {
    /// The number of chains. They occupy the first places.
    len: usize,
    /// Every place has a value. Padding inside an unused `Option` could keep a copy of stack contents in this
    /// allocation.
    heads: [H; MAX],
    keys: [[u8; 32]; MAX],
}

impl<H: Copy, const MAX: usize> ChainList<H, MAX> {
    /// An empty list.
    pub(crate) const fn empty() -> Self {
        Self(None)
    }

    /// A list of these chains, ignoring those beyond `MAX`.
    pub(crate) fn of<'a>(chains: impl IntoIterator<Item = (H, &'a [u8; 32])>) -> Self {
        let mut chains = chains.into_iter().peekable();
        let Some((first, _)) = chains.peek().copied() else { return Self::empty() };
        let read = |(head, key): (H, &'a [u8; 32]), place: &mut H, slot: &mut [u8; 32]| {
            (*place, *slot) = (head, *key);
            Ok::<_, std::convert::Infallible>(())
        };
        match Self::read(chains.map(Ok), first, read) {
            Ok(list) => list,
            Err(never) => match never {},
        }
    }

    /// A list with one chain for each row, ignoring those beyond `MAX`. `read` writes each chain directly to its final
    /// place, over `blank` and a key of zeros. Returns the first error, also that of a row that is ignored.
    #[inline]
    pub(crate) fn read<R, E>(
        mut rows: impl Iterator<Item = Result<R, E>>,
        blank: H,
        mut read: impl FnMut(R, &mut H, &mut [u8; 32]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut next = rows.next();
        if next.is_none() {
            return Ok(Self::empty());
        }
        let mut list = Arc::new(Chains { len: 0, heads: [blank; MAX], keys: [[0; 32]; MAX] });
        if let Some(Chains { len, heads, keys }) = Arc::get_mut(&mut list) {
            let mut places = heads.iter_mut().zip(keys);
            while let Some(row) = next {
                let row = row?;
                if let Some((head, key)) = places.next() {
                    read(row, head, key)?;
                    *len = len.saturating_add(1);
                }
                next = rows.next();
            }
        }
        Ok(Self(Some(list)))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |chains| chains.len)
    }

    pub(crate) fn heads(&self) -> impl DoubleEndedIterator<Item = &H> {
        self.0.iter().flat_map(|chains| chains.heads.iter().take(chains.len))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (H, &[u8; 32])> {
        let all = self.0.iter().flat_map(|chains| chains.heads.iter().zip(&chains.keys).take(chains.len));
        all.map(|(head, key)| (*head, key))
    }

    /// A new list after `change` has been applied to the chain at this place, and the result of `change`. Returns
    /// `None` if there is no such chain.
    #[inline]
    pub(crate) fn changed<T>(
        &self,
        at: usize,
        change: impl FnOnce(&mut H, &mut [u8; 32]) -> T,
    ) -> Option<(Self, T)> {
        let old = self.0.as_ref().filter(|chains| at < chains.len)?;
        let mut list = Arc::new(Chains { len: old.len, heads: old.heads, keys: [[0; 32]; MAX] });
        let own = Arc::get_mut(&mut list)?;
        // Copied directly, so that no copy is left anywhere else.
        own.keys = old.keys;
        let changed = change(own.heads.get_mut(at)?, own.keys.get_mut(at)?);
        Some((Self(Some(list)), changed))
    }
}

/// Cloning adds an owner and copies nothing.
impl<H, const MAX: usize> Clone for ChainList<H, MAX> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<H, const MAX: usize> Drop for Chains<H, MAX> {
    fn drop(&mut self) {
        wipe(self.keys.as_flattened_mut());
    }
}

impl<H: fmt::Debug, const MAX: usize> fmt::Debug for ChainList<H, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().flat_map(|chains| chains.heads.iter().take(chains.len))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type List = ChainList<u8, 3>;

    fn all(list: &List) -> Vec<(u8, [u8; 32])> {
        list.iter().map(|(head, key)| (head, *key)).collect()
    }

    #[test]
    fn chains_keep_their_order_and_their_keys() {
        let list = List::of([(1, &[1; 32]), (2, &[2; 32])]);
        assert_eq!(all(&list), [(1, [1; 32]), (2, [2; 32])]);
        assert_eq!((list.len(), list.heads().next_back()), (2, Some(&2)));
        let changed =
            list.changed(1, |head, key| (std::mem::replace(head, 5), std::mem::replace(key, [6; 32])));
        let (changed, old) = changed.unwrap();
        assert_eq!((all(&changed), old), (vec![(1, [1; 32]), (5, [6; 32])], (2, [2; 32])));
        assert_eq!(all(&list), [(1, [1; 32]), (2, [2; 32])], "the others keep theirs");
        assert!(list.changed(2, |_, _| ()).is_none() && List::empty().changed(0, |_, _| ()).is_none());
        let longer = List::of(list.iter().chain([(3, &[3; 32]), (4, &[4; 32])]));
        assert_eq!(all(&longer), [(1, [1; 32]), (2, [2; 32]), (3, [3; 32])], "no more fit");
        assert_eq!(List::empty().len(), 0);
    }

    #[test]
    fn the_first_error_counts() {
        let read = |chains: &[Result<(u8, &'static [u8; 32]), u8>]| {
            let write = |(head, key): (u8, &[u8; 32]), place: &mut u8, slot: &mut [u8; 32]| {
                (*place, *slot) = (head, *key);
                if head == 6 { Err(head) } else { Ok(()) }
            };
            List::read(chains.iter().copied(), 0, write).map(|list| all(&list))
        };
        let good = Ok((1, &[1; 32]));
        assert_eq!(read(&[good, good]), Ok(vec![(1, [1; 32]); 2]));
        assert_eq!(read(&[good, Err(7), Err(8)]), Err(7));
        assert_eq!(read(&[good, good, good, Err(9)]), Err(9));
        assert_eq!(read(&[good, Ok((6, &[1; 32])), Err(9)]), Err(6), "read, and found not to be good");
        assert_eq!(read(&[]), Ok(vec![]));
    }

    #[test]
    fn copies_share_their_keys() {
        let list = List::of([(1, &[1; 32])]);
        let copy = list.clone();
        assert!(Arc::ptr_eq(list.0.as_ref().unwrap(), copy.0.as_ref().unwrap()));
        assert_eq!(format!("{copy:?}"), "[1]");
    }
}
