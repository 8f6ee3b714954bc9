//! Bytes that are wiped on drop, cannot be printed, and are compared in constant time.

use std::fmt;
use std::sync::Arc;

use rand_core::CryptoRng;
use subtle::{Choice, ConstantTimeEq};
use zeroize::{ZeroizeOnDrop, optimization_barrier};

/// `N` secret bytes. They are on the heap, so that moving the value leaves no copy behind, and are wiped on drop. The
/// type has no `Clone`, `==` or printable form. Only [`expose`](Self::expose) gives access to the bytes.
///
/// ```compile_fail,E0369
/// let [a, b] = [[7; 32], [7; 32]].map(sealpost_protocol::Secret::new);
/// assert!(a == b); // the duration would reveal how many bytes are equal
/// ```
///
/// ```compile_fail,E0599
/// let copy = sealpost_protocol::Secret::new([7; 32]).clone();
/// ```
pub struct Secret<const N: usize>(Box<Wiped<N>>);

/// Holds the secret bytes. `Clone` is for `Arc::make_mut`, which copies nothing while there is a single owner.
#[derive(Clone)]
struct Wiped<const N: usize>([u8; N]);

/// The first content of a new place. With zeros, the compiler would request zeroed memory, which the C library takes
/// much longer to find.
const NOT_ZERO: u8 = 0xff;

/// A secret with several owners, usually the states of a session. It is never changed, and the last owner wipes it.
/// It needs one allocation, where an `Arc` of a [`Secret`] would need two. Counting owners costs more than copying a
/// key, so a secret with one owner is a [`Secret`].
pub(crate) struct Shared<const N: usize>(Arc<Wiped<N>>);

/// `K` keys that are created and dropped together, in one allocation. As with [`Shared`], the last owner wipes them.
#[derive(Clone)]
pub(crate) struct SharedKeys<const K: usize>(Arc<WipedKeys<K>>);

/// `Clone` is for `Arc::make_mut`, as for [`Wiped`].
#[derive(Clone)]
struct WipedKeys<const K: usize>([[u8; 32]; K]);

impl<const K: usize> SharedKeys<K> {
    /// Takes one copy of each of these keys.
    pub(crate) fn of(keys: [&[u8; 32]; K]) -> Self {
        let mut places = Arc::new(WipedKeys([[0; 32]; K]));
        let WipedKeys(own) = Arc::make_mut(&mut places);
        own.iter_mut().zip(keys).for_each(|(place, key)| *place = *key);
        Self(places)
    }

    pub(crate) fn expose(&self) -> &[[u8; 32]; K] {
        &self.0.0
    }
}

impl<const K: usize> Drop for WipedKeys<K> {
    fn drop(&mut self) {
        wipe(self.0.as_flattened_mut());
    }
}

impl<const K: usize> fmt::Debug for SharedKeys<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedKeys({K})")
    }
}

impl<const N: usize> Secret<N> {
    /// Takes the bytes. The caller is responsible for wiping its own copy.
    pub fn new(bytes: [u8; N]) -> Self {
        Self::fill(|place| *place = bytes)
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8; N] {
        &self.0.0
    }

    /// The bytes, to be changed in place.
    pub(crate) fn expose_mut(&mut self) -> &mut [u8; N] {
        &mut self.0.0
    }

    /// Lets `write` produce the bytes in their final place, which has no particular content before.
    pub(crate) fn fill(write: impl FnOnce(&mut [u8; N])) -> Self {
        Self(Box::new(Wiped([NOT_ZERO; N]))).changed(write)
    }

    /// Changes the bytes in place.
    pub(crate) fn changed(mut self, change: impl FnOnce(&mut [u8; N])) -> Self {
        change(self.expose_mut());
        self
    }

    /// Fresh random bytes.
    pub(crate) fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::fill(|bytes| rng.fill_bytes(bytes))
    }

    /// Returns `None` unless there are exactly `N` bytes.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        // The bytes are copied once, directly to the heap.
        bytes.try_into().ok().map(|bytes: &[u8; N]| Self::fill(|place| place.copy_from_slice(bytes)))
    }

    /// A second copy. This is not `Clone`, because every copy of a secret should be deliberate.
    pub(crate) fn copy(&self) -> Self {
        Self::copied(self.expose())
    }

    /// A copy of bytes that belong to another secret.
    pub(crate) fn copied(bytes: &[u8; N]) -> Self {
        Self::fill(|place| place.copy_from_slice(bytes))
    }
}

