//! Station 5, Meet: fetches bundles from the relay and starts sessions.

use std::sync::{Arc, PoisonError};

use futures_util::future::join_all;
use sealpost_protocol::{
    BundleError, InitiateError, KnownKeys, PreKeyBundle, RawPreKeyBundle, RawSigned, UnixSeconds,
    VerifiedBundle,
};
use sealpost_wire as wire;

use super::plan::{ToMeet, has_ready};
use crate::account::registration::{address, local_device};
use crate::account::tokens;
use crate::contact::devices::{self, Devices};
use crate::context::{Context, Skipped};
use crate::error::{Error, Result};
use crate::fault::{self, Station};
use crate::id::{DeviceId, ThreadId, UserId};
use crate::message::FailReason;
use crate::store::Device;

/// Why no session could be started with a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotMet {
    /// Nothing can be sent to this user, for this reason.
    For(FailReason),
    /// The list of their devices that the relay shows was refused. Another one may be shown later.
    ListRefused,
}

/// Starts all these sessions at the same time, for a message to this thread. A device whose keys are invalid is skipped for a
/// while, as long as there are others. Returns the reason if nothing can be sent to one of the users.
pub(super) async fn meet_all(
    ctx: &Context,
    thread: ThreadId,
    to_meet: &[ToMeet],
) -> Result<Result<(), NotMet>> {
    // The relay lets more fellow members be met than strangers.
    let group = ctx.store.glance(move |rows| Ok(rows.is_group(thread)?.then_some(thread))).await?;
    let requests = to_meet.iter().flat_map(|ToMeet { user, devices }| {
        let all = devices.is_empty().then_some(None);
        devices.iter().copied().map(Some).chain(all).map(|device| meet(ctx, group, (*user, device)))
    });
    let outcomes = join_all(requests).await;
    let mut bad = Vec::new();
    for outcome in outcomes {
        match outcome? {
            Ok(refused) => bad.extend(refused),
            Err(reason) => return Ok(Err(reason)),
        }
    }
    if bad.is_empty() {
        return Ok(Ok(()));
    }
    let (policy, now) = (ctx.policy, UnixSeconds(ctx.server_now_ms() / 1000));
    if !ctx.store.read(move |rows| has_ready(rows, thread, policy, now)).await? {
        return Ok(Err(NotMet::For(FailReason::BadKeys)));
    }
    tracing::warn!(devices = bad.len(), "devices without valid keys are skipped");
    for skipped in bad {
        ctx.skipped.add(skipped, now);
    }
    // If it is said to be one of ours, the relay is asked to revoke it.
    ctx.upkeep.devices.notify_one();
    Ok(Ok(()))
}

/// Fetches the bundles of a user's device (or of all) and starts a session with each. Returns the devices whose keys are invalid, or the
/// reason if nothing can be sent to this user.
async fn meet(
    ctx: &Context,
    group: Option<ThreadId>,
    (user, device): (UserId, Option<DeviceId>),
) -> Result<Result<Vec<Skipped>, NotMet>> {
    let once = &ctx.new_client_msg_id().to_string();
    let fetched = tokens::with_access(ctx, |http, token| async move {
        http.bundles(&token, user, device, (group, once)).await
    });
    let (bundles, list) = match fetched.await {
        Ok(wire::Bundles { bundles, devices }) => (bundles, devices.map(|devices| devices.list)),
        Err(Error::NotFound) => (Vec::new(), None),
        Err(Error::RecipientDeleted) => return Ok(Err(NotMet::For(FailReason::RecipientDeleted))),
        Err(error) => return Err(error),
    };
    if bundles.is_empty() {
        return forget(ctx, user, device).await;
    }
    let (verified, mut bad) = {
        let mut known = ctx.known_keys.lock().unwrap_or_else(PoisonError::into_inner);
        verify_each(user, device, &bundles, &mut known)
    };
    if verified.is_empty() && bad.is_empty() {
        let Some(device) = device else { return Ok(Err(NotMet::For(FailReason::BadKeys))) };
        bad.push(Skipped { user, device, registration_id: 0, is_absent: true });
    }
    let (now_ms, policy) = (ctx.server_now_ms(), ctx.policy);
    let (mut rng, upkeep) = (ctx.env.rng(), Arc::clone(&ctx.upkeep));
    let met = ctx.store.write(move |tx| {
        let (account, us) = tx.our_account()?;
        let our_address = address(us.user, us.device)?;
        let (local, now) = (local_device(&account, &our_address), UnixSeconds(now_ms / 1000));
        let listed = devices::examine(tx, user, list.as_deref())?;
        // Without our own devices, a message still goes to the others.
        if matches!(listed.devices, Devices::Refused) && user != us.user {
            return Ok(Err(NotMet::ListRefused));
        }
        // Removed devices lose their sessions before new ones are started.
        let part = tx.begin_part()?;
        listed.store(tx, true)?;
        let mut met = Vec::with_capacity(verified.len());
        for bundle in verified {
            let device = Device {
                user,
                device: DeviceId::new(bundle.device().get())?,
                registration_id: bundle.registration_id(),
                identity: *bundle.identity_key(),
            };
            if user == us.user && device.device == us.device {
                continue;
            }
            if !listed.devices.has(device.device, &device.identity) {
                tracing::warn!("the relay names a device that is not on its account's list");
                bad.push(skipped(&device));
                continue;
            }
            let mut sessions = tx.sessions(user, device.device)?;
            let remote = address(user, device.device)?;
            match sessions.record.initiate(&local, &remote, bundle, policy, now, &mut rng) {
                Ok(record) => sessions.record = record,
                Err(InitiateError::Bug(what)) => return Err(Error::Bug(what)),
                // Nothing is stored about a device with invalid keys, not even its identity.
                Err(_) => {
                    bad.push(skipped(&device));
                    continue;
                }
            }
            met.push((device, sessions));
        }
        match met.is_empty() && listed.is_first() {
            true => tx.undo_part(part)?,
            false => tx.keep_part(part)?,
        }
        let devices: Vec<_> = met.iter().map(|(device, _)| *device).collect();
        if tx.see_devices(user, &devices)? {
            tx.after_commit(move || upkeep.news.notify_one());
        }
        for (_, mut sessions) in met {
            tx.store_sessions(&mut sessions)?;
        }
        fault::at(Station::MeetBeforeCommit);
        Ok(Ok(bad))
    });
    let met = met.await?;
    fault::at(Station::MeetAfterCommit);
    ctx.upkeep.to_retry.notify_one();
    Ok(met)
}

