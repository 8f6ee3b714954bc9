//! HMAC-SHA256 (RFC 2104) and HKDF-SHA256 (RFC 5869) over the compression function of `sha2` (docs/adr/0014).
//!
//! What the ratchets derive is short: a few blocks of 64 bytes. What that costs is the compressions, and here nothing else:
//! the state of a key serves all its inputs, that of the absent salt is made once, and a key is written where it stays.

use std::slice;
use std::sync::LazyLock;

use sha2::block_api::compress256;
use sha2::{Digest as _, Sha256};
use zeroize::optimization_barrier;

/// Bytes of a block.
const BLOCK: usize = 64;
/// Bytes of a digest.
const DIGEST: usize = 32;

/// RFC 2104, section 2.
const INNER_PAD: u8 = 0x36;
const OUTER_PAD: u8 = 0x5c;

/// A chaining value of SHA-256.
type State = [u32; 8];

/// FIPS 180-4, section 5.3.3.
const INITIAL: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A key: the two states behind its block, inner and outer. Wiped on drop.
pub(super) struct Key {
    inner: State,
    outer: State,
}

impl Key {
    /// Of any length; what is longer than a block counts by its digest.
    pub(super) fn new(key: &[u8]) -> Self {
        let mut padded = Block([0; BLOCK]);
        if key.len() > BLOCK {
            fill(&mut padded.0, &Sha256::digest(key));
        } else {
            fill(&mut padded.0, key);
        }
        let mut own = Self { inner: INITIAL, outer: INITIAL };
        padded.0.iter_mut().for_each(|byte| *byte ^= INNER_PAD);
        compress256(&mut own.inner, slice::from_ref(&padded.0));
        padded.0.iter_mut().for_each(|byte| *byte ^= INNER_PAD ^ OUTER_PAD);
        compress256(&mut own.outer, slice::from_ref(&padded.0));
        own
    }

    /// HMAC of the concatenated `parts`, written to `out`.
    pub(super) fn mac(&self, parts: &[&[u8]], out: &mut [u8; DIGEST]) {
        let mut hash = self.begin();
        for part in parts {
            hash.update(part);
        }
        self.end(&mut hash, out);
    }

    const fn begin(&self) -> Hash {
        Hash { state: self.inner, block: [0; BLOCK], filled: 0, length: BLOCK as u64 }
    }

    /// The outer hash, of what the inner one gives.
    fn end(&self, hash: &mut Hash, out: &mut [u8; DIGEST]) {
        hash.finish(out);
        (hash.state, hash.filled, hash.length) = (self.outer, 0, BLOCK as u64);
        hash.update(out);
        hash.finish(out);
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        (self.inner, self.outer) = ([0; 8], [0; 8]);
        optimization_barrier(self);
    }
}

/// SHA-256 under way. Wiped on drop.
struct Hash {
    state: State,
    block: [u8; BLOCK],
    /// How much of `block` there is: less than all of it.
    filled: usize,
    /// Bytes so far.
    length: u64,
}

impl Hash {
    fn update(&mut self, mut bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len() as u64);
        while !bytes.is_empty() {
            let room = self.block.get_mut(self.filled..).unwrap_or_default();
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            fill(room, now);
            self.filled = self.filled.saturating_add(now.len());
            bytes = later;
            if self.filled == BLOCK {
                compress256(&mut self.state, slice::from_ref(&self.block));
                self.filled = 0;
            }
        }
    }

    /// A one, zeros, and the length in bits (FIPS 180-4, section 5.1.1).
    fn finish(&mut self, out: &mut [u8; DIGEST]) {
        let bits = self.length.wrapping_mul(8).to_be_bytes();
        let rest = self.block.get_mut(self.filled..).unwrap_or_default();
        rest.fill(0);
        fill(rest, &[0x80]);
        if rest.len() <= bits.len() {
            compress256(&mut self.state, slice::from_ref(&self.block));
            self.block = [0; BLOCK];
        }
        if let Some(end) = self.block.last_chunk_mut() {
            *end = bits;
        }
        compress256(&mut self.state, slice::from_ref(&self.block));
        let (words, _) = out.as_chunks_mut();
        for (bytes, word) in words.iter_mut().zip(self.state) {
            *bytes = word.to_be_bytes();
        }
    }
}

