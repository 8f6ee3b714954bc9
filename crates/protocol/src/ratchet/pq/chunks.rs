//! The erasure code: an object of `K` rows is encoded as 65,536 chunks of 32 bytes, any `K` of which suffice to
//! restore it.
//!
//! Row `r`, column `c` is the value at `r` of the polynomial `P_c`, of degree less than `K`, over
//! [GF(2^16)](super::gf16). Chunk `i` is `P_0(i) || .. || P_15(i)`. The first `K` chunks are therefore the rows, and
//! the others are parity.

use std::array;
use std::fmt;
use std::sync::Arc;

use super::gf16;

/// 32 bytes, 16 elements.
pub(crate) type Row = [u8; 32];

/// One chunk of an object, as it is transmitted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) index: u16,
    pub(crate) row: Row,
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({})", self.index)
    }
}

/// Yields the chunks in order, and starts again after the last.
#[derive(Clone)]
pub(crate) struct Encoder<const K: usize> {
    rows: Arc<[Row; K]>,
    next: u16,
}

impl<const K: usize> Encoder<K> {
    /// `1 / Π (r - j)` over the other rows `j`, for each row `r`.
    const WEIGHTS: [u16; K] = weights_of_rows();

    pub(crate) fn new(rows: Arc<[Row; K]>) -> Self {
        Self::at(rows, 0)
    }

    /// An encoder that has already yielded the chunks before `next`.
    pub(crate) fn at(rows: Arc<[Row; K]>, next: u16) -> Self {
        Self { rows, next }
    }

    pub(crate) fn rows(&self) -> &Arc<[Row; K]> {
        &self.rows
    }

    pub(crate) fn next_index(&self) -> u16 {
        self.next
    }

    pub(crate) fn send(self) -> (Self, Chunk) {
        let Self { rows, next: index } = self;
        let row = rows.get(usize::from(index)).copied().unwrap_or_else(|| Self::parity(&rows, index));
        (Self { rows, next: index.wrapping_add(1) }, Chunk { index, row })
    }

    fn parity(rows: &[Row; K], index: u16) -> Row {
        let points = first_points();
        let factors = lagrange(&points, &Self::WEIGHTS, index);
        gf16::row(&gf16::combine(&factors, &rows.each_ref().map(gf16::lanes)))
    }
}

impl<const K: usize> fmt::Debug for Encoder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoder({} of {K})", self.next)
    }
}

/// Collects chunks until there are `K`.
#[derive(Clone)]
pub(crate) struct Decoder<const K: usize> {
    /// In the order of their indices, without duplicates; fewer than `K`.
    chunks: Arc<[Chunk]>,
}

/// The result of receiving a chunk.
#[derive(Debug)]
pub(crate) enum Progress<const K: usize> {
    Partial(Decoder<K>),
    Complete([Row; K]),
}

impl<const K: usize> Decoder<K> {
    pub(crate) fn empty() -> Self {
        Self { chunks: Arc::default() }
    }

    /// A decoder with its first chunk. Every object consists of more than one.
    pub(crate) fn begin(chunk: Chunk) -> Self {
        const { assert!(K > 1) };
        Self { chunks: [chunk].into() }
    }

    /// A decoder with these chunks. Returns `None` if they are not in the form that [`chunks`](Self::chunks) returns.
    pub(crate) fn holding(chunks: Arc<[Chunk]>) -> Option<Self> {
        let in_order = chunks.is_sorted_by(|before, after| before.index < after.index);
        (in_order && chunks.len() < K).then_some(Self { chunks })
    }

    /// The chunks, in the order of their indices.
    pub(crate) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Of two chunks with the same index, the later one is used.
    pub(crate) fn receive(self, chunk: Chunk) -> Progress<K> {
        let at = self.chunks.partition_point(|held| held.index < chunk.index);
        let (before, rest) = self.chunks.split_at_checked(at).unwrap_or_default();
        let after = match rest {
            [same, after @ ..] if same.index == chunk.index => after,
            after => after,
        };
        let at = |place: usize| {
            let held = match place.checked_sub(before.len()) {
                None => before.get(place),
                Some(0) => Some(&chunk),
                Some(behind) => after.get(behind.saturating_sub(1)),
            };
            *held.unwrap_or(&chunk)
        };
        let count = before.len().saturating_add(1).saturating_add(after.len());
        if count == K {
            return Progress::Complete(interpolate(&array::from_fn(at)));
        }
        // Each chunk is written once, directly to its final place.
        Progress::Partial(Self { chunks: (0..count).map(at).collect() })
    }
}

impl<const K: usize> fmt::Debug for Decoder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decoder({} of {K})", self.chunks.len())
    }
}

