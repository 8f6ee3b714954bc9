//! `POST /v1/links`, `PUT /v1/links/{link}/…`, `POST /v1/link-tokens` and `POST /v1/devices:link`: a further device of an account.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use sealpost_wire::id::{DeviceId, ToWire as _};
use sealpost_wire::limits::{LINK_LIFE_MS, LINK_SECRET, MAX_PUSH_TOKEN};
use sealpost_wire::{
    CompanionBlobs, Link, LinkBlobs, LinkDeviceRequest, LinkToken, LinkTokenRequest, RegisterResponse,
};
use sha2::{Digest as _, Sha256};

use super::{InPath, auth, idempotency_key};
use crate::address::Address;
use crate::auth::Authenticated;
use crate::body::{KeysBody, Proto};
use crate::bus::WakeReason;
use crate::fault::{self, Station};
use crate::keys::{self, CheckedKeys, LoginKey};
use crate::links::{LinkError, LinkId};
use crate::login::Registered;
use crate::origin::Origin;
use crate::problem::Problem;
use crate::random;
use crate::state::State;
use crate::store::{
    self, FamilyId, IdempotencyKey, LinkDevice, Linked, NewAccount, NewFamily, NewLinkToken, TokenHash,
};
use crate::tokens::REFRESH_LIFE_MS;

/// Begins a link, for somebody who has no account yet.
pub(super) async fn begin(
    Shared(state): Shared<Arc<State>>,
    Extension(origin): Extension<Origin>,
) -> Result<(StatusCode, Proto<Link>), Problem> {
    let now = state.clock.monotonic();
    state.limiter.link(origin.0, now)?;
    let (id, secret) = state.links.begin(now)?;
    let link = Link { link_id: Bytes::copy_from_slice(&id), secret: Bytes::copy_from_slice(&secret) };
    Ok((StatusCode::CREATED, Proto(link)))
}

/// What the primary device of an account has for the companion; answered with what the companion has for it.
pub(super) async fn as_primary(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
    InPath(link): InPath<String>,
    Proto(LinkBlobs { blobs }): Proto<LinkBlobs>,
) -> Result<Proto<LinkBlobs>, Problem> {
    let user = access.address.user;
    if !state.store.is_primary(access.address).await? {
        return Err(Problem::Forbidden);
    }
    let blobs = state.links.as_primary(&link_id(&link)?, user, blobs, state.clock.monotonic())?;
    Ok(Proto(LinkBlobs { blobs }))
}

/// What the companion has for the primary device; answered with what that has for it.
pub(super) async fn as_companion(
    Shared(state): Shared<Arc<State>>,
    Extension(origin): Extension<Origin>,
    InPath(link): InPath<String>,
    Proto(CompanionBlobs { secret, blobs }): Proto<CompanionBlobs>,
) -> Result<Proto<LinkBlobs>, Problem> {
    let now = state.clock.monotonic();
    state.limiter.link_poll(origin.0, now)?;
    let blobs = state.links.as_companion(&link_id(&link)?, &secret, blobs, now)?;
    Ok(Proto(LinkBlobs { blobs }))
}

/// Reserves the number of a device, and returns a token for its registration.
pub(super) async fn take_token(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
    Proto(LinkTokenRequest { above }): Proto<LinkTokenRequest>,
) -> Result<(StatusCode, Proto<LinkToken>), Problem> {
    let user = access.address.user;
    if !state.store.is_primary(access.address).await? {
        return Err(Problem::Forbidden);
    }
    state.limiter.link_token(user, state.clock.monotonic())?;
    let (token, until_ms) = (random::secret(), state.clock.unix_ms().saturating_add(LINK_LIFE_MS));
    let new = NewLinkToken { user, above, token: hash(&token[..]), until_ms };
    match state.store.take_link_token(new).await? {
        store::LinkToken::Taken(device_id) => {
            let token = Bytes::copy_from_slice(&token[..]);
            Ok((StatusCode::CREATED, Proto(LinkToken { token, device_id, expires_ms: until_ms })))
        }
        store::LinkToken::TooManyDevices => Err(Problem::TooManyDevices),
        store::LinkToken::IdsUsedUp => Err(Problem::DeviceIdsUsedUp),
    }
}

/// Registers the device of a link token. A client that has lost the answer repeats the request with the same `Idempotency-Key`.
pub(super) async fn link_device(
    Shared(state): Shared<Arc<State>>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    KeysBody(request): KeysBody<LinkDeviceRequest>,
) -> Result<(StatusCode, Proto<RegisterResponse>), Problem> {
    state.limiter.link(origin.0, state.clock.monotonic())?;
    if request.link_token.len() != LINK_SECRET {
        return Err(Problem::BadLinkToken);
    }
    if request.push_token.len() > MAX_PUSH_TOKEN {
        return Err(Problem::TooLarge);
    }
    let (registration_id, identity_key) = (request.registration_id, request.identity_key);
    keys::check_identity(registration_id, &identity_key)?;
    let login_key = LoginKey::from_field(&request.login_key)?.ok_or(Problem::BadKeys)?;
    let keys = CheckedKeys::parse_first(request.keys.ok_or(Problem::BadKeys)?)?;
    let now_ms = state.clock.unix_ms();
    let refresh = state.signer.random(FamilyId(random::id().into_bytes()));
    let family = NewFamily {
        id: refresh.family(),
        refresh: refresh.hash(),
        expires_ms: now_ms.saturating_add(REFRESH_LIFE_MS),
    };
    let device = NewAccount {
        address: Address { user: sealpost_wire::id::UserId::from_bytes([0; 16]), device: DeviceId::PRIMARY },
        registration_id,
        identity_key: identity_key.clone(),
        login_key: Some(login_key),
        keys,
        family,
        idempotency: None,
        now_ms,
    };
    // A request without a name cannot be repeated.
    let named = idempotency_key(&headers)?.unwrap_or_else(|| IdempotencyKey(**random::secret()));
    let new = LinkDevice {
        token: hash(&request.link_token),
        device,
        request: named,
        push_token: request.push_token,
    };
    let address = match state.store.link_device(new).await? {
        Linked::New(address) => address,
        Linked::Again(address) => {
            // The tokens of the lost answer are void, and so is a connection that was opened with one of them.
            state.bus.wake(address, WakeReason::Revoked);
            address
        }
        Linked::BadToken => return Err(Problem::BadLinkToken),
        Linked::Used => return Err(Problem::LinkTokenUsed),
        Linked::TooManyDevices => return Err(Problem::TooManyDevices),
    };
    fault::at(Station::LinkAfterCommit);
    let registered = Registered { address, registration_id, identity_key: &identity_key, login_key };
    let answer = RegisterResponse {
        user_id: address.user.to_wire(),
        device_id: address.device.get(),
        tokens: Some(auth::token_pair(&state, address, &refresh, now_ms)?),
        registration_tag: Bytes::copy_from_slice(state.signer.registration_tag(&registered).as_ref()),
    };
    Ok((StatusCode::CREATED, Proto(answer)))
}

fn hash(secret: &[u8]) -> TokenHash {
    TokenHash(Sha256::digest(secret).into())
}

/// 32 hexadecimal digits.
fn link_id(text: &str) -> Result<LinkId, Problem> {
    crate::tokens::from_hex(text).ok_or(Problem::NotFound)
}

impl From<LinkError> for Problem {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Unknown => Self::NotFound,
            LinkError::Taken => Self::LinkTaken,
            LinkError::TooLarge => Self::TooLarge,
            LinkError::Full => Self::RateLimited { retry_after_ms: 60_000 },
        }
    }
}
