//! The REST endpoints and the upgrade to a WebSocket, one file for each resource. The table in
//! [`matrix`](crate::matrix) defines which exist and who may use them.

mod accounts;
mod auth;
mod blocks;
mod device_lists;
mod devices;
mod groups;
mod health;
mod inbox;
mod keys;
mod links;
mod login;
mod mail;
mod messages;
mod socket;
mod threads;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Path};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::routing::{MethodRouter, on};
use sha2::{Digest as _, Sha256};

use crate::auth::gate;
use crate::matrix::{Credentials, Route};
use crate::problem::Problem;
use crate::state::State;
use crate::store::IdempotencyKey;

/// Maximum length of an idempotency key, in bytes.
const MAX_IDEMPOTENCY_KEY: usize = 64;

/// The public routes.
pub(crate) fn router(state: Arc<State>) -> Router {
    listener(state, |credentials| credentials != Credentials::Operator)
}

/// The routes for the operator, on a listener of their own.
pub(crate) fn operator(state: Arc<State>) -> Router {
    listener(state, |credentials| credentials == Credentials::Operator)
}

/// The routes of the table that this listener has, each behind its authentication.
fn listener(state: Arc<State>, has: fn(Credentials) -> bool) -> Router {
    let here = Route::ALL.iter().filter(|route| has(route.credentials()));
    let routed = here.fold(Router::new(), |router, route| {
        router.route(route.path(), gate(route.credentials(), handler(*route), &state))
    });
    routed.fallback(nothing_here).method_not_allowed_fallback(nothing_here).with_state(state)
}

fn handler(route: Route) -> MethodRouter<Arc<State>> {
    let method = route.method();
    match route {
        Route::Register => on(method, accounts::register),
        Route::DeleteAccount => on(method, accounts::delete),
        Route::Refresh => on(method, auth::refresh),
        Route::Challenge => on(method, login::challenge),
        Route::Login => on(method, login::log_in),
        Route::Restore => on(method, login::restore),
        Route::Logout => on(method, auth::logout),
        Route::ListDevices => on(method, devices::list),
        Route::RevokeDevice => on(method, devices::revoke),
        Route::PutDeviceList => on(method, device_lists::put),
        Route::MoveAccount => on(method, device_lists::move_account),
        Route::ShowDeviceList => on(method, device_lists::show),
        Route::BeginLink => on(method, links::begin),
        Route::LinkAsPrimary => on(method, links::as_primary),
        Route::LinkAsCompanion => on(method, links::as_companion),
        Route::TakeLinkToken => on(method, links::take_token),
        Route::LinkDevice => on(method, links::link_device),
        Route::CountKeys => on(method, keys::counts),
        Route::PutKeys => on(method, keys::put),
        Route::TakeBundles => on(method, keys::take),
        Route::CreateThread => on(method, threads::create),
        Route::AcceptThread => on(method, threads::accept),
        Route::ShowThread => on(method, threads::show),
        Route::CreateGroup => on(method, groups::create),
        Route::ChangeRoster => on(method, groups::change),
        Route::ShowRoster => on(method, groups::roster),
        Route::Block => on(method, blocks::block),
        Route::Unblock => on(method, blocks::unblock),
        Route::Append => on(method, messages::send),
        Route::PostMail => on(method, mail::post),
        Route::PageInbox => on(method, inbox::page),
        Route::AckInbox => on(method, inbox::acknowledge),
        Route::OpenSocket => on(method, socket::upgrade),
        Route::Alive => on(method, health::alive),
        Route::Ready => on(method, health::ready),
        Route::Metrics => on(method, health::metrics),
    }
}

async fn nothing_here() -> Problem {
    Problem::NotFound
}

/// The variable parts of a path. A path with percent-encoded bytes that are not UTF-8 matches nothing.
#[derive(Debug)]
struct InPath<T>(T);

impl<S: Send + Sync, T: serde::de::DeserializeOwned + Send> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(found)| Self(found)).map_err(|_| Problem::NotFound)
    }
}

/// An identifier in a path. An invalid one is answered like one that does not exist.
fn in_path<T: std::str::FromStr>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::NotFound)
}

/// A device number in a path.
fn device_in_path(text: &str) -> Result<sealpost_wire::id::DeviceId, Problem> {
    sealpost_wire::id::DeviceId::new(in_path(text)?).map_err(|_| Problem::NotFound)
}

/// The key that identifies a repeated request: a header of at most 64 bytes, of which only a hash is kept.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    if value.is_empty() || value.len() > MAX_IDEMPOTENCY_KEY {
        return Err(Problem::Malformed);
    }
    Ok(Some(IdempotencyKey(Sha256::digest(value.as_bytes()).into())))
}
