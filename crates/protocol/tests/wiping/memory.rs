//! Searches the memory of this process for bytes that should have been wiped.
//!
//! All writable memory is searched, including freed memory, except the stack of the calling thread: a library cannot wipe
//! registers or what functions leave on the stack.

#![expect(clippy::disallowed_types, reason = "reading memory as a file needs no unsafe code")]

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;

use zeroize::Zeroize as _;

/// Which part of a secret is searched for. An allocator writes its own data to the beginning of freed memory.
const OFFSET: usize = 16;
const LENGTH: usize = 16;
/// Prevents the needle itself from being found.
const MASK: u8 = 0xa5;
const CHUNK: usize = 1 << 20;

/// A masked part of a secret to search for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needle([u8; LENGTH]);

impl Needle {
    /// The needle for a secret of 32 bytes or more.
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(std::array::from_fn(|at| secret[OFFSET + at] ^ MASK))
    }
}

/// How often each needle occurs.
pub(crate) fn count(needles: &[Needle]) -> Vec<usize> {
    let mut counts = vec![0; needles.len()];
    let mut begins_one = vec![false; 1 << 16];
    for Needle([a, b, ..]) in needles {
        begins_one[usize::from(u16::from_be_bytes([a ^ MASK, b ^ MASK]))] = true;
    }
    let mut chunk = vec![0; CHUNK];
    // The buffer itself must not be searched.
    let buffer = chunk.as_ptr_range();
    let buffer = buffer.start.addr()..buffer.end.addr();
    for region in regions().into_iter().flat_map(|region| around(&region, &buffer)) {
        let mut at = region.start;
        while at < region.end {
            // Chunks overlap, so that a needle at a boundary is found.
            let length = CHUNK.min(region.end - at);
            let chunk = &mut chunk[..length];
            if !read(at, chunk) {
                break;
            }
            for window in chunk.array_windows::<LENGTH>() {
                let [a, b, ..] = *window;
                if begins_one[usize::from(u16::from_be_bytes([a, b]))] {
                    for (Needle(masked), count) in needles.iter().zip(&mut counts) {
                        *count += usize::from(window.iter().zip(masked).all(|(a, b)| a ^ MASK == *b));
                    }
                }
            }
            at += if length == CHUNK { CHUNK - (LENGTH - 1) } else { length };
        }
    }
    chunk.zeroize();
    counts
}

/// Whether none of the needles occurs.
pub(crate) fn is_free_of(needles: &[Needle]) -> bool {
    count(needles).iter().all(|count| *count == 0)
}

/// Whether all of the needles occur.
pub(crate) fn holds(needles: &[Needle]) -> bool {
    count(needles).iter().all(|count| *count > 0)
}

/// All writable regions except the current stack.
fn regions() -> Vec<Range<usize>> {
    let on_the_stack = 0_u8;
    let here = std::ptr::from_ref(&on_the_stack).addr();
    let mut maps = String::new();
    open("/proc/self/maps").read_to_string(&mut maps).unwrap();
    let regions = maps.lines().filter_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let parse = |hex| usize::from_str_radix(hex, 16).unwrap();
        rest.starts_with("rw").then(|| parse(start)..parse(end))
    });
    regions.filter(|region| !region.contains(&here)).collect()
}

/// The two parts of the region before and after `part`.
fn around(region: &Range<usize>, part: &Range<usize>) -> [Range<usize>; 2] {
    [region.start..region.end.min(part.start), region.start.max(part.end)..region.end]
}

/// Returns `false` if the system does not allow reading there.
fn read(at: usize, into: &mut [u8]) -> bool {
    let mut memory = open("/proc/self/mem");
    memory.seek(SeekFrom::Start(at as u64)).unwrap();
    memory.read_exact(into).is_ok()
}

fn open(path: &str) -> File {
    File::open(path).unwrap()
}
