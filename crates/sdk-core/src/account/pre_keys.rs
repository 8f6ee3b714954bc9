//! Our pre-keys: enough of them at the relay, none of them too old.

use rand::rngs::StdRng;
use sealpost_protocol::{
    KemPreKey, KemPreKeyId, OneTimePreKey, OneTimePreKeyId, SignedPreKey, SignedPreKeyId,
};
use sealpost_wire as wire;

use super::tokens;
use crate::context::Context;
use crate::error::Result;
use crate::fault::{self, Station};
use crate::store::{Account, PreKeys, Tx};
use crate::transport;

/// One-time keys of each kind that the relay should hold.
const FULL: u32 = 100;
/// Fewer than this, and it gets new ones.
const LOW: u32 = 20;
const DAY_MS: u64 = 24 * 3600 * 1000;
/// Age at which the signed and the last-resort key are replaced.
const ROTATE_MS: u64 = 2 * DAY_MS;
/// How long a replaced key still opens first messages: as long as a mailbox keeps them.
const KEEP_MS: u64 = 30 * DAY_MS;

/// Makes and uploads what the relay lacks.
pub(crate) async fn replenish(ctx: &Context) -> Result<()> {
    match upload_missing(ctx).await? {
        Upload::Arrived => Ok(()),
        // What was to go with them, and what is missing now that they are known to be there.
        Upload::ArrivedBefore => upload_missing(ctx).await.map(|_| ()),
    }
}

/// What became of an upload.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Upload {
    Arrived,
    /// The relay knows these one-time keys from an upload whose answer was lost, and has given some of them out.
    ArrivedBefore,
}

async fn upload_missing(ctx: &Context) -> Result<Upload> {
    let counts = tokens::with_access(ctx, |http, token| async move { http.key_counts(&token).await }).await?;
    let now_ms = ctx.server_now_ms();
    let mut rng = ctx.env.rng();
    let prepared = ctx.store.write(move |tx| {
        let (account, _) = tx.our_account()?;
        prepare(tx, &account, counts, now_ms, &mut rng)
    });
    let mut keys = prepared.await?;
    if keys.is_empty() {
        return Ok(Upload::Arrived);
    }
    fault::at(Station::PreKeysBeforeUpload);
    let form = upload_form(&keys);
    let form = &form;
    let upload = tokens::with_access(ctx, |http, token| async move {
        match http.upload_keys(&token, form).await {
            Ok(_) => Ok(Upload::Arrived),
            Err(transport::Error::Refused(refusal)) if refusal.reason == wire::reason::KEY_ID_USED => {
                Ok(Upload::ArrivedBefore)
            }
            Err(error) => Err(error),
        }
    });
    let upload = upload.await?;
    fault::at(Station::PreKeysUploaded);
    if upload == Upload::ArrivedBefore {
        (keys.signed, keys.last_resort) = (None, None);
    }
    ctx.store.write(move |tx| tx.set_pre_keys_uploaded(&keys)).await?;
    Ok(upload)
}

/// Makes what is missing, and returns all that the relay may not have yet: an upload whose answer was lost is
/// made again with the same keys.
pub(crate) fn prepare(
    tx: &mut Tx<'_>,
    account: &Account,
    at_relay: wire::KeyCounts,
    now_ms: u64,
    rng: &mut StdRng,
) -> Result<PreKeys> {
    tx.forget_replaced_pre_keys(now_ms.saturating_sub(KEEP_MS))?;
    let waiting = tx.pre_keys_to_upload()?;
    let rotate =
        tx.signed_pre_key_created()?.is_none_or(|created| created.saturating_add(ROTATE_MS) <= now_ms);
    let ec = missing(at_relay.ec, waiting.one_time.len());
    let kem = missing(at_relay.kem, waiting.one_time_kem.len());
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

/// How many to make, given what the relay has and what waits to be uploaded.
fn missing(at_relay: u32, waiting: usize) -> u32 {
    let total = at_relay.saturating_add(u32::try_from(waiting).unwrap_or(u32::MAX));
    if total < LOW { FULL.saturating_sub(total) } else { 0 }
}

/// The public halves, as the relay takes them.
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_filled_when_low_and_left_alone_otherwise() {
        assert_eq!(missing(0, 0), 100);
        assert_eq!(missing(19, 0), 81);
        assert_eq!(missing(20, 0), 0);
        assert_eq!(missing(0, 100), 0);
        assert_eq!(missing(5, 10), 85);
    }
}
