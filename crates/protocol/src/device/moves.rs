//! The statement by which an account key names its successor, when the account is moved to another of its devices.

use super::{AccountId, AccountKey, MOVE};
use crate::error::DecodeError;
use crate::primitives::x25519::PUBLIC_KEY_LEN;
use crate::primitives::xeddsa::{SIGNATURE_LEN, Signature};

/// The number of moves that a list carries: the latest ones.
pub const MAX_MOVES: usize = 3;
/// The length of a statement, in bytes: old account key, version, signature.
pub(super) const MOVE_LEN: usize = PUBLIC_KEY_LEN + 8 + SIGNATURE_LEN;

/// An account key states that another one is its successor. In a list, the successor is the old key of the next statement, or the
/// account key of the list.
#[derive(Debug, Clone, Copy)]
pub struct AccountMove {
    pub(super) from: AccountKey,
    pub(super) version: u64,
    pub(super) signature: Signature,
}

impl AccountMove {
    /// The account key before.
    pub fn from(&self) -> &AccountKey {
        &self.from
    }

    /// The version of the first list of the new account key.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What the account key of the list signs of it: which key was replaced, and when.
    pub(super) fn write_unsigned(&self, out: &mut Vec<u8>) {
        out.extend(self.from.as_bytes());
        out.extend(self.version.to_be_bytes());
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.write_unsigned(out);
        out.extend(self.signature.as_bytes());
    }

    pub(super) fn parse(bytes: &[u8; MOVE_LEN]) -> Result<Self, DecodeError> {
        let (from, rest) = bytes.split_first_chunk::<PUBLIC_KEY_LEN>().ok_or(DecodeError::TooShort)?;
        let (version, signature) = rest.split_first_chunk().ok_or(DecodeError::TooShort)?;
        Ok(Self {
            from: AccountKey::parse(from)?,
            version: u64::from_be_bytes(*version),
            signature: Signature::parse(signature)?,
        })
    }

    pub(super) fn is_signed(&self, user: &AccountId, to: &AccountKey) -> bool {
        self.from.has_signed(&signed_bytes(user, (&self.from, to), self.version), &self.signature)
    }
}

/// `type word || user || old account key || new account key || version`.
pub(super) fn signed_bytes(
    user: &AccountId,
    (from, to): (&AccountKey, &AccountKey),
    version: u64,
) -> Vec<u8> {
    [&MOVE[..], user, from.as_bytes(), to.as_bytes(), &version.to_be_bytes()].concat()
}