/// Restores all rows from any `K` chunks.
fn interpolate<const K: usize>(chunks: &[Chunk; K]) -> [Row; K] {
    let points = chunks.each_ref().map(|chunk| chunk.index);
    // The chunks are sorted. If none was lost, which is the usual case, they are the rows.
    if points == first_points() {
        return chunks.each_ref().map(|chunk| chunk.row);
    }
    let values = chunks.each_ref().map(|chunk| gf16::lanes(&chunk.row));
    let weights = points.map(|point| gf16::inverse(product_of_differences(&points, point)));
    first_points().map(|index| match chunks.iter().find(|chunk| chunk.index == index) {
        Some(chunk) => chunk.row,
        None => gf16::row(&gf16::combine(&lagrange(&points, &weights, index), &values)),
    })
}

/// The weight of each value at `x`: `weight_i · Π (x - x_j)` over the others, where `weight_i = 1 / Π (x_i - x_j)`.
/// Each product is that of all factors before `i` times that of all after it.
fn lagrange<const K: usize>(points: &[u16; K], weights: &[u16; K], x: u16) -> [u16; K] {
    let mut factors = *weights;
    let mut product = 1;
    for (factor, point) in factors.iter_mut().zip(points) {
        *factor = gf16::mul(*factor, product);
        product = gf16::mul(product, x ^ point);
    }
    product = 1;
    for (factor, point) in factors.iter_mut().zip(points).rev() {
        *factor = gf16::mul(*factor, product);
        product = gf16::mul(product, x ^ point);
    }
    factors
}

/// The points of the rows.
fn first_points<const K: usize>() -> [u16; K] {
    let mut index = 0_u16..;
    [(); K].map(|()| index.next().unwrap_or(u16::MAX))
}

/// `Π (x - x_j)` over the points other than `x`.
fn product_of_differences(points: &[u16], x: u16) -> u16 {
    points.iter().filter(|point| **point != x).fold(1, |product, point| gf16::mul(product, x ^ point))
}

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "evaluated at compile time, where a failure is a compile error"
)]
const fn weights_of_rows<const K: usize>() -> [u16; K] {
    let mut weights = [1; K];
    let mut row = 0;
    while row < K {
        let mut other = 0;
        while other < K {
            if other != row {
                weights[row] = gf16::mul(weights[row], (row ^ other) as u16);
            }
            other += 1;
        }
        weights[row] = gf16::inverse(weights[row]);
        row += 1;
    }
    weights
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::vectors::{self, bytes};

    fn check<const K: usize>(case: &Value) {
        let mut rows = [[0; 32]; K];
        rows.as_flattened_mut().copy_from_slice(&bytes(&case["message"]));
        for (index, row) in case["chunks"].as_object().unwrap() {
            let (next, chunk) = Encoder::at(Arc::new(rows), index.parse().unwrap()).send();
            assert_eq!(chunk.row.as_slice(), bytes(row), "chunk {index} of {K}");
            assert_eq!(next.next_index(), chunk.index.wrapping_add(1));
        }
    }

    #[test]
    fn chunks_agree_with_the_vectors() {
        let file = vectors::load_spqr("kat_components");
        for case in file["erasure"].as_array().unwrap() {
            match case["k"].as_u64().unwrap() {
                3 => check::<3>(case),
                5 => check::<5>(case),
                30 => check::<30>(case),
                36 => check::<36>(case),
                k => panic!("no object has {k} rows"),
            }
        }
    }

    #[test]
    fn the_later_of_two_chunks_with_the_same_index_is_used() {
        let chunk = |index, byte| Chunk { index, row: [byte; 32] };
        let Progress::Partial(decoder) = Decoder::<2>::begin(chunk(1, 7)).receive(chunk(1, 8)) else {
            panic!("an index is not distinct from itself")
        };
        let Progress::Complete(rows) = decoder.receive(chunk(0, 9)) else { panic!("two are enough") };
        assert_eq!(rows, [[9; 32], [8; 32]]);
    }

    #[test]
    fn a_decoder_accepts_only_chunks_that_it_could_have_received() {
        let chunk = |index: &u16| Chunk { index: *index, row: [7; 32] };
        let holds = |indices: &[u16]| Decoder::<3>::holding(indices.iter().map(chunk).collect()).is_some();
        assert!(holds(&[]) && holds(&[9]) && holds(&[1, 9]));
        assert!(!holds(&[9, 1]), "out of order");
        assert!(!holds(&[9, 9]), "one index twice");
        assert!(!holds(&[1, 2, 9]), "enough to be complete");
    }

    proptest! {
        #[test]
        fn any_k_chunks_restore_the_object(
            rows: [Row; 5],
            indices in proptest::collection::hash_set(any::<u16>(), 5),
        ) {
            let mut progress = Progress::Partial(Decoder::empty());
            for index in indices {
                let Progress::Partial(decoder) = progress else { panic!("complete before the fifth chunk") };
                progress = decoder.receive(Encoder::at(Arc::new(rows), index).send().1);
            }
            let Progress::Complete(decoded) = progress else { panic!("five chunks are enough") };
            prop_assert_eq!(decoded, rows);
        }
    }
}
