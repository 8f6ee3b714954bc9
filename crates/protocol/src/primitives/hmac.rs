//! HMAC-SHA256 (RFC 2104) and HKDF-SHA256 (RFC 5869) over the compression function of `sha2` (docs/adr/0014).
//!
//! The inputs of the ratchets are short: a few blocks of 64 bytes. The compressions are the only significant cost
//! here: the state of a key is reused for all its inputs, the state of the absent salt is computed once, and keys are
//! written directly to their final place.

use std::slice;
use std::sync::LazyLock;

use sha2::block_api::compress256;
use sha2::{Digest as _, Sha256};
use zeroize::optimization_barrier;

/// The size of a block, in bytes.
const BLOCK: usize = 64;
/// The position of the length in the last block of a hash: its last eight bytes.
const LENGTH_AT: usize = BLOCK - size_of::<u64>();
/// The size of a digest, in bytes.
const DIGEST: usize = 32;

/// RFC 2104, section 2.
const INNER_PAD: u8 = 0x36;
const OUTER_PAD: u8 = 0x5c;

/// A chaining value of SHA-256.
type State = [u32; 8];

/// FIPS 180-4, section 5.3.3.
const INITIAL: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A key: the inner and the outer state after its block. Wiped on drop.
pub(super) struct Key {
    inner: State,
    outer: State,
}

