//! Identifies a sender key: one for each group of a sender.

use std::fmt;

use rand_core::CryptoRng;

use crate::error::DecodeError;

/// Length of a distribution id, in bytes.
const LEN: usize = 16;

/// Identifies one purpose of a sender's keys, such as a group. A record of keys belongs to one sender and one
/// distribution.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DistributionId([u8; LEN]);

impl DistributionId {
    /// From the 16 bytes of a UUID.
    pub fn new(bytes: [u8; LEN]) -> Self {
        Self(bytes)
    }

    /// Generates a random UUID (RFC 9562, version 4).
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut bytes = [0; LEN];
        rng.fill_bytes(&mut bytes);
        Self(*uuid::Builder::from_random_bytes(bytes).as_uuid().as_bytes())
    }

    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; LEN] {
        &self.0
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        bytes.try_into().map(Self).map_err(|_| DecodeError::Length)
    }
}

/// Shows two bytes: enough to tell groups apart in a log, but not enough to identify one.
impl fmt::Debug for DistributionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, ..] = self.0;
        write!(f, "DistributionId({a:02x}{b:02x}..)")
    }
}