impl Drop for Hash {
    fn drop(&mut self) {
        (self.state, self.block) = ([0; 8], [0; BLOCK]);
        optimization_barrier(self);
    }
}

/// The output of HKDF, 32 bytes at a time.
pub(super) struct Expansion {
    key: Key,
    block: Digest,
    /// How many there were.
    number: u8,
}

impl Expansion {
    /// Extracts from the concatenated parts of `input`. No salt is 32 zeros.
    pub(super) fn new(salt: Option<&[u8]>, input: &[&[u8]]) -> Self {
        static UNSALTED: LazyLock<Key> = LazyLock::new(|| Key::new(&[]));
        let mut extracted = Digest([0; DIGEST]);
        match salt {
            Some(salt) => Key::new(salt).mac(input, &mut extracted.0),
            None => UNSALTED.mac(input, &mut extracted.0),
        }
        Self { key: Key::new(&extracted.0), block: Digest([0; DIGEST]), number: 0 }
    }

    /// Fills `out`, of at most 32 bytes, with the next of the output. It ends after 255 of them, and ours after three.
    pub(super) fn next(&mut self, info: &[&[u8]], out: &mut [u8]) {
        let mut hash = self.key.begin();
        if self.number > 0 {
            hash.update(&self.block.0);
        }
        for part in info {
            hash.update(part);
        }
        self.number = self.number.saturating_add(1);
        hash.update(&[self.number]);
        self.key.end(&mut hash, &mut self.block.0);
        fill(out, &self.block.0);
    }
}

/// 64 bytes, and 32, that are wiped on drop: at once, where `Zeroizing` does it byte by byte.
struct Block([u8; BLOCK]);
struct Digest([u8; DIGEST]);

impl Drop for Block {
    fn drop(&mut self) {
        self.0 = [0; BLOCK];
        optimization_barrier(self);
    }
}

impl Drop for Digest {
    fn drop(&mut self) {
        self.0 = [0; DIGEST];
        optimization_barrier(self);
    }
}

/// Writes as much of `from` as there is room for.
fn fill(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Inputs that end before, at and behind each edge of a block, in parts of any length.
        #[test]
        fn macs_are_those_of_the_library(
            key in prop::collection::vec(any::<u8>(), 0..150),
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..140), 0..4),
        ) {
            let mut own = [0; DIGEST];
            let borrowed: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            Key::new(&key).mac(&borrowed, &mut own);
            let theirs = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(parts.concat());
            prop_assert_eq!(own.as_slice(), &*theirs.finalize().into_bytes());
        }

        #[test]
        fn expansions_are_those_of_the_library(
            salt in prop::option::of(prop::collection::vec(any::<u8>(), 0..100)),
            input in prop::collection::vec(any::<u8>(), 0..100),
            info in prop::collection::vec(any::<u8>(), 0..100),
            cut in any::<prop::sample::Index>(),
            length in 1..200_usize,
        ) {
            let mut own = vec![0; length];
            let (start, end) = input.split_at(cut.index(input.len().saturating_add(1)));
            let mut expansion = Expansion::new(salt.as_deref(), &[start, end]);
            own.chunks_mut(DIGEST).for_each(|out| expansion.next(&[&info], out));
            let mut theirs = vec![0; length];
            hkdf::Hkdf::<Sha256>::new(salt.as_deref(), &input).expand(&info, &mut theirs).unwrap();
            prop_assert_eq!(own, theirs);
        }
    }

    /// Every length of an input up to the third block: where the padding has no room, it takes a block more.
    #[test]
    fn every_length_is_padded_as_by_the_library() {
        for length in 0..=200 {
            let (key, input) = (Key::new(b"key"), vec![7; length]);
            let mut own = [0; DIGEST];
            key.mac(&[&input], &mut own);
            let theirs = Hmac::<Sha256>::new_from_slice(b"key").unwrap().chain_update(&input);
            assert_eq!(own.as_slice(), &*theirs.finalize().into_bytes(), "{length}");
        }
    }
}
