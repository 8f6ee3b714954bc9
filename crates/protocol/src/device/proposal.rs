//! The account is moved to another of its devices, which has an account key of its own: [`MoveProposal`], the list that the new primary
//! device proposes.
//!
//! The new primary device signs the list first, and the old one adds its statement ([`AccountMove`]). That completes the move, so there is
//! no time at which the account has no primary device, or two.

use std::fmt;

use rand_core::CryptoRng;

use super::list::{DeviceList, ListError, SignedDeviceList, VerifiedDeviceList};
use super::moves::{AccountMove, MAX_MOVES, signed_bytes};
use super::{AccountId, AccountKeyPair, DeviceBinding, DeviceEntry};
use crate::address::DeviceId;
use crate::error::DecodeError;
use crate::identity::IdentityKeyPair;
use crate::primitives::xeddsa::{SIGNATURE_LEN, Signature};

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

#[cfg(test)]
mod tests;
