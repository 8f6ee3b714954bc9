//! `POST /v1/accounts` and `DELETE /v1/account`

use std::sync::Arc;

use axum::Extension;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::id::{DeviceId, UserId};
use sealpost_wire::{RegisterRequest, RegisterResponse};

use super::{auth, idempotency_key};
use crate::address::Address;
use crate::auth::Authenticated;
use crate::body::{KeysBody, Proto};
use crate::bus::WakeReason;
use crate::fault::{self, Station};
use crate::keys::{self, CheckedKeys, LoginKey};
use crate::login::Registered;
use crate::origin::Origin;
use crate::problem::Problem;
use crate::random;
use crate::state::State;
use crate::store::{FamilyId, NewAccount, NewFamily};
use crate::tokens::REFRESH_LIFE_MS;

/// Creates an account with its first device. A client that has lost the answer repeats the request with the same
/// `Idempotency-Key`, which nobody else knows, and gets the same account.
pub(super) async fn register(
    Shared(state): Shared<Arc<State>>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    KeysBody(request): KeysBody<RegisterRequest>,
) -> Result<(StatusCode, Proto<RegisterResponse>), Problem> {
    state.limiter.registration(origin.0, state.clock.monotonic())?;
    let idempotency = idempotency_key(&headers)?;
    state.registration.check(&request.proof)?;
    keys::check_identity(request.registration_id, &request.identity_key)?;
    let login_key = LoginKey::from_field(&request.login_key)?;
    let keys = CheckedKeys::parse_first(request.keys.ok_or(Problem::BadKeys)?)?;
    let address = Address { user: UserId::from_bytes(random::id().into_bytes()), device: DeviceId::PRIMARY };
    let now_ms = state.clock.unix_ms();
    let refresh = state.signer.random(FamilyId(random::id().into_bytes()));
    let (registration_id, identity_key) = (request.registration_id, request.identity_key);
    let new = NewAccount {
        address,
        registration_id,
        identity_key: identity_key.clone(),
        login_key,
        keys,
        family: NewFamily {
            id: refresh.family(),
            refresh: refresh.hash(),
            expires_ms: now_ms.saturating_add(REFRESH_LIFE_MS),
        },
        idempotency,
        now_ms,
    };
    let fresh = new.address;
    let address = state.store.create_account(new).await?;
    if address != fresh {
        // The tokens of the lost answer are void, and so is a connection that was opened with one of them.
        state.bus.wake(address, WakeReason::Revoked);
    }
    fault::at(Station::RegisterAfterCommit);
    let tag = login_key.map(|login_key| {
        let registered = Registered { address, registration_id, identity_key: &identity_key, login_key };
        state.signer.registration_tag(&registered)
    });
    let answer = RegisterResponse {
        user_id: address.user.to_wire(),
        device_id: address.device.get(),
        tokens: Some(auth::token_pair(&state, address, &refresh, now_ms)?),
        registration_tag: tag.map(|tag| Bytes::copy_from_slice(tag.as_ref())).unwrap_or_default(),
    };
    Ok((StatusCode::CREATED, Proto(answer)))
}

/// Deletes the requester's account, which only the primary device may do: the tokens, keys and mailboxes of all its
/// devices are deleted, and their connections are closed. A device that did not get the answer asks again and gets
/// 401 `account_deleted`.
pub(super) async fn delete(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
) -> Result<StatusCode, Problem> {
    let me = access.address;
    if !state.store.is_primary(me).await? {
        return Err(Problem::Forbidden);
    }
    let devices = state.store.delete_account(me.user, state.clock.unix_ms()).await?;
    fault::at(Station::DeleteAfterCommit);
    for device in devices {
        state.bus.wake(device, WakeReason::Revoked);
    }
    Ok(StatusCode::NO_CONTENT)
}
