//! `POST /v1/auth/refresh` and `POST /v1/auth/logout`

use std::sync::Arc;

use axum::Extension;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use sealpost_wire::{RefreshRequest, TokenPair};

use super::idempotency_key;
use crate::address::Address;
use crate::auth::Authenticated;
use crate::body::Proto;
use crate::bus::Nudge;
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
    let now_ms = state.clock.unix_ms();
    let rotation = Rotation {
        family: presented.family(),
        presented: presented.hash(),
        origin: state.signer.origin(&presented),
        next: next.hash(),
        expires_ms: now_ms.saturating_add(REFRESH_LIFE_MS),
        now_ms,
    };
    match state.store.rotate_refresh(rotation).await? {
        Rotated::Next(address) => token_pair(&state, address, &next, now_ms).map(Proto),
        Rotated::Deleted => Err(Problem::AccountDeleted),
        Rotated::Unknown => Err(Problem::InvalidToken),
        Rotated::ReuseDetected(address) => {
            state.bus.nudge(address, Nudge::Revoked);
            Err(Problem::ReuseDetected)
        }
    }
}

/// Ends the token family. The device and its mailbox remain.
pub(super) async fn logout(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
) -> Result<StatusCode, Problem> {
    state.store.end_family(access.family).await?;
    state.bus.nudge(access.address, Nudge::Revoked);
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
    Ok(TokenPair { access_token, access_expires_ms, refresh_token: refresh.expose(), server_time_ms: now_ms })
}
