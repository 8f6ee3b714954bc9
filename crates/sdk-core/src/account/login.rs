//! Signs in with the login key when the relay refuses our tokens: it was restored from a backup, somebody has stolen a
//! token, or the tokens have expired.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use bytes::Bytes;
use sealpost_wire as wire;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::limits::{CHALLENGE_NONCE, MAX_COUNT, MAX_OPAQUE};
use sealpost_wire::login::{Purpose, signed_bytes};

use super::key_supply::{self, upload_form};
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::store::{LoginKey, Registered};
use crate::transport;

/// The public half of a login key, as it is sent to the relay.
pub(crate) fn public_key(key: &LoginKey) -> Result<Bytes> {
    Ok(Bytes::copy_from_slice(pair(key)?.public_key().as_ref()))
}

/// A registration tag, if this can be one. Longer ones than an honest relay issues are not kept.
pub(crate) fn tag(bytes: &[u8]) -> Option<Vec<u8>> {
    (1..=MAX_OPAQUE).contains(&bytes.len()).then(|| bytes.to_vec())
}

/// Gets new tokens under the idempotency key of an exchange. If the relay does not know this device any more, registers it
/// again under the same address.
///
/// # Errors
/// Returns [`Error::Unauthorized`] if its address is taken, [`Error::Unlinked`] if the companion was removed, and [`Error::UnknownDevice`] if the
/// relay does not recognise it.
pub(super) async fn sign_in(ctx: &Context, name: &str) -> Result<wire::TokenPair> {
    let read = ctx.store.read(|rows| {
        let has_left = rows.has_left()?;
        Ok((rows.stored_account()?.0, rows.login_key()?, rows.registration_tag()?, has_left))
    });
    let (account, key, tag, has_left) = read.await?;
    let us = account.ok_or(Error::Bug("not registered"))?.registered;
    let key = key.ok_or(Error::UnknownDevice)?;
    let signed = sign(ctx, us, &key, Purpose::Login).await?;
    match ctx.transport.http.log_in(signed, name).await {
        // A device that has left the account has no keys any more, and must not sign in again.
        Err(transport::Error::Unauthorized) if has_left => return Err(Error::Unauthorized),
        Err(transport::Error::Unauthorized) => {}
        answered => return Ok(answered?),
    }
    // Without the tag, the device cannot prove that it was registered.
    let tag = tag.ok_or(Error::UnknownDevice)?;
    tracing::warn!("the relay does not know this device any more; registering it again");
    restore(ctx, us, &key, tag, name).await
}

/// Registers this device again, with the same address and keys, at a relay that has lost it.
async fn restore(
    ctx: &Context,
    us: Registered,
    key: &LoginKey,
    tag: Vec<u8>,
    name: &str,
) -> Result<wire::TokenPair> {
    let signed = sign(ctx, us, key, Purpose::Restore).await?;
    let (now_ms, mut rng) = (ctx.server_now_ms(), ctx.env.rng());
    let prepared = ctx.store.write(move |tx| {
        let (account, _) = tx.our_account()?;
        let keys = key_supply::prepare_anew(tx, &account, now_ms, &mut rng)?;
        Ok((account.registration_id, account.identity.public().serialize(), keys))
    });
    let (registration_id, identity_key, keys) = prepared.await?;
    let request = wire::RestoreRequest {
        signed: Some(signed),
        registration_id,
        identity_key: identity_key.to_vec().into(),
        login_key: public_key(key)?,
        registration_tag: tag.into(),
        keys: Some(upload_form(&keys)),
    };
    let restored = match ctx.transport.http.restore(&request, name).await {
        Ok(pair) => pair,
        Err(transport::Error::Unauthorized) => return Err(Error::UnknownDevice),
        Err(transport::Error::Refused(refusal)) if refusal.reason == wire::reason::ADDRESS_TAKEN => {
            return Err(Error::Unauthorized);
        }
        Err(transport::Error::Refused(refusal)) if refusal.reason == wire::reason::DEVICE_REVOKED => {
            let is_primary = ctx.store.read(|rows| rows.holds_account_key()).await?;
            return Err(if is_primary { Error::Unauthorized } else { Error::Unlinked });
        }
        Err(error) => return Err(error.into()),
    };
    let noted = ctx.store.write(move |tx| {
        tx.tell_list_again()?;
        tx.set_pre_keys_uploaded(&keys)
    });
    noted.await?;
    Ok(restored)
}

/// Requests a challenge, and signs it.
async fn sign(
    ctx: &Context,
    us: Registered,
    key: &LoginKey,
    purpose: Purpose,
) -> Result<wire::SignedChallenge> {
    let challenge = ctx.transport.http.challenge(us.user, us.device).await?;
    let is_one = challenge.nonce.len() == CHALLENGE_NONCE && challenge.epoch <= MAX_COUNT;
    let bytes = signed_bytes(purpose, us.user, us.device, &challenge).filter(|_| is_one);
    let signature = pair(key)?.sign(&bytes.ok_or(Offline::NotARelay)?);
    Ok(wire::SignedChallenge {
        user_id: us.user.to_wire(),
        device_id: us.device.get(),
        challenge: Some(challenge),
        signature: Bytes::copy_from_slice(signature.as_ref()),
    })
}

fn pair(key: &LoginKey) -> Result<Ed25519KeyPair> {
    Ed25519KeyPair::from_seed_unchecked(key.expose()).map_err(|_| Error::Bug("a seed of the wrong length"))
}