const fn skipped(device: &Device) -> Skipped {
    let Device { user, device, registration_id, identity: _ } = *device;
    Skipped { user, device, registration_id, is_absent: false }
}

/// The bundles with valid signatures, of the requested device (or of all), and the devices whose bundles are not
/// valid.
fn verify_each(
    user: UserId,
    asked: Option<DeviceId>,
    bundles: &[wire::Bundle],
    known: &mut KnownKeys,
) -> (Vec<VerifiedBundle>, Vec<Skipped>) {
    let (mut verified, mut bad) = (Vec::new(), Vec::new());
    for bundle in bundles {
        // A bundle without a valid device number is ignored.
        let Ok(named) = DeviceId::new(bundle.device_id) else { continue };
        match verify(bundle, known) {
            Ok(good) if asked.is_none_or(|asked| asked == named) => verified.push(good),
            _ => {
                let device = asked.unwrap_or(named);
                let registration_id = bundle.registration_id;
                bad.push(Skipped { user, device, registration_id, is_absent: false });
            }
        }
    }
    (verified, bad)
}

/// The relay knows no such device, or none of this user.
async fn forget(
    ctx: &Context,
    user: UserId,
    device: Option<DeviceId>,
) -> Result<Result<Vec<Skipped>, NotMet>> {
    let Some(device) = device else { return Ok(Err(NotMet::For(FailReason::UnknownRecipient))) };
    let now = UnixSeconds(ctx.server_now_ms() / 1000);
    let work = ctx.store.write(move |tx| {
        tx.forget_device(user, device, now)?;
        Ok(tx.our_account()?.1.user == user)
    });
    let is_ours = work.await?;
    ctx.skipped.remove(user, device);
    if is_ours {
        // It is on our list, and is not registered yet.
        ctx.skipped.add(Skipped { user, device, registration_id: 0, is_absent: true }, now);
    }
    Ok(Ok(Vec::new()))
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
    fn a_key_is_known_after_its_first_valid_bundle_and_each_bundle_is_verified() {
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

    #[test]
    fn an_invalid_bundle_does_not_affect_the_others() {
        let rng = &mut StdRng::seed_from_u64(2);
        let alice = IdentityKeyPair::generate(rng);
        let user = UserId::from_bytes([7; 16]);
        let mut bundles: Vec<_> = (0..4).map(|_| bundle(&alice, rng)).collect();
        for (bundle, device) in bundles.iter_mut().zip(1..) {
            bundle.device_id = device;
        }
        bundles[1].signed_pre_key = None;
        bundles[3].device_id = 0;
        let mut known = KnownKeys::default();
        let (good, bad) = verify_each(user, None, &bundles, &mut known);
        let good: Vec<_> = good.iter().map(|bundle| bundle.device().get()).collect();
        assert_eq!(good, [1, 3]);
        let two = DeviceId::new(2).unwrap();
        assert_eq!(bad, [Skipped { user, device: two, registration_id: 5, is_absent: false }]);
        // A bundle of another device than the requested one is ignored.
        let (good, bad) = verify_each(user, Some(two), &bundles[..1], &mut known);
        assert!(good.is_empty());
        assert_eq!(bad.len(), 1);
        assert_eq!(bad[0].device, two);
    }
}