impl Key {
    /// A key of any length. If it is longer than a block, its digest is used.
    pub(super) fn new(key: &[u8]) -> Self {
        let mut padded = Block([0; BLOCK]);
        match (<&[u8; DIGEST]>::try_from(key), padded.0.first_chunk_mut()) {
            // The usual case: the copy is a few instructions, where a copy of any length is a call.
            (Ok(key), Some(place)) => *place = *key,
            _ => pad_key(key, &mut padded.0),
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

    /// HMACs of two inputs. They are independent, so a processor with enough execution units computes them in
    /// parallel.
    pub(super) fn mac_two(&self, inputs: [&[u8]; 2], out: [&mut [u8; DIGEST]; 2]) {
        let mut hashes = [self.begin(), self.begin()];
        for (hash, input) in hashes.iter_mut().zip(inputs) {
            hash.update(input);
            hash.pad();
        }
        hashes.iter_mut().for_each(Hash::compress);
        hashes.iter_mut().for_each(|hash| self.begin_outer(hash));
        hashes.iter_mut().for_each(Hash::compress);
        hashes.iter().zip(out).for_each(|(hash, out)| hash.write(out));
    }

    const fn begin(&self) -> Hash {
        Hash { state: self.inner, block: [0; BLOCK], filled: 0, compressed: BLOCK as u64 }
    }

    fn end(&self, hash: &mut Hash, out: &mut [u8; DIGEST]) {
        hash.pad();
        hash.compress();
        self.begin_outer(hash);
        hash.compress();
        hash.write(out);
    }

    /// Goes from the end of the inner hash to the last block of the outer hash, which contains the inner digest.
    fn begin_outer(&self, hash: &mut Hash) {
        /// A one bit after the digest, zeros, and the length of the key's block and the digest in bits.
        const PADDED: [u8; BLOCK] = {
            let mut block = [0; BLOCK];
            let [low, high] = (((BLOCK + DIGEST) * 8) as u16).to_le_bytes();
            (block[DIGEST], block[BLOCK - 2], block[BLOCK - 1]) = (0x80, high, low);
            block
        };
        hash.block = PADDED;
        if let Some(digest) = hash.block.first_chunk_mut() {
            write_words(&hash.state, digest);
        }
        hash.state = self.outer;
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        (self.inner, self.outer) = ([0; 8], [0; 8]);
        optimization_barrier(self);
    }
}

/// A SHA-256 computation in progress. Wiped on drop.
struct Hash {
    state: State,
    /// The bytes after the filled part are zero.
    block: [u8; BLOCK],
    /// How many bytes of `block` are filled; always less than all of them.
    filled: usize,
    /// How many bytes came before those of `block`.
    compressed: u64,
}

impl Hash {
    #[inline(always)]
    fn update(&mut self, bytes: &[u8]) {
        let end = self.filled.saturating_add(bytes.len());
        match self.block.get_mut(self.filled..end) {
            Some(room) if end < BLOCK => {
                room.copy_from_slice(bytes);
                self.filled = end;
            }
            _ => self.update_blocks(bytes),
        }
    }

    #[inline(never)]
    fn update_blocks(&mut self, mut bytes: &[u8]) {
        while let Some(room) = self.block.get_mut(self.filled..)
            && let Some(now) = bytes.split_off(..room.len())
        {
            room.copy_from_slice(now);
            self.compress();
            (self.block, self.filled) = ([0; BLOCK], 0);
            self.compressed = self.compressed.wrapping_add(BLOCK as u64);
        }
        let end = self.filled.saturating_add(bytes.len());
        if let Some(room) = self.block.get_mut(self.filled..end) {
            room.copy_from_slice(bytes);
            self.filled = end;
        }
    }

    /// Adds a one bit, zeros, and the length in bits (FIPS 180-4, section 5.1.1). The last block remains to be
    /// compressed.
    fn pad(&mut self) {
        let length = self.compressed.wrapping_add(self.filled as u64);
        if let Some(place) = self.block.get_mut(self.filled) {
            *place = 0x80;
        }
        if self.filled >= LENGTH_AT {
            self.compress();
            self.block = [0; BLOCK];
        }
        if let Some(end) = self.block.last_chunk_mut() {
            *end = length.wrapping_mul(8).to_be_bytes();
        }
    }

    fn compress(&mut self) {
        compress256(&mut self.state, slice::from_ref(&self.block));
    }

    fn write(&self, out: &mut [u8; DIGEST]) {
        write_words(&self.state, out);
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
    /// How many pieces have been produced.
    number: u8,
}

impl Expansion {
    /// Extracts from the concatenated parts of `input`. A missing salt is 32 zero bytes.
    pub(super) fn new(salt: Option<&[u8]>, input: &[&[u8]]) -> Self {
        static UNSALTED: LazyLock<Key> = LazyLock::new(|| Key::new(&[]));
        let mut extracted = Digest([0; DIGEST]);
        match salt {
            Some(salt) => Key::new(salt).mac(input, &mut extracted.0),
            None => UNSALTED.mac(input, &mut extracted.0),
        }
        Self { key: Key::new(&extracted.0), block: Digest([0; DIGEST]), number: 0 }
    }

    /// Fills `out`, of at most 32 bytes, with the next piece of the output. HKDF has 255 pieces; we use at most
    /// three.
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
        match <&mut [u8; DIGEST]>::try_from(&mut *out) {
            Ok(out) => *out = self.block.0,
            Err(_) => fill(out, &self.block.0),
        }
    }
}

/// 64 or 32 bytes that are wiped on drop in one operation, where `Zeroizing` would wipe byte by byte.
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

/// Writes the digest for a final state.
fn write_words(state: &State, out: &mut [u8; DIGEST]) {
    let (words, _) = out.as_chunks_mut();
    for (bytes, word) in words.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
}

/// Writes a key of another length than a digest's to `block`, which is zero.
#[inline(never)]
fn pad_key(key: &[u8], block: &mut [u8; BLOCK]) {
    match block.get_mut(..key.len()) {
        Some(place) => place.copy_from_slice(key),
        None => fill(block, &Sha256::digest(key)),
    }
}

/// Copies as much of `from` as there is room for.
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
        /// Inputs that end before, at and after each block boundary, in parts of any length.
        #[test]
        fn macs_match_the_library(
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
        fn expansions_match_the_library(
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

    /// Every input length up to the third block. If there is no room for the padding, it takes one more block.
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
