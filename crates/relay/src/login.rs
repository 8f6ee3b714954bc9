//! Signing in with a key: challenges, signatures, and the tags by which the relay recognises the devices that it has
//! registered.
//!
//! The relay does not store the challenges that it issues: each carries a tag under a key that is drawn when the
//! relay starts. It stores only the challenges that have been answered, until they expire, so that no signature is
//! accepted twice.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sealpost_wire::limits::{CHALLENGE_LIFE_MS, CHALLENGE_NONCE};
use sealpost_wire::login::{Purpose, signed_bytes};
use sealpost_wire::{Challenge, SignedChallenge};
use subtle::ConstantTimeEq as _;

use crate::address::Address;
use crate::keys::LoginKey;
use crate::problem::Problem;
use crate::random;
use crate::tokens::Signer;

/// How many answered challenges are remembered at most. Only a valid signature of a device adds one.
const MAX_ANSWERED: usize = 65_536;
/// The random part of a nonce, in bytes; the rest is its tag.
const RANDOM: usize = CHALLENGE_NONCE / 2;

/// A challenge that has been answered, and whose signature has not been verified yet.
#[derive(Debug)]
pub(crate) struct AnsweredChallenge {
    /// The device that claims to have signed.
    pub(crate) address: Address,
    signed: SignedChallenge,
}

/// The challenges that were issued since the relay started.
pub(crate) struct Challenges {
    key: hmac::Key,
    /// A key that verifies no signature. It is used for a device that does not exist, so that refusing such a request
    /// takes as long as refusing any other.
    dummy_key: LoginKey,
    /// The random parts of the answered challenges, and when they expire.
    answered: Mutex<HashMap<[u8; RANDOM], u64>>,
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenges(..)")
    }
}

impl Challenges {
    pub(crate) fn new() -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &random::secret()[..]);
        // Nobody knows the private half of this key: the seed is dropped here.
        let pair = Ed25519KeyPair::from_seed_unchecked(&random::secret()[..]);
        let public = pair.ok().and_then(|pair| pair.public_key().as_ref().try_into().ok());
        Self { key, dummy_key: LoginKey(public.unwrap_or_default()), answered: Mutex::default() }
    }

    /// Issues a challenge for a device, whether or not the device exists.
    pub(crate) fn issue(&self, address: Address, epoch: u64, now_ms: u64) -> Challenge {
        let random = random::id().into_bytes();
        let expires_ms = now_ms.saturating_add(CHALLENGE_LIFE_MS);
        let nonce = [random, self.tag(address, epoch, expires_ms, &random)].concat();
        Challenge { nonce: nonce.into(), epoch, expires_ms, server_time_ms: now_ms }
    }

    /// Accepts an answer if its challenge was issued by this relay for this device in this epoch and has not expired.
    ///
    /// # Errors
    /// Returns [`Problem::InvalidSignature`] otherwise.
    pub(crate) fn accept(
        &self,
        signed: SignedChallenge,
        epoch: u64,
        now_ms: u64,
    ) -> Result<AnsweredChallenge, Problem> {
        let address = Address::from_wire(&signed.user_id, signed.device_id)?;
        let challenge = signed.challenge.as_ref().ok_or(Problem::InvalidSignature)?;
        let random = random_part(challenge).ok_or(Problem::InvalidSignature)?;
        let tag = challenge.nonce.get(RANDOM..).ok_or(Problem::InvalidSignature)?;
        let ours = self.tag(address, challenge.epoch, challenge.expires_ms, &random);
        let in_time = now_ms <= challenge.expires_ms
            && challenge.expires_ms <= now_ms.saturating_add(CHALLENGE_LIFE_MS);
        if !bool::from(ours.ct_eq(tag)) || challenge.epoch != epoch || !in_time {
            return Err(Problem::InvalidSignature);
        }
        Ok(AnsweredChallenge { address, signed })
    }

    /// Verifies the signature with the key of the device, or with a key that verifies nothing if the device does not
    /// exist. A valid signature uses up the challenge.
    ///
    /// # Errors
    /// Returns [`Problem::InvalidSignature`] if the signature is not valid or the challenge was already used, and
    /// [`Problem::RateLimited`] if so many devices have just signed in that the relay cannot remember another
    /// challenge.
    pub(crate) fn verify(
        &self,
        answered: &AnsweredChallenge,
        purpose: Purpose,
        key: Option<LoginKey>,
        now_ms: u64,
    ) -> Result<LoginKey, Problem> {
        let key = key.unwrap_or(self.dummy_key);
        let Address { user, device } = answered.address;
        let challenge = answered.signed.challenge.as_ref().ok_or(Problem::InvalidSignature)?;
        let bytes = signed_bytes(purpose, user, device, challenge).ok_or(Problem::InvalidSignature)?;
        UnparsedPublicKey::new(&ED25519, key.0)
            .verify(&bytes, &answered.signed.signature)
            .map_err(|_| Problem::InvalidSignature)?;
        let random = random_part(challenge).ok_or(Problem::InvalidSignature)?;
        let mut used = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= MAX_ANSWERED {
            used.retain(|_, expires_ms| *expires_ms >= now_ms);
        }
        if used.len() >= MAX_ANSWERED {
            return Err(Problem::RateLimited { retry_after_ms: 1_000 });
        }
        match used.insert(random, challenge.expires_ms) {
            None => Ok(key),
            Some(_) => Err(Problem::InvalidSignature),
        }
    }

    /// The first 16 bytes of HMAC-SHA-256(user ‖ device ‖ epoch ‖ expiry ‖ random part).
    fn tag(&self, address: Address, epoch: u64, expires_ms: u64, random: &[u8; RANDOM]) -> [u8; RANDOM] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(address.user.as_bytes());
        context.update(&address.device.get().to_be_bytes());
        context.update(&epoch.to_be_bytes());
        context.update(&expires_ms.to_be_bytes());
        context.update(random);
        let mut tag = [0; RANDOM];
        for (byte, derived) in tag.iter_mut().zip(context.sign().as_ref()) {
            *byte = *derived;
        }
        tag
    }
}

