//! `POST /v1/auth/refresh` and `POST /v1/auth/logout`

use std::sync::Arc;

use axum::Extension;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use sealpost_wire::{RefreshRequest, TokenPair};

use super::idempotency_key;
use crate::address::Address;
use crate::auth::Authenticated;
use crate::body::Proto;
use crate::bus::WakeReason;
use crate::keys::LoginKey;
use crate::login::Registered;
use crate::origin::Origin;
use crate::problem::Problem;
use crate::state::State;
use crate::store::{Rotated, Rotation};
use crate::tokens::{REFRESH_LIFE_MS, RefreshToken};

/// Exchanges a refresh token, which is used up once its successor has been used. A client that repeats the request
/// with the same `Idempotency-Key`, which nobody else knows, gets the same successor.
pub(super) async fn refresh(
    Shared(state): Shared<Arc<State>>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    Proto(request): Proto<RefreshRequest>,
) -> Result<Proto<TokenPair>, Problem> {
    state.limiter.refresh(origin.0, state.clock.monotonic())?;
    let presented = RefreshToken::parse(&request.refresh_token)?;
    let next = match idempotency_key(&headers)? {
        Some(exchange) => state.signer.successor(&presented, &exchange),
        None => state.signer.random(presented.family()),
    };
    let login_key = LoginKey::from_field(&request.login_key)?;
    let now_ms = state.clock.unix_ms();
    let rotation = Rotation {
        family: presented.family(),
        presented: presented.hash(),
        origin: state.signer.origin(&presented),
        next: next.hash(),
        login_key,
        expires_ms: now_ms.saturating_add(REFRESH_LIFE_MS),
        now_ms,
    };
    match state.store.rotate_refresh(rotation).await? {
        Rotated::Next(address) => {
            let pair = token_pair(&state, address, &next, now_ms)?;
            let registration_tag = confirmed(&state, address, login_key).await?;
            Ok(Proto(TokenPair { registration_tag, ..pair }))
        }
        Rotated::Deleted => Err(Problem::AccountDeleted),
        Rotated::Unknown => Err(Problem::InvalidToken),
        Rotated::ReuseDetected(address) => {
            state.bus.wake(address, WakeReason::Revoked);
            Err(Problem::ReuseDetected)
        }
    }
}

/// The registration tag of the device, if this login key is the one that the relay has for it.
async fn confirmed(state: &State, address: Address, shown: Option<LoginKey>) -> Result<Bytes, Problem> {
    let Some(login_key) = shown else { return Ok(Bytes::new()) };
    let device = state.store.device(address).await?;
    let Some(device) = device.filter(|device| device.login_key == shown) else { return Ok(Bytes::new()) };
    let (registration_id, identity_key) = (device.registration_id, &device.identity_key);
    let registered = Registered { address, registration_id, identity_key, login_key };
    Ok(Bytes::copy_from_slice(state.signer.registration_tag(&registered).as_ref()))
}

/// Ends the token family. The device and its mailbox remain.
pub(super) async fn logout(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
) -> Result<StatusCode, Problem> {
    state.store.end_family(access.family).await?;
    state.bus.wake(access.address, WakeReason::Revoked);
    Ok(StatusCode::NO_CONTENT)
}

/// A new access token, together with the refresh token that the store already knows.
pub(super) fn token_pair(
    state: &State,
    address: Address,
    refresh: &RefreshToken,
    now_ms: u64,
) -> Result<TokenPair, Problem> {
    let (access_token, access_expires_ms) = state.signer.issue(address, refresh.family(), now_ms)?;
    Ok(TokenPair {
        access_token,
        access_expires_ms,
        refresh_token: refresh.expose(),
        server_time_ms: now_ms,
        registration_tag: Bytes::new(),
    })
}
