//! `GET` and `PUT /v1/keys`, `GET /v1/users/{user}/devices/{device or *}/prekeys`

use std::sync::Arc;

use axum::extract::{RawQuery, State as Shared};
use axum::http::HeaderMap;
use sealpost_wire::id::{ThreadId, UserId};
use sealpost_wire::{Bundles, KeyCounts, KeyUpload};

use super::{InPath, device_in_path, idempotency_key, in_path};
use crate::auth::Authenticated;
use crate::body::{KeysBody, Proto};
use crate::bus::WakeReason;
use crate::fault::{self, Station};
use crate::keys::{CheckedKeys, are_low};
use crate::problem::Problem;
use crate::state::State;
use crate::store::{Selector, Take};

/// The number of the requester's remaining one-time keys.
pub(super) async fn counts(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
) -> Result<Proto<KeyCounts>, Problem> {
    Ok(Proto(state.store.key_counts(access.address).await?))
}

/// Replaces the requester's signed keys and adds one-time keys.
pub(super) async fn put(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
    KeysBody(upload): KeysBody<KeyUpload>,
) -> Result<Proto<KeyCounts>, Problem> {
    let signed = upload.signed_pre_key.iter().len().saturating_add(upload.last_resort_kem.iter().len());
    let rows = signed.saturating_add(upload.one_time.len()).saturating_add(upload.one_time_kem.len());
    state.limiter.key_upload(access.address, rows, state.clock.monotonic())?;
    let keys = CheckedKeys::parse(upload)?;
    Ok(Proto(state.store.put_keys(access.address, keys).await??))
}

/// Fetches the bundles of a user's devices.
pub(super) async fn take(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
    InPath((user, device)): InPath<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Proto<Bundles>, Problem> {
    let target: UserId = in_path(&user)?;
    let selector = match device.as_str() {
        "*" => Selector::All,
        device => Selector::One(device_in_path(device)?),
    };
    let requester = access.address;
    let idempotency = idempotency_key(&headers)?;
    let now_ms = state.clock.unix_ms();
    let take = Take { requester, target, selector, idempotency, last_resort_only: false, now_ms };
    // A repetition takes no keys, and therefore costs nothing.
    if idempotency.is_some()
        && let Some(bundles) = state.store.repeated_take(take.clone()).await?
    {
        let devices = state.store.device_list(target).await?;
        return Ok(Proto(Bundles { bundles, devices }));
    }
    let now = state.clock.monotonic();
    let one_time = match of_group(query.as_deref())? {
        Some(group) if state.store.are_fellows(group, requester.user, target).await? => {
            state.limiter.group_pre_keys(requester, target, now)?
        }
        _ => state.limiter.pre_keys(requester, target, now)?,
    };
    let taken = state.store.take_bundles(Take { last_resort_only: !one_time, ..take }).await?;
    fault::at(Station::PreKeyAfterCommit);
    for (owner, left) in taken.left {
        if are_low(left) {
            state.bus.wake(owner, WakeReason::KeysLow);
        }
    }
    if taken.deleted {
        return Err(Problem::RecipientDeleted);
    }
    if taken.bundles.is_empty() {
        return Err(Problem::NotFound);
    }
    state.metrics.last_resort.add(taken.last_resort);
    let devices = state.store.device_list(target).await?;
    Ok(Proto(Bundles { bundles: taken.bundles, devices }))
}

/// The group that the requester wants to meet: `?group=<thread>`.
fn of_group(query: Option<&str>) -> Result<Option<ThreadId>, Problem> {
    let named = query.and_then(|query| query.strip_prefix("group="));
    named.map(|thread| thread.parse().map_err(|_| Problem::Malformed)).transpose()
}
