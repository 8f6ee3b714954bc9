//! `PUT /v1/device-list`, `PUT /v1/primary`, `GET /v1/users/{user}/device-list`: the lists of devices that accounts have signed. The relay stores
//! them without reading them, so it can withhold the newest one, but not change it.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use sealpost_wire::id::DeviceId;
use sealpost_wire::limits::MAX_DEVICE_LIST;
use sealpost_wire::{MoveAccountRequest, SignedDeviceList};

use super::{InPath, in_path};
use crate::auth::Authenticated;
use crate::body::Proto;
use crate::fault::{self, Station};
use crate::problem::Problem;
use crate::state::State;
use crate::store::{MoveAccount, MovedAccount};

/// Replaces the list of the requester's account: 204, also if it is the stored one.
pub(super) async fn put(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
    Proto(list): Proto<SignedDeviceList>,
) -> Result<StatusCode, Problem> {
    if !state.store.is_primary(access.address).await? {
        return Err(Problem::Forbidden);
    }
    check(&list)?;
    if state.store.put_device_list(access.address.user, list).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::StaleList)
    }
}

/// Replaces the list, and makes another device of the account the primary one: 204, also if that was done before.
pub(super) async fn move_account(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
    Proto(request): Proto<MoveAccountRequest>,
) -> Result<StatusCode, Problem> {
    let list = request.list.ok_or(Problem::Malformed)?;
    check(&list)?;
    let to = DeviceId::new(request.device_id).map_err(|_| Problem::Malformed)?;
    let request = MoveAccount { from: access.address, to, list, now_ms: state.clock.unix_ms() };
    let moved = state.store.move_account(request).await?;
    fault::at(Station::MoveAfterCommit);
    match moved {
        MovedAccount::Yes => Ok(StatusCode::NO_CONTENT),
        MovedAccount::Stale => Err(Problem::StaleList),
        MovedAccount::NotPrimary => Err(Problem::Forbidden),
        MovedAccount::UnknownDevice => Err(Problem::NotFound),
    }
}

fn check(list: &SignedDeviceList) -> Result<(), Problem> {
    let is_version = list.version > 0 && i64::try_from(list.version).is_ok();
    if list.list.is_empty() || list.list.len() > MAX_DEVICE_LIST || !is_version {
        return Err(Problem::Malformed);
    }
    Ok(())
}

/// The newest list of a user.
pub(super) async fn show(
    Shared(state): Shared<Arc<State>>,
    Authenticated(_): Authenticated,
    InPath(user): InPath<String>,
) -> Result<Proto<SignedDeviceList>, Problem> {
    state.store.device_list(in_path(&user)?).await?.map(Proto).ok_or(Problem::NotFound)
}
