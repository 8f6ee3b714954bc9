//! Creates pre-keys: when, and how many. The relay receives their public halves.

use rand::rngs::StdRng;
use sealpost_protocol::{
    KemPreKey, KemPreKeyId, OneTimePreKey, OneTimePreKeyId, SignedPreKey, SignedPreKeyId,
};
use sealpost_wire as wire;

use crate::error::Result;
use crate::store::{Account, PreKeys, Tx};

/// How many one-time keys of each kind the relay should hold.
pub(super) const FULL: u32 = 100;
/// If it holds fewer than this, it is sent new ones.
pub(super) const LOW: u32 = 20;
pub(super) const DAY_MS: u64 = 24 * 3600 * 1000;
/// The age at which the signed and the last-resort key are replaced.
pub(super) const ROTATE_MS: u64 = 2 * DAY_MS;
/// Maximum number of one-time keys of each kind that are kept here. None is deleted to make room, because a first message
/// may be in flight for it. A relay that asks for more, or whose keys are taken and never used, has to give out the
/// last-resort key.
pub(super) const MAX_KEPT: u32 = 1_000;

/// Creates the missing keys, and returns all that the relay may not have yet: an upload whose answer was lost is repeated
/// with the same keys.
pub(crate) fn prepare(
    tx: &mut Tx<'_>,
    account: &Account,
    at_relay: wire::KeyCounts,
    now_ms: u64,
    rng: &mut StdRng,
) -> Result<PreKeys> {
    let waiting = tx.pre_keys_to_upload()?;
    let kept = tx.one_time_pre_keys()?;
    let rotate = tx.signed_pre_key_created()?.is_none_or(|created| is_due(created, now_ms));
    let ec = missing(at_relay.ec, waiting.one_time.len(), kept.ec);
    let kem = missing(at_relay.kem, waiting.one_time_kem.len(), kept.kem);
    if !rotate && ec == 0 && kem == 0 {
        return Ok(waiting);
    }
    let me = &account.identity;
    let first = tx.take_key_ids(ec.saturating_add(kem).saturating_add(2))?;
    let mut ids = first..;
    let mut next = || ids.next().unwrap_or(u32::MAX);
    let mut fresh = PreKeys::default();
    if rotate {
        fresh.signed = Some(SignedPreKey::generate(SignedPreKeyId(next()), me, now_ms, rng));
        fresh.last_resort = Some(KemPreKey::generate(KemPreKeyId(next()), me, now_ms, rng));
    }
    fresh.one_time = (0..ec).map(|_| OneTimePreKey::generate(OneTimePreKeyId(next()), rng)).collect();
    fresh.one_time_kem =
        (0..kem).map(|_| KemPreKey::generate(KemPreKeyId(next()), me, now_ms, rng)).collect();
    tx.insert_pre_keys(&fresh, now_ms)?;
    tx.pre_keys_to_upload()
}

/// Whether a signed key with this time of creation is to be replaced. A time in the future is due to a wrong clock.
pub(super) const fn is_due(created_ms: u64, now_ms: u64) -> bool {
    created_ms.saturating_add(ROTATE_MS) <= now_ms || created_ms > now_ms.saturating_add(ROTATE_MS)
}

/// Replaces all keys, for a relay that has none of ours, or only keys that do not exist here any more.
pub(crate) fn prepare_anew(
    tx: &mut Tx<'_>,
    account: &Account,
    now_ms: u64,
    rng: &mut StdRng,
) -> Result<PreKeys> {
    tx.give_up_pre_keys(now_ms)?;
    prepare(tx, account, wire::KeyCounts::default(), now_ms, rng)
}

/// How many to create, given how many the relay has, how many wait to be uploaded, and how many are kept here in total.
pub(super) fn missing(at_relay: u32, waiting: usize, kept: u32) -> u32 {
    let total = at_relay.saturating_add(u32::try_from(waiting).unwrap_or(u32::MAX));
    let wanted = if total < LOW { FULL.saturating_sub(total) } else { 0 };
    wanted.min(MAX_KEPT.saturating_sub(kept))
}

/// The public halves, in the form of an upload.
pub(crate) fn upload_form(keys: &PreKeys) -> wire::KeyUpload {
    let signed_kem = |key: &KemPreKey| wire::SignedKey {
        id: key.id().0,
        public_key: key.public_key().to_vec().into(),
        signature: key.signature().to_vec().into(),
    };
    wire::KeyUpload {
        signed_pre_key: keys.signed.as_ref().map(|key| wire::SignedKey {
            id: key.id().0,
            public_key: key.public_key().to_vec().into(),
            signature: key.signature().to_vec().into(),
        }),
        last_resort_kem: keys.last_resort.as_ref().map(signed_kem),
        one_time: keys
            .one_time
            .iter()
            .map(|key| wire::OneTimeKey { id: key.id().0, public_key: key.public_key().to_vec().into() })
            .collect(),
        one_time_kem: keys.one_time_kem.iter().map(signed_kem).collect(),
        ..wire::KeyUpload::default()
    }
}
