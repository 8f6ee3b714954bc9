//! The account is moved to another of its devices, which has an account key of its own: [`AccountMove`], the statement by which the old
//! account key names the new one, and [`MoveProposal`], the list that the new primary device proposes.
//!
//! The new primary device signs the list first, and the old one adds its statement. That completes the move, so there is no time at
//! which the account has no primary device, or two.

use std::fmt;

use rand_core::CryptoRng;

use super::list::{DeviceList, ListError, SignedDeviceList, VerifiedDeviceList};
use super::{AccountId, AccountKey, AccountKeyPair, DeviceBinding, DeviceEntry, MOVE};
use crate::address::DeviceId;
use crate::error::DecodeError;
use crate::identity::IdentityKeyPair;
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

/// The list of the device to which the account is to be moved, signed by its new account key. It has no effect before the old account
/// key [accepts](Self::accept) it.
#[derive(Clone)]
pub struct MoveProposal(SignedDeviceList);

impl MoveProposal {
    /// The list that follows `known`, with `device` as the primary one and `key` as the account key. The other devices remain. Those
    /// whose statement is for an account key from more than [`MAX_MOVES`] moves ago do not.
    ///
    /// # Errors
    /// [`ListError`], if `device` with this identity key is not a companion on the list, or the key was an account key before.
    pub fn sign<R: CryptoRng + ?Sized>(
        known: &VerifiedDeviceList,
        user: &AccountId,
        (device, identity): (DeviceId, &IdentityKeyPair),
        key: &AccountKeyPair,
        rng: &mut R,
    ) -> Result<Self, ListError> {
        let binding = DeviceBinding::sign(user, device, identity, &key.public(), rng);
        let unsigned = Signature::parse(&[0; SIGNATURE_LEN]).map_err(|_| ListError::Move)?;
        let list = follows(known, user, (device, binding), unsigned)?;
        let is_here =
            list.devices().iter().any(|entry| entry.is_primary && entry.identity == *identity.public());
        if !is_here {
            return Err(ListError::Primary);
        }
        let signed = list.sign(user, key, rng);
        signed.check_moves()?;
        Ok(Self(signed))
    }

    /// The serialized form of the list, without the signature of the old account key at its end.
    pub fn serialize(&self) -> Vec<u8> {
        let mut bytes = self.0.serialize();
        bytes.truncate(bytes.len().saturating_sub(SIGNATURE_LEN));
        bytes
    }

    /// Parses the serialized form.
    ///
    /// # Errors
    /// [`DecodeError`]
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let list = SignedDeviceList::parse(&[bytes, &[0; SIGNATURE_LEN]].concat())?;
        if list.moves().is_empty() { Err(DecodeError::Length) } else { Ok(Self(list)) }
    }

    /// The old primary device accepts the proposal of its companion `device`, if it follows `known` and changes nothing else. From then
    /// on, the account key of the list is the one of the account.
    ///
    /// # Errors
    /// [`ListError`]
    pub fn accept<R: CryptoRng + ?Sized>(
        self,
        known: &VerifiedDeviceList,
        user: &AccountId,
        device: DeviceId,
        old: &AccountKeyPair,
        rng: &mut R,
    ) -> Result<VerifiedDeviceList, ListError> {
        let Self(proposed) = self;
        if old.public() != *known.account_key() {
            return Err(ListError::Move);
        }
        let entry =
            proposed.devices().iter().find(|entry| entry.device == device).ok_or(ListError::Primary)?;
        let statement = signed_bytes(user, (known.account_key(), proposed.account_key()), proposed.version());
        let expected = follows(known, user, (device, entry.binding), old.sign(&statement, rng))?;
        let list = proposed.with_list(expected);
        list.check_moves()?;
        list.verify(user)
    }
}

impl fmt::Debug for MoveProposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MoveProposal").field(&self.0).finish()
    }
}

/// The list that follows `known` when the account is moved to `device`.
fn follows(
    known: &VerifiedDeviceList,
    user: &AccountId,
    (device, binding): (DeviceId, DeviceBinding),
    signature: Signature,
) -> Result<DeviceList, ListError> {
    let version = known.version().saturating_add(1);
    let all = known.moves();
    let kept = all.len().saturating_sub(MAX_MOVES.saturating_sub(1));
    let mut moves = all.get(kept..).unwrap_or_default().to_vec();
    moves.push(AccountMove { from: *known.account_key(), version, signature });
    let is_bound = |entry: &DeviceEntry| moves.iter().any(|earlier| entry.is_bound(user, &earlier.from));
    let entries = known.devices().iter().filter(|entry| entry.device == device || is_bound(entry));
    let entries = entries.map(|entry| match entry.device == device {
        true => DeviceEntry { is_primary: true, binding, ..*entry },
        false => DeviceEntry { is_primary: false, ..*entry },
    });
    if known.primary().is_some_and(|primary| primary.device == device) {
        return Err(ListError::Primary);
    }
    DeviceList::with_moves(version, entries.collect(), moves)
}

/// `type word || user || old account key || new account key || version`.
fn signed_bytes(user: &AccountId, (from, to): (&AccountKey, &AccountKey), version: u64) -> Vec<u8> {
    [&MOVE[..], user, from.as_bytes(), to.as_bytes(), &version.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests;
