//! Identifies a session by its version and the ephemeral key that started it.

use std::fmt;

use crate::error::DecodeError;
use crate::primitives::x25519::{PUBLIC_KEY_LEN, PublicKey};

/// The handshake that started a session, which its messages state in their first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SessionVersion {
    /// Version 3: X3DH.
    V3,
    /// Version 4: PQXDH.
    V4,
}

impl SessionVersion {
    /// The number.
    pub fn number(self) -> u8 {
        match self {
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }

    /// The first byte of a message: the version of its session in the high half, and the newest version that its
    /// sender knows in the low half.
    pub(crate) fn message_byte(self) -> u8 {
        (self.number() << 4) | Self::V4.number()
    }

    /// From the first byte of a message. Its low half is ignored, because libraries from before PQXDH write 3 there.
    pub(crate) fn of_message(byte: u8) -> Result<Self, DecodeError> {
        Self::from_number(byte >> 4)
    }

    fn from_number(number: u8) -> Result<Self, DecodeError> {
        match number {
            0..=2 => Err(DecodeError::VersionTooOld),
            3 => Ok(Self::V3),
            4 => Ok(Self::V4),
            5.. => Err(DecodeError::UnknownVersion),
        }
    }
}

const ID_LEN: usize = 1 + PUBLIC_KEY_LEN;

/// Identifies a session: version and ephemeral key of the initiator, which both sides know.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId([u8; ID_LEN]);

impl SessionId {
    /// Length, in bytes.
    pub const LEN: usize = ID_LEN;

    /// Below and above all ids, for ranges.
    pub(crate) const MIN: Self = Self([0; Self::LEN]);
    pub(crate) const MAX: Self = Self([0xff; Self::LEN]);

    /// The version, then the serialized ephemeral key.
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// From [`as_bytes`](Self::as_bytes).
    ///
    /// # Errors
    /// [`DecodeError`] for another length, an unknown version or something other than a key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (version, key) = bytes.split_first().ok_or(DecodeError::Length)?;
        if key.len() != PUBLIC_KEY_LEN {
            return Err(DecodeError::Length);
        }
        Ok(Self::new(SessionVersion::from_number(*version)?, &PublicKey::parse(key)?))
    }

    pub(crate) fn new(version: SessionVersion, base_key: &PublicKey) -> Self {
        let mut bytes = [version.number(); Self::LEN];
        if let Some(key) = bytes.last_chunk_mut() {
            *key = *base_key.as_bytes();
        }
        Self(bytes)
    }

    pub(crate) fn version(&self) -> SessionVersion {
        let [version, ..] = self.0;
        if version == SessionVersion::V3.number() { SessionVersion::V3 } else { SessionVersion::V4 }
    }

    pub(crate) fn base_key(&self) -> &[u8] {
        let [_, key @ ..] = &self.0;
        key
    }
}

/// Shows the version and two bytes of the key: enough to tell sessions apart in a log.
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [version, _, a, b, ..] = self.0;
        write!(f, "SessionId(v{version}, {a:02x}{b:02x}..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_low_half_of_the_version_byte_is_ignored() {
        for (byte, version) in [
            (0x33, Ok(SessionVersion::V3)),
            (0x34, Ok(SessionVersion::V3)),
            (0x44, Ok(SessionVersion::V4)),
            (0x4f, Ok(SessionVersion::V4)),
            (0x2f, Err(DecodeError::VersionTooOld)),
            (0x50, Err(DecodeError::UnknownVersion)),
        ] {
            assert_eq!(SessionVersion::of_message(byte), version);
        }
        assert_eq!(SessionVersion::V3.message_byte(), 0x34);
        assert_eq!(SessionVersion::V4.message_byte(), 0x44);
    }

    #[test]
    fn an_id_is_the_same_after_reading_its_bytes() {
        let id = SessionId::new(SessionVersion::V4, &PublicKey::parse(&[5; 33]).unwrap());
        assert_eq!(SessionId::from_bytes(id.as_bytes()), Ok(id));
        assert_eq!(id.version(), SessionVersion::V4);
        assert_eq!(SessionId::from_bytes(&[4; 33]), Err(DecodeError::Length));
        assert_eq!(SessionId::from_bytes(&[4; 34]), Err(DecodeError::KeyType));
        assert_eq!(SessionId::from_bytes(&[5; 34]), Err(DecodeError::UnknownVersion));
    }
}
