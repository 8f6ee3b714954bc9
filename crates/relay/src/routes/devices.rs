//! `GET /v1/devices` and `DELETE /v1/devices/{id}`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use sealpost_wire::DeviceList;

use super::{InPath, device_in_path};
use crate::address::Address;
use crate::auth::Authenticated;
use crate::body::Proto;
use crate::bus::WakeReason;
use crate::problem::Problem;
use crate::state::State;

/// The requester's own live devices, and the numbers of those that were revoked.
pub(super) async fn list(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
) -> Result<Proto<DeviceList>, Problem> {
    let user = access.address.user;
    let devices = state.store.devices(user).await?;
    let revoked = state.store.revoked_devices(user).await?;
    Ok(Proto(DeviceList { devices, revoked }))
}

/// Revokes one of the requester's devices: the primary device may revoke any, the others only themselves. A link token of a device that
/// was not registered yet is void.
pub(super) async fn revoke(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
    InPath(device): InPath<String>,
) -> Result<StatusCode, Problem> {
    let me = access.address;
    let device = device_in_path(&device)?;
    if me.device != device && !state.store.is_primary(me).await? {
        return Err(Problem::Forbidden);
    }
    let revoked = Address { user: me.user, device };
    if !state.store.revoke_device(revoked).await? {
        return Err(Problem::NotFound);
    }
    state.bus.wake(revoked, WakeReason::Revoked);
    Ok(StatusCode::NO_CONTENT)
}
