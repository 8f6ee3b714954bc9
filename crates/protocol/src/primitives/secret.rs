//! Bytes that are wiped, cannot be printed and are compared in constant time.

use std::fmt;

use rand_core::CryptoRng;
use subtle::{Choice, ConstantTimeEq};
use zeroize::{ZeroizeOnDrop, optimization_barrier};

/// `N` secret bytes: on the heap, so that a move leaves no copy behind; wiped on drop; without `Clone`, `==` or a
/// printable form. [`expose`](Self::expose) is the one door.
///
/// ```compile_fail,E0369
/// let [a, b] = [[7; 32], [7; 32]].map(sealpost_protocol::Secret::new);
/// assert!(a == b); // how long this takes would tell how much is the same
/// ```
///
/// ```compile_fail,E0599
/// let copy = sealpost_protocol::Secret::new([7; 32]).clone();
/// ```
pub struct Secret<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// Takes the bytes in. The caller's own copy is the caller's to wipe.
    pub fn new(bytes: [u8; N]) -> Self {
        Self(Box::new(bytes))
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// Lets `write` produce the bytes in their final place.
    pub(crate) fn fill(write: impl FnOnce(&mut [u8; N])) -> Self {
        let mut secret = Self(Box::new([0; N]));
        write(&mut secret.0);
        secret
    }

    /// The bytes after `change`, in the same place.
    pub(crate) fn changed(mut self, change: impl FnOnce(&mut [u8; N])) -> Self {
        change(&mut self.0);
        self
    }

    /// Fresh random bytes.
    pub(crate) fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::fill(|bytes| rng.fill_bytes(bytes))
    }

    /// `None` unless there are exactly `N` bytes.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        // Copied once, from there to the heap.
        Box::<[u8]>::from(bytes).try_into().ok().map(Self)
    }

    /// A second copy. Not `Clone`: a copy of a secret is a decision.
    pub(crate) fn copy(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        wipe(self.0.as_mut_slice());
    }
}

impl<const N: usize> ZeroizeOnDrop for Secret<N> {}

/// As `Zeroize`, but as fast as memory can be: with one `memset` that the compiler must not leave out, instead of byte by
/// byte.
pub(crate) fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    optimization_barrier(bytes);
}

/// Wipes what the functions that were just called have left on the stack. Values that are moved take such remains along in
/// their gaps, and so to the heap, where they may stay.
#[inline(never)]
pub(crate) fn wipe_remains() {
    wipe(&mut [0; 1024]);
}

impl<const N: usize> ConstantTimeEq for Secret<N> {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.as_slice().ct_eq(other.0.as_slice())
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
    fn only_the_exact_length_is_taken() {
        assert!(Secret::<4>::from_slice(&[1, 2, 3]).is_none());
        assert!(Secret::<4>::from_slice(&[1, 2, 3, 4, 5]).is_none());
        assert_eq!(Secret::<4>::from_slice(&[1, 2, 3, 4]).unwrap().expose(), &[1, 2, 3, 4]);
    }

    #[test]
    fn printing_tells_nothing() {
        assert_eq!(format!("{:?}", Secret::new([42; 32])), "Secret(..)");
    }
}
