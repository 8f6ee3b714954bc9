//! `PUT` and `DELETE /v1/blocks/{user}`: whom the requester blocks.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use sealpost_wire::id::UserId;

use super::{InPath, in_path};
use crate::auth::Authenticated;
use crate::problem::Problem;
use crate::state::State;

/// Blocks a user: 204, also if it was done before, and whether or not the user exists.
pub(super) async fn block(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
    InPath(user): InPath<String>,
) -> Result<StatusCode, Problem> {
    let blocked: UserId = in_path(&user)?;
    if blocked == access.address.user {
        return Err(Problem::Forbidden);
    }
    if state.store.block(access.address.user, blocked).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::TooManyBlocks)
    }
}

/// Unblocks a user: 204.
pub(super) async fn unblock(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
    InPath(user): InPath<String>,
) -> Result<StatusCode, Problem> {
    state.store.unblock(access.address.user, in_path(&user)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
