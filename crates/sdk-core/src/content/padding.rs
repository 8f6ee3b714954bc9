//! Padding, so that the size of a ciphertext reveals little about its content.
//!
//! A content is followed by `0x80` and zeros, up to one byte less than a multiple of 80 bytes; the cipher's own
//! padding adds the last byte.

use zeroize::Zeroizing;

use super::ContentError;

/// Contents are padded to multiples of this many bytes.
pub(super) const BLOCK: usize = 80;
/// The first byte of the padding, which is followed by zeros.
const MARK: u8 = 0x80;

/// Pads an encoded content.
pub(super) fn pad(mut bytes: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    let blocks = bytes.len().saturating_add(2).div_ceil(BLOCK);
    let padded = blocks.saturating_mul(BLOCK).saturating_sub(1);
    bytes.push(MARK);
    bytes.resize(padded, 0);
    bytes
}

/// The inverse of [`pad`], for padding of any length.
///
/// # Errors
/// [`ContentError::Malformed`] if there is no padding.
pub(super) fn unpad(padded: &[u8]) -> Result<&[u8], ContentError> {
    let mark = padded.iter().rposition(|byte| *byte != 0).ok_or(ContentError::Malformed)?;
    let (content, padding) = padded.split_at_checked(mark).ok_or(ContentError::Malformed)?;
    if padding.first() != Some(&MARK) {
        return Err(ContentError::Malformed);
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn padding_round_trips(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let padded = pad(Zeroizing::new(bytes.clone()));
            prop_assert_eq!(padded.len() % BLOCK, BLOCK.saturating_sub(1));
            prop_assert_eq!(unpad(&padded), Ok(bytes.as_slice()));
        }
    }

    #[test]
    fn bytes_without_padding_are_refused() {
        assert_eq!(unpad(&[]), Err(ContentError::Malformed));
        assert_eq!(unpad(&[0; 79]), Err(ContentError::Malformed));
        assert_eq!(unpad(b"text"), Err(ContentError::Malformed));
    }
}
