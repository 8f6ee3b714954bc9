//! Private keys in requests.

use sealpost_protocol::Secret;

use crate::failure::Failure;
use crate::hex::Hex;

/// A private key of any kind.
pub(super) fn private(bytes: &Hex) -> Result<Secret<32>, Failure> {
    let wrong_length = |_| Failure::new("wrong_length", "a private key has 32 bytes");
    Ok(Secret::new(bytes.0.as_slice().try_into().map_err(wrong_length)?))
}
