//! `POST /v1/auth/challenge`, `POST /v1/auth/login` and `POST /v1/accounts/restore`

use std::sync::Arc;

use axum::Extension;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use sealpost_wire::login::Purpose;
use sealpost_wire::{Challenge, ChallengeRequest, LoginRequest, RestoreRequest, TokenPair};

use super::{auth, idempotency_key};
use crate::address::Address;
use crate::body::{KeysBody, Proto};
use crate::bus::WakeReason;
use crate::keys::{self, CheckedKeys, LoginKey};
use crate::login::Registered;
use crate::origin::Origin;
use crate::problem::Problem;
use crate::random;
use crate::state::State;
use crate::store::{FamilyId, LoggedIn, Login, NewAccount, NewFamily, Restored};
use crate::tokens::{REFRESH_LIFE_MS, RefreshToken};

/// Returns a challenge for any device. Whether the device exists can only be learned by signing for it.
pub(super) async fn challenge(
    Shared(state): Shared<Arc<State>>,
    Extension(origin): Extension<Origin>,
    Proto(request): Proto<ChallengeRequest>,
) -> Result<Proto<Challenge>, Problem> {
    state.limiter.login(origin.0, state.clock.monotonic())?;
    let address = Address::from_wire(&request.user_id, request.device_id)?;
    Ok(Proto(state.challenges.issue(address, state.store.epoch(), state.clock.unix_ms())))
}

/// Issues new tokens to a device that signs with its login key. All its earlier tokens become invalid, whoever holds
/// them. Repeating the login under the same `Idempotency-Key` with a new signature returns the same refresh token.
pub(super) async fn log_in(
    Shared(state): Shared<Arc<State>>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    Proto(request): Proto<LoginRequest>,
) -> Result<Proto<TokenPair>, Problem> {
    state.limiter.login(origin.0, state.clock.monotonic())?;
    let now_ms = state.clock.unix_ms();
    let signed = request.signed.ok_or(Problem::InvalidSignature)?;
    let answered = state.challenges.accept(signed, state.store.epoch(), now_ms)?;
    let address = answered.address;
    let device = state.store.device(address).await?;
    let known = device.and_then(|device| device.login_key);
    // The answer is the same for a wrong key and for a device that does not exist.
    let redeemed = state.challenges.verify(&answered, Purpose::Login, known, now_ms);
    let login_key = redeemed.map_err(|problem| match problem {
        Problem::InvalidSignature => Problem::UnknownDevice,
        other => other,
    })?;
    let refresh = first_token(&state, address, &headers)?;
    let login = Login { address, login_key, family: family(&refresh, now_ms) };
    match state.store.log_in(login).await? {
        LoggedIn::Yes => {
            state.bus.wake(address, WakeReason::Revoked);
            auth::token_pair(&state, address, &refresh, now_ms).map(Proto)
        }
        LoggedIn::Unknown => Err(Problem::UnknownDevice),
    }
}

/// Restores a device that this relay registered and whose row it has lost, under the same address and with the same
/// keys. The device proves its claim with the tag that it received at registration and a signature by its login key;
/// nobody else has both.
pub(super) async fn restore(
    Shared(state): Shared<Arc<State>>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    KeysBody(request): KeysBody<RestoreRequest>,
) -> Result<(StatusCode, Proto<TokenPair>), Problem> {
    state.limiter.login(origin.0, state.clock.monotonic())?;
    let now_ms = state.clock.unix_ms();
    let signed = request.signed.ok_or(Problem::InvalidSignature)?;
    let answered = state.challenges.accept(signed, state.store.epoch(), now_ms)?;
    let address = answered.address;
    let login_key = LoginKey::from_field(&request.login_key)?.ok_or(Problem::InvalidSignature)?;
    let (registration_id, identity_key) = (request.registration_id, request.identity_key);
    let registered = Registered { address, registration_id, identity_key: &identity_key, login_key };
    if !state.signer.is_registration_tag(&registered, &request.registration_tag) {
        return Err(Problem::UnknownDevice);
    }
    keys::check_identity(registration_id, &identity_key)?;
    let keys = CheckedKeys::parse_first(request.keys.ok_or(Problem::BadKeys)?)?;
    state.challenges.verify(&answered, Purpose::Restore, Some(login_key), now_ms)?;
    let refresh = first_token(&state, address, &headers)?;
    let account = NewAccount {
        address,
        registration_id,
        identity_key,
        login_key: Some(login_key),
        keys,
        family: family(&refresh, now_ms),
        idempotency: None,
        now_ms,
    };
    match state.store.restore_device(account).await? {
        Restored::Yes => {
            state.bus.wake(address, WakeReason::Revoked);
            Ok((StatusCode::CREATED, Proto(auth::token_pair(&state, address, &refresh, now_ms)?)))
        }
        Restored::Taken => Err(Problem::AddressTaken),
        Restored::Revoked => Err(Problem::DeviceRevoked),
    }
}

/// The first refresh token of a new family.
fn first_token(state: &State, address: Address, headers: &HeaderMap) -> Result<RefreshToken, Problem> {
    Ok(match idempotency_key(headers)? {
        Some(exchange) => state.signer.first(address, &exchange),
        None => state.signer.random(FamilyId(random::id().into_bytes())),
    })
}

fn family(refresh: &RefreshToken, now_ms: u64) -> NewFamily {
    NewFamily {
        id: refresh.family(),
        refresh: refresh.hash(),
        expires_ms: now_ms.saturating_add(REFRESH_LIFE_MS),
    }
}