fn random_part(challenge: &Challenge) -> Option<[u8; RANDOM]> {
    challenge.nonce.get(..RANDOM)?.try_into().ok()
}

/// What a registration tag attests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Registered<'r> {
    pub(crate) address: Address,
    pub(crate) registration_id: u32,
    pub(crate) identity_key: &'r [u8],
    pub(crate) login_key: LoginKey,
}

impl Signer {
    /// The tag that a device keeps to prove that this relay registered it under this address with these keys:
    /// HMAC-SHA-256(user ‖ device ‖ registration ID ‖ login key ‖ identity key). It does not tell whether the device
    /// has been revoked since.
    pub(crate) fn registration_tag(&self, registered: &Registered<'_>) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.registrations);
        context.update(registered.address.user.as_bytes());
        context.update(&registered.address.device.get().to_be_bytes());
        context.update(&registered.registration_id.to_be_bytes());
        context.update(&registered.login_key.0);
        context.update(registered.identity_key);
        context.sign()
    }

    /// Whether this is the tag of this registration.
    pub(crate) fn is_registration_tag(&self, registered: &Registered<'_>, tag: &[u8]) -> bool {
        self.registration_tag(registered).as_ref().ct_eq(tag).into()
    }
}

#[cfg(test)]
mod tests {
    use sealpost_wire::id::{DeviceId, UserId};

    use sealpost_wire::id::ToWire as _;

    use super::*;

    const NOW_MS: u64 = 1_795_305_600_000;
    const EPOCH: u64 = 3;

    fn address(user: u8) -> Address {
        Address { user: UserId::from_bytes([user; 16]), device: DeviceId::PRIMARY }
    }

