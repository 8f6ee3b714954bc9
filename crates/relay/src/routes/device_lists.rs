//! `PUT /v1/device-list`, `GET /v1/users/{user}/device-list`: the lists of devices that accounts have signed. The relay stores
//! them without reading them, so it can withhold the newest one, but not change it.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use sealpost_wire::SignedDeviceList;
use sealpost_wire::id::DeviceId;
use sealpost_wire::limits::MAX_DEVICE_LIST;

use super::{InPath, in_path};
use crate::auth::Authenticated;
use crate::body::Proto;
use crate::problem::Problem;
use crate::state::State;

/// Replaces the list of the requester's account: 204, also if it is the stored one.
pub(super) async fn put(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
    Proto(list): Proto<SignedDeviceList>,
) -> Result<StatusCode, Problem> {
    if access.address.device != DeviceId::PRIMARY {
        return Err(Problem::Forbidden);
    }
    let is_version = list.version > 0 && i64::try_from(list.version).is_ok();
    if list.list.is_empty() || list.list.len() > MAX_DEVICE_LIST || !is_version {
        return Err(Problem::Malformed);
    }
    if state.store.put_device_list(access.address.user, list).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::StaleList)
    }
}

/// The newest list of a user.
pub(super) async fn show(
    Shared(state): Shared<Arc<State>>,
    Authenticated(_): Authenticated,
    InPath(user): InPath<String>,
) -> Result<Proto<SignedDeviceList>, Problem> {
    state.store.device_list(in_path(&user)?).await?.map(Proto).ok_or(Problem::NotFound)
}
