//! The REST endpoints and the door to the WebSocket: one file per resource.

mod accounts;
mod auth;
mod devices;
mod health;
mod inbox;
mod keys;
mod messages;
mod socket;
mod threads;

use std::sync::Arc;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::{delete, get, post};
use sha2::{Digest as _, Sha256};

use crate::problem::Problem;
use crate::state::State;
use crate::store::IdempotencyKey;

pub(crate) use inbox::parse_keys;
pub(crate) use keys::are_low;

/// Longest idempotency key, in bytes.
const MAX_IDEMPOTENCY_KEY: usize = 64;

/// Every route of the relay.
pub(crate) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/v1/accounts", post(accounts::register))
        .route("/v1/auth/refresh", post(auth::refresh))
        .route("/v1/auth/logout", post(auth::logout))
        .route("/v1/devices", get(devices::list))
        .route("/v1/devices/{device}", delete(devices::revoke))
        .route("/v1/keys", get(keys::counts).put(keys::put))
        .route("/v1/users/{user}/devices/{device}/prekeys", get(keys::take))
        .route("/v1/threads", post(threads::create))
        .route("/v1/threads/{thread}", get(threads::show))
        .route("/v1/threads/{thread}/messages", post(messages::send))
        .route("/v1/inbox", get(inbox::page))
        .route("/v1/inbox:ack", post(inbox::acknowledge))
        .route("/v1/ws", get(socket::upgrade))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(nothing_here)
        .method_not_allowed_fallback(nothing_here)
        .with_state(state)
}

/// What the relay tells its operator, on a listener of its own.
pub(crate) fn operator(state: Arc<State>) -> Router {
    Router::new()
        .route("/metrics", get(health::metrics))
        .fallback(nothing_here)
        .method_not_allowed_fallback(nothing_here)
        .with_state(state)
}

async fn nothing_here() -> Problem {
    Problem::NotFound
}

/// An identifier in a path. One that cannot exist is not found, like one that does not.
fn in_path<T: std::str::FromStr>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::NotFound)
}

/// A device number in a path.
fn device_in_path(text: &str) -> Result<sealpost_wire::id::DeviceId, Problem> {
    sealpost_wire::id::DeviceId::new(in_path(text)?).map_err(|_| Problem::NotFound)
}

/// 16 random bytes as a UUIDv4 (RFC 9562, section 5.4): the ids the relay gives out cannot be walked.
fn random_id() -> [u8; 16] {
    uuid::Builder::from_random_bytes(rand::random()).into_uuid().into_bytes()
}

/// What makes a repeated request the same: a header of at most 64 bytes, of which a hash is kept.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    if value.is_empty() || value.len() > MAX_IDEMPOTENCY_KEY {
        return Err(Problem::Malformed);
    }
    Ok(Some(IdempotencyKey(Sha256::digest(value.as_bytes()).into())))
}