impl<const N: usize> Drop for Wiped<N> {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl<const N: usize> Shared<N> {
    /// Takes a copy.
    pub(crate) fn copied(bytes: &[u8; N]) -> Self {
        let mut place = Arc::new(Wiped([0; N]));
        Arc::make_mut(&mut place).0 = *bytes;
        Self(place)
    }

    /// The bytes.
    pub(crate) fn expose(&self) -> &[u8; N] {
        &self.0.0
    }
}

/// Cloning adds an owner and copies nothing.
impl<const N: usize> Clone for Shared<N> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<const N: usize> fmt::Debug for Shared<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared(..)")
    }
}

impl<const N: usize> ZeroizeOnDrop for Secret<N> {}

/// Compares in constant time, by words, where the library's comparison of slices works byte by byte.
pub(crate) fn is_same<const N: usize>(one: &[u8; N], other: &[u8; N]) -> bool {
    const { assert!(N.is_multiple_of(size_of::<u64>())) };
    let pairs = one.as_chunks().0.iter().zip(other.as_chunks().0);
    let word = |bytes: &[u8; 8]| u64::from_ne_bytes(*bytes);
    let differences = pairs.fold(0, |all, (one, other)| all | (word(one) ^ word(other)));
    differences.ct_eq(&0).into()
}

/// Wipes like `Zeroize`, but as fast as memory allows: with one `memset` that the compiler must not remove, instead
/// of byte by byte.
pub(crate) fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    optimization_barrier(bytes);
}

/// Wipes what the functions that were just called have left on the stack. Values that are moved can carry such
/// remains in their padding to the heap, where they may stay.
#[inline(never)]
pub(crate) fn wipe_remains() {
    wipe(&mut [0; 1024]);
}

impl<const N: usize> ConstantTimeEq for Secret<N> {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.expose().as_slice().ct_eq(other.expose().as_slice())
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_compared_by_value() {
        let secret = Secret::new([7; 32]);
        assert!(bool::from(secret.ct_eq(&secret.copy())));
        let mut other = [7; 32];
        other[31] = 8;
        assert!(!bool::from(secret.ct_eq(&Secret::new(other))));
    }

    #[test]
    fn a_difference_in_any_byte_of_a_mac_is_found() {
        let mac = [7; 16];
        assert!(is_same(&mac, &[7; 16]));
        for at in 0..mac.len() {
            let mut other = mac;
            other[at] ^= 1;
            assert!(!is_same(&mac, &other), "byte {at}");
            // The same difference in another word must not cancel it.
            other[(at + 8) % 16] ^= 1;
            assert!(!is_same(&mac, &other), "byte {at} and the same byte of the other word");
        }
    }

    #[test]
    fn a_secret_that_is_shared_is_wiped_by_its_last_owner() {
        let one = Shared::copied(&[7; 32]);
        let other = one.clone();
        assert!(std::ptr::eq(one.expose(), other.expose()));
        drop(one);
        assert_eq!(other.expose(), &[7; 32]);
    }

    #[test]
    fn shared_keys_keep_their_order() {
        let keys = SharedKeys::of([&[1; 32], &[2; 32]]);
        let copy = keys.clone();
        assert!(Arc::ptr_eq(&keys.0, &copy.0));
        drop(keys);
        assert_eq!(copy.expose(), &[[1; 32], [2; 32]], "the keys of the other owner do not change");
        assert_eq!(format!("{copy:?}"), "SharedKeys(2)");
    }

    #[test]
    fn only_the_exact_length_is_accepted() {
        assert!(Secret::<4>::from_slice(&[1, 2, 3]).is_none());
        assert!(Secret::<4>::from_slice(&[1, 2, 3, 4, 5]).is_none());
        assert_eq!(Secret::<4>::from_slice(&[1, 2, 3, 4]).unwrap().expose(), &[1, 2, 3, 4]);
    }

    #[test]
    fn debug_output_reveals_nothing() {
        assert_eq!(format!("{:?}", Secret::new([42; 32])), "Secret(..)");
        assert_eq!(format!("{:?}", Shared::copied(&[42; 32])), "Shared(..)");
    }
}