    fn pair(seed: u8) -> (Ed25519KeyPair, LoginKey) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let key = LoginKey(pair.public_key().as_ref().try_into().unwrap());
        (pair, key)
    }

    fn sign(pair: &Ed25519KeyPair, purpose: Purpose, challenge: Challenge) -> SignedChallenge {
        let Address { user, device } = address(1);
        let bytes = signed_bytes(purpose, user, device, &challenge).unwrap();
        SignedChallenge {
            user_id: user.to_wire(),
            device_id: device.get(),
            challenge: Some(challenge),
            signature: pair.sign(&bytes).as_ref().to_vec().into(),
        }
    }

    /// The result of answering a challenge at this time.
    fn present(challenges: &Challenges, signed: SignedChallenge, now_ms: u64) -> Result<(), Problem> {
        let answered = challenges.accept(signed, EPOCH, now_ms)?;
        challenges.verify(&answered, Purpose::Login, Some(pair(7).1), now_ms).map(drop)
    }

    #[test]
    fn a_signature_is_valid_once_and_only_for_its_purpose_device_and_epoch() {
        let (challenges, (ours, _), (theirs, _)) = (Challenges::new(), pair(7), pair(8));
        let refused = Err(Problem::InvalidSignature);
        let fresh = || challenges.issue(address(1), EPOCH, NOW_MS);
        let good = sign(&ours, Purpose::Login, fresh());
        assert_eq!(present(&challenges, good.clone(), NOW_MS), Ok(()));
        assert_eq!(present(&challenges, good, NOW_MS), refused, "a challenge is used up");
        assert_eq!(present(&challenges, sign(&theirs, Purpose::Login, fresh()), NOW_MS), refused);
        assert_eq!(present(&challenges, sign(&ours, Purpose::Restore, fresh()), NOW_MS), refused);
        let of_another = sign(&ours, Purpose::Login, challenges.issue(address(2), EPOCH, NOW_MS));
        assert_eq!(present(&challenges, of_another, NOW_MS), refused);
        let of_another_relay =
            sign(&ours, Purpose::Login, Challenges::new().issue(address(1), EPOCH, NOW_MS));
        assert_eq!(present(&challenges, of_another_relay, NOW_MS), refused);
        let of_another_epoch = sign(&ours, Purpose::Login, challenges.issue(address(1), EPOCH + 1, NOW_MS));
        assert_eq!(present(&challenges, of_another_epoch, NOW_MS), refused);
        let late = sign(&ours, Purpose::Login, fresh());
        assert_eq!(present(&challenges, late.clone(), NOW_MS + CHALLENGE_LIFE_MS + 1), refused);
        assert_eq!(present(&challenges, late, NOW_MS + CHALLENGE_LIFE_MS), Ok(()));
        let mut longer = fresh();
        longer.expires_ms += 1;
        assert_eq!(present(&challenges, sign(&ours, Purpose::Login, longer), NOW_MS), refused);
        for length in [0, 15, 16, 31, 33] {
            let mut cut = sign(&ours, Purpose::Login, fresh());
            cut.challenge.as_mut().unwrap().nonce = vec![1; length].into();
            assert_eq!(present(&challenges, cut, NOW_MS), refused);
        }
    }

    #[test]
    fn expired_challenges_are_forgotten() {
        let (challenges, (ours, _)) = (Challenges::new(), pair(7));
        {
            let mut answered = challenges.answered.lock().unwrap();
            for n in 0..MAX_ANSWERED as u128 {
                answered.insert(n.to_be_bytes(), NOW_MS);
            }
        }
        let at = |now_ms| sign(&ours, Purpose::Login, challenges.issue(address(1), EPOCH, now_ms));
        let full = present(&challenges, at(NOW_MS), NOW_MS);
        assert!(matches!(full, Err(Problem::RateLimited { .. })), "{full:?}");
        assert_eq!(present(&challenges, at(NOW_MS + 1), NOW_MS + 1), Ok(()));
        assert_eq!(challenges.answered.lock().unwrap().len(), 1);
    }
}
