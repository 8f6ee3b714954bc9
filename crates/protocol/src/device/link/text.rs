//! Base32 (RFC 4648, section 6) in upper case and without padding, which fits the alphanumeric mode of QR codes.

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(5) {
        let mut padded = [0; 8];
        if let Some(place) = padded.get_mut(3..) {
            place.iter_mut().zip(group).for_each(|(place, byte)| *place = *byte);
        }
        let bits = u64::from_be_bytes(padded);
        let digits = group.len().saturating_mul(8).div_ceil(5);
        let shifts = [35, 30, 25, 20, 15, 10, 5, 0].into_iter().take(digits);
        text.extend(
            shifts
                .filter_map(|shift| ALPHABET.get(((bits >> shift) & 31) as usize))
                .map(|digit| char::from(*digit)),
        );
    }
    text
}

/// Accepts small letters. `None` if it is not the encoding of anything.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for group in text.as_bytes().chunks(8) {
        let mut bits: u64 = 0;
        for digit in group {
            let digit = digit.to_ascii_uppercase();
            let value = ALPHABET.iter().position(|letter| *letter == digit)?;
            bits = (bits << 5) | u64::try_from(value).ok()?;
        }
        let missing = 8_usize.checked_sub(group.len())?;
        let bits = bits << missing.checked_mul(5)?;
        let (_, whole) =
            bits.to_be_bytes().split_first_chunk::<3>().map(|(head, rest)| (*head, rest.to_vec()))?;
        let length = group.len().checked_mul(5)? / 8;
        let (content, rest) = whole.split_at_checked(length)?;
        // Lengths that no encoding has, and bits that are not part of a byte.
        if length.checked_mul(8)?.div_ceil(5) != group.len() || rest.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend(content);
    }
    Some(bytes)
}
