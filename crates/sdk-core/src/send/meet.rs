//! Station 5, Meet: fetches bundles from the relay and starts sessions.

use std::sync::PoisonError;

use sealpost_protocol::{
    BundleError, InitiateError, KnownKeys, PreKeyBundle, RawPreKeyBundle, RawSigned, UnixSeconds,
    VerifiedBundle,
};
use sealpost_wire as wire;

use crate::account::registration::{address, local_device};
use crate::account::tokens;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::fault::{self, Station};
use crate::id::{DeviceId, UserId};
use crate::message::FailReason;
use crate::store::Device;

/// Fetches the bundles of a user's device (or of all) and starts a session with each. Returns the reason if nothing
/// can be sent to this user.
pub(super) async fn meet(
    ctx: &Context,
    user: UserId,
    device: Option<DeviceId>,
) -> Result<Result<(), FailReason>> {
    let once = &ctx.new_client_msg_id().to_string();
    let fetched =
        tokens::with_access(ctx, |http, token| async move { http.bundles(&token, user, device, once).await });
    let bundles = match fetched.await {
        Ok(bundles) => bundles.bundles,
        Err(Error::NotFound) => Vec::new(),
        Err(Error::RecipientDeleted) => return Ok(Err(FailReason::RecipientDeleted)),
        Err(error) => return Err(error),
    };
    if bundles.is_empty() {
        return forget(ctx, user, device).await;
    }
    let verified: Result<Vec<_>, _> = {
        let mut known = ctx.known_keys.lock().unwrap_or_else(PoisonError::into_inner);
        bundles.iter().map(|bundle| verify(bundle, &mut known)).collect()
    };
    let Ok(verified) = verified else { return Ok(Err(FailReason::BadKeys)) };
    if device.is_some_and(|asked| verified.iter().any(|bundle| bundle.device().get() != asked.get())) {
        return Ok(Err(FailReason::BadKeys));
    }
    let (now_ms, policy) = (ctx.server_now_ms(), ctx.policy);
    let mut rng = ctx.env.rng();
    let met = ctx.store.write(move |tx| {
        let (account, us) = tx.our_account()?;
        let our_address = address(us.user, us.device)?;
        let (local, now) = (local_device(&account, &our_address), UnixSeconds(now_ms / 1000));
        let mut met = Vec::with_capacity(verified.len());
        for bundle in verified {
            let device = Device {
                user,
                device: DeviceId::new(bundle.device().get())?,
                registration_id: bundle.registration_id(),
                identity: *bundle.identity_key(),
            };
            let mut sessions = tx.sessions(user, device.device)?;
            let remote = address(user, device.device)?;
            match sessions.record.initiate(&local, &remote, bundle, policy, now, &mut rng) {
                Ok(record) => sessions.record = record,
                Err(InitiateError::Bug(what)) => return Err(Error::Bug(what)),
                // Nothing is stored about a user with invalid keys, not even their identity.
                Err(_) => return Ok(Err(FailReason::BadKeys)),
            }
            met.push((device, sessions));
        }
        let devices: Vec<_> = met.iter().map(|(device, _)| *device).collect();
        tx.see_devices(user, &devices)?;
        for (_, mut sessions) in met {
            tx.store_sessions(&mut sessions)?;
        }
        fault::at(Station::MeetBeforeCommit);
        Ok(Ok(()))
    });
    let met = met.await?;
    fault::at(Station::MeetAfterCommit);
    Ok(met)
}

/// The relay knows no such device, or none of this user.
async fn forget(ctx: &Context, user: UserId, device: Option<DeviceId>) -> Result<Result<(), FailReason>> {
    let Some(device) = device else { return Ok(Err(FailReason::UnknownRecipient)) };
    let now = UnixSeconds(ctx.server_now_ms() / 1000);
    ctx.store.write(move |tx| tx.forget_device(user, device, now)).await?;
    Ok(Ok(()))
}

fn verify(bundle: &wire::Bundle, known: &mut KnownKeys) -> Result<VerifiedBundle, BundleError> {
    // An absent key is treated as an empty one, which is not a valid key.
    let signed = bundle.signed_pre_key.clone().unwrap_or_default();
    let raw = RawPreKeyBundle {
        registration_id: bundle.registration_id,
        device_id: bundle.device_id,
        identity_key: &bundle.identity_key,
        signed_pre_key: raw_signed(&signed),
        one_time_pre_key: bundle.one_time.as_ref().map(|key| (key.id, key.public_key.as_ref())),
        kem_pre_key: bundle.kem.as_ref().map(raw_signed),
    };
    PreKeyBundle::parse(raw)?.verify_known(known)
}

fn raw_signed(key: &wire::SignedKey) -> RawSigned<'_> {
    RawSigned { id: key.id, key: &key.public_key, signature: &key.signature }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use sealpost_protocol::{IdentityKeyPair, KemPreKey, KemPreKeyId, SignedPreKey, SignedPreKeyId};

    use super::*;

    fn bundle(identity: &IdentityKeyPair, rng: &mut StdRng) -> wire::Bundle {
        let signed = SignedPreKey::generate(SignedPreKeyId(1), identity, 0, rng);
        let kem = KemPreKey::generate(KemPreKeyId(2), identity, 0, rng);
        wire::Bundle {
            device_id: 1,
            registration_id: 5,
            identity_key: identity.public().serialize().to_vec().into(),
            signed_pre_key: Some(wire::SignedKey {
                id: 1,
                public_key: signed.public_key().to_vec().into(),
                signature: signed.signature().to_vec().into(),
            }),
            kem: Some(wire::SignedKey {
                id: 2,
                public_key: kem.public_key().into(),
                signature: kem.signature().to_vec().into(),
            }),
            ..wire::Bundle::default()
        }
    }

    #[test]
    fn a_device_is_known_after_its_first_good_bundle_and_each_bundle_is_checked() {
        let rng = &mut StdRng::seed_from_u64(1);
        let (alice, mallory) = (IdentityKeyPair::generate(rng), IdentityKeyPair::generate(rng));
        let mut known = KnownKeys::default();
        // A user whose keys were never valid remains unknown.
        let mut forged = bundle(&mallory, rng);
        forged.identity_key = alice.public().serialize().to_vec().into();
        assert!(verify(&forged, &mut known).is_err());
        assert!(known.is_empty());
        for _ in 0..3 {
            let verified = verify(&bundle(&alice, rng), &mut known).unwrap();
            assert_eq!(verified.identity_key(), alice.public());
            assert_eq!(known.len(), 1);
        }
        assert!(verify(&forged, &mut known).is_err());
        // One of her keys, and one that is not hers.
        let mixed = wire::Bundle { kem: bundle(&mallory, rng).kem, ..bundle(&alice, rng) };
        assert!(verify(&mixed, &mut known).is_err());
        let mixed = wire::Bundle { signed_pre_key: forged.signed_pre_key, ..bundle(&alice, rng) };
        assert!(verify(&mixed, &mut known).is_err());
        verify(&bundle(&mallory, rng), &mut known).unwrap();
        assert_eq!(known.len(), 2);
    }
}
