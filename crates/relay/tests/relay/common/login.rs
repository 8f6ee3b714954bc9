//! Signing in with a key.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use bytes::Bytes;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::id::{DeviceId, UserId};
use sealpost_wire::login::{Purpose, signed_bytes};
use sealpost_wire::{Challenge, ChallengeRequest, LoginRequest, RestoreRequest, SignedChallenge};

use super::{Answer, Party, World, keys, public};

/// A login key, represented by its seed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// A new random key.
    pub(crate) fn random() -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(1);
        let mut seed = [0x5e; 32];
        seed[..8].copy_from_slice(&COUNTER.fetch_add(1, Ordering::SeqCst).to_be_bytes());
        Self(seed)
    }

    fn pair(self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&self.0).unwrap()
    }

    pub(crate) fn public(self) -> Bytes {
        Bytes::copy_from_slice(self.pair().public_key().as_ref())
    }

    pub(crate) fn sign(
        self,
        purpose: Purpose,
        (user, device): (UserId, u32),
        challenge: &Challenge,
    ) -> SignedChallenge {
        let bytes = signed_bytes(purpose, user, DeviceId::new(device).unwrap(), challenge).unwrap();
        SignedChallenge {
            user_id: user.to_wire(),
            device_id: device,
            challenge: Some(challenge.clone()),
            signature: Bytes::copy_from_slice(self.pair().sign(&bytes).as_ref()),
        }
    }
}

impl World {
    pub(crate) async fn challenge(&self, (user, device): (UserId, u32)) -> Challenge {
        let request = ChallengeRequest { user_id: user.to_wire(), device_id: device };
        let answer = self.post("/v1/auth/challenge", None, &request).await;
        assert_eq!(answer.status, 200);
        answer.body()
    }

    /// Signs a challenge for a device with a key, whether or not it is the device's.
    pub(crate) async fn log_in(&self, key: Key, device: (UserId, u32)) -> Answer {
        let signed = key.sign(Purpose::Login, device, &self.challenge(device).await);
        self.post("/v1/auth/login", None, &LoginRequest { signed: Some(signed) }).await
    }

    /// A request to restore a device, with the keys and the tag of this party.
    pub(crate) async fn restore_request(&self, party: &Party, device: (UserId, u32)) -> RestoreRequest {
        let signed = party.login.sign(Purpose::Restore, device, &self.challenge(device).await);
        RestoreRequest {
            signed: Some(signed),
            registration_id: 77,
            identity_key: public(0x05, 33, 1),
            login_key: party.login.public(),
            registration_tag: party.tag.clone(),
            keys: Some(keys(1_000, 10)),
        }
    }

    pub(crate) async fn restore(&self, party: &Party, device: (UserId, u32)) -> Answer {
        let request = self.restore_request(party, device).await;
        self.post("/v1/accounts/restore", None, &request).await
    }
}
