//! GF(2^16), the field of the erasure code: a `u16` whose bit `i` is the coefficient of `x^i`, modulo
//! `x^16 + x^12 + x^3 + x + 1`. Addition and subtraction are `^`.
//!
//! There are no tables, which would take half a megabyte. The most frequent operation, a sum of multiples of rows,
//! needs no products.

/// Sixteen elements, one for each column: the big-endian values of a row of 32 bytes.
pub(crate) type Lanes = [u16; 16];

/// The product.
#[expect(clippy::arithmetic_side_effects, reason = "counts to 16, and shifts a u32 by less than 32")]
pub(crate) const fn mul(a: u16, b: u16) -> u16 {
    let mut product = 0;
    let mut bit = 0;
    while bit < 16 {
        product ^= ((a as u32) << bit) & 0_u32.wrapping_sub((b as u32 >> bit) & 1);
        bit += 1;
    }
    // Replaces x^16 by x^12 + x^3 + x + 1. The part above has 15 bits at first, and each step shortens it by four.
    let mut fold = 0;
    while fold < 4 {
        let high = product >> 16;
        product = (product & 0xffff) ^ (high << 12) ^ (high << 3) ^ (high << 1) ^ high;
        fold += 1;
    }
    product as u16
}

/// `1 / a`, which is `a^(2^16 - 2)`. Zero for zero.
#[expect(clippy::arithmetic_side_effects, reason = "counts to 15")]
pub(crate) const fn inverse(a: u16) -> u16 {
    let mut power = a;
    let mut inverse = 1;
    let mut square = 0;
    while square < 15 {
        power = mul(power, power);
        inverse = mul(inverse, power);
        square += 1;
    }
    inverse
}

/// `Σ factor · row`, in all columns at once: for each bit of the factors from the highest, double, then add the rows
/// that have it.
pub(crate) fn combine<const K: usize>(factors: &[u16; K], rows: &[Lanes; K]) -> Lanes {
    let mut sum = [0; 16];
    for bit in (0..16).rev() {
        sum = sum.map(double);
        for (factor, row) in factors.iter().zip(rows) {
            let mask = 0_u16.wrapping_sub(factor.wrapping_shr(bit) & 1);
            for (sum, element) in sum.iter_mut().zip(row) {
                *sum ^= element & mask;
            }
        }
    }
    sum
}

/// The elements of a row.
pub(crate) fn lanes(row: &[u8; 32]) -> Lanes {
    let mut lanes = [0; 16];
    for (lane, pair) in lanes.iter_mut().zip(row.as_chunks().0) {
        *lane = u16::from_be_bytes(*pair);
    }
    lanes
}

/// The row of these elements.
pub(crate) fn row(lanes: &Lanes) -> [u8; 32] {
    let mut row = [0; 32];
    for (pair, lane) in row.as_chunks_mut().0.iter_mut().zip(lanes) {
        *pair = lane.to_be_bytes();
    }
    row
}

/// `x · a`.
fn double(a: u16) -> u16 {
    (a << 1) ^ (0x100b & 0_u16.wrapping_sub(a >> 15))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors;

    fn element(value: &serde_json::Value) -> u16 {
        u16::from_str_radix(value.as_str().unwrap(), 16).unwrap()
    }

    #[test]
    fn products_and_inverses_agree_with_the_vectors() {
        let file = vectors::load_spqr("kat_components");
        for case in file["gf16_mul"].as_array().unwrap() {
            assert_eq!(mul(element(&case[0]), element(&case[1])), element(&case[2]));
        }
        for case in file["gf16_inv"].as_array().unwrap() {
            assert_eq!(inverse(element(&case[0])), element(&case[1]));
        }
    }

    #[test]
    fn every_element_but_zero_has_an_inverse() {
        assert!((1..=u16::MAX).all(|a| mul(a, inverse(a)) == 1));
        assert_eq!(inverse(0), 0);
    }

    #[test]
    fn a_combination_is_a_sum_of_products() {
        let factors = [0, 1, 0x8001, 0xffff, 0x1234];
        let rows: [Lanes; 5] = std::array::from_fn(|r| std::array::from_fn(|c| (r * 4099 + c * 257) as u16));
        let sum = |c: usize| factors.iter().zip(&rows).fold(0, |sum, (f, row)| sum ^ mul(*f, row[c]));
        assert_eq!(combine(&factors, &rows), std::array::from_fn(sum));
    }

    #[test]
    fn a_row_is_the_same_after_converting_it_to_elements() {
        let bytes = std::array::from_fn(|at| at as u8);
        assert_eq!(lanes(&bytes)[1], 0x0203);
        assert_eq!(row(&lanes(&bytes)), bytes);
    }
}
