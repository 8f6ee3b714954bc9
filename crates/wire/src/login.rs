//! The bytes that a device signs with its login key.
//!
//! The relay verifies the signature with Ed25519 (RFC 8032). The bytes begin with a label for the purpose, so that a
//! signature for one purpose is never valid for another, and every field has a fixed length.

use crate::Challenge;
use crate::id::{DeviceId, UserId};
use crate::limits::CHALLENGE_NONCE;

/// The purpose of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To get new tokens for a device that the relay knows.
    Login,
    /// To restore a device that the relay has lost.
    Restore,
}

impl Purpose {
    const fn word(self) -> &'static [u8; 24] {
        match self {
            Self::Login => b"Sealpost login v1\0\0\0\0\0\0\0",
            Self::Restore => b"Sealpost restore v1\0\0\0\0\0",
        }
    }
}

/// The bytes to sign: the label of the purpose (24 bytes, padded with zeros), the user (16), the device (4), the
/// relay's epoch (8), the expiry time of the challenge (8) and its nonce (32). Numbers are big-endian.
pub fn signed_bytes(
    purpose: Purpose,
    user: UserId,
    device: DeviceId,
    challenge: &Challenge,
) -> Option<[u8; SIGNED]> {
    let nonce: &[u8; CHALLENGE_NONCE] = challenge.nonce.as_ref().try_into().ok()?;
    let parts: [&[u8]; 6] = [
        purpose.word(),
        user.as_bytes(),
        &device.get().to_be_bytes(),
        &challenge.epoch.to_be_bytes(),
        &challenge.expires_ms.to_be_bytes(),
        nonce,
    ];
    parts.concat().try_into().ok()
}

/// The length of the bytes to sign.
pub const SIGNED: usize = 24 + 16 + 4 + 8 + 8 + CHALLENGE_NONCE;

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge() -> Challenge {
        Challenge { nonce: vec![0xaa; 32].into(), epoch: 0x0102, expires_ms: 0x0304, server_time_ms: 9 }
    }

    #[test]
    fn every_field_has_a_fixed_position() {
        let (user, device) = (UserId::from_bytes([0xbb; 16]), DeviceId::new(7).unwrap());
        let bytes = signed_bytes(Purpose::Login, user, device, &challenge()).unwrap();
        let expected = [
            b"Sealpost login v1\0\0\0\0\0\0\0".to_vec(),
            vec![0xbb; 16],
            vec![0, 0, 0, 7],
            vec![0, 0, 0, 0, 0, 0, 1, 2],
            vec![0, 0, 0, 0, 0, 0, 3, 4],
            vec![0xaa; 32],
        ];
        assert_eq!(bytes.to_vec(), expected.concat());
        let other = signed_bytes(Purpose::Restore, user, device, &challenge()).unwrap();
        assert_ne!(bytes, other);
        assert_eq!(bytes[24..], other[24..]);
    }

    #[test]
    fn a_challenge_with_a_short_nonce_is_not_signed() {
        let (user, device) = (UserId::from_bytes([1; 16]), DeviceId::PRIMARY);
        for length in [0, 31, 33] {
            let cut = Challenge { nonce: vec![1; length].into(), ..challenge() };
            assert_eq!(signed_bytes(Purpose::Login, user, device, &cut), None);
        }
    }
}
