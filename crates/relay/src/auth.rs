//! Who asks: the gate before the handlers, and what they learn from it.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::MethodRouter;

use crate::matrix::Shows;
use crate::problem::Problem;
use crate::state::State;
use crate::tokens::Access;

/// Lets a request through to its handler only if it shows what its row of the table asks for.
pub(crate) fn gate(
    shows: Shows,
    route: MethodRouter<Arc<State>>,
    state: &Arc<State>,
) -> MethodRouter<Arc<State>> {
    match shows {
        Shows::Token => route.route_layer(from_fn_with_state(Arc::clone(state), require_token)),
        // What their bodies carry, their handlers check; and the operator's listener is the operator's alone.
        Shows::Nothing | Shows::Proof | Shows::RefreshSecret | Shows::Operator => route,
    }
}

async fn require_token(
    Shared(state): Shared<Arc<State>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let access = state.signer.verify(bearer(request.headers())?, state.clock.unix_ms())?;
    let mut response = let_in(&state, access, request, next).await.into_response();
    response.extensions_mut().insert(DevicePays);
    Ok(response)
}

async fn let_in(
    state: &State,
    access: Access,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    // Charged before the store is asked anything.
    state.limiter.request(access.address, state.clock.monotonic())?.over().await;
    let access = state.confirm(access).await?;
    request.extensions_mut().insert(Passed(access));
    Ok(next.run(request).await)
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let header = headers.get(header::AUTHORIZATION).ok_or(Problem::InvalidToken)?;
    let header = header.to_str().map_err(|_| Problem::InvalidToken)?;
    header.strip_prefix("Bearer ").ok_or(Problem::InvalidToken)
}

/// Left with an answer whose request was charged to the device that a token was made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DevicePays;

/// What the gate leaves with a request. Only the gate can make it.
#[derive(Debug, Clone, Copy)]
struct Passed(Access);

/// Proof that a request carries a valid access token of a live device. Behind a gate that did not ask for one there is
/// none, and the request is refused.
#[derive(Debug)]
pub(crate) struct Authenticated(pub(crate) Access);

impl FromRequestParts<Arc<State>> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<State>) -> Result<Self, Problem> {
        let passed: &Passed = parts.extensions.get().ok_or(Problem::InvalidToken)?;
        Ok(Self(passed.0))
    }
}
