//! Authentication of requests, before they reach their handlers.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::MethodRouter;

use crate::matrix::Credentials;
use crate::problem::Problem;
use crate::state::State;
use crate::tokens::Access;

/// Passes a request to its handler only if it has the credentials that its row of the table requires.
pub(crate) fn gate(
    credentials: Credentials,
    route: MethodRouter<Arc<State>>,
    state: &Arc<State>,
) -> MethodRouter<Arc<State>> {
    match credentials {
        Credentials::Token => route.route_layer(from_fn_with_state(Arc::clone(state), require_token)),
        // The handlers check what is in the body, and only the operator can reach the operator's listener.
        Credentials::Nothing
        | Credentials::Proof
        | Credentials::RefreshSecret
        | Credentials::Signature
        | Credentials::LinkSecret
        | Credentials::LinkToken
        | Credentials::Operator => route,
    }
}

async fn require_token(
    Shared(state): Shared<Arc<State>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let access = state.signer.verify(bearer(request.headers())?, state.clock.unix_ms())?;
    let mut response = authorize(&state, access, request, next).await.into_response();
    response.extensions_mut().insert(DevicePays);
    Ok(response)
}

async fn authorize(
    state: &State,
    access: Access,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    // The request is charged before the store is queried.
    state.limiter.request(access.address, state.clock.monotonic())?.over().await;
    let access = state.confirm(access).await?;
    request.extensions_mut().insert(Verified(access));
    Ok(next.run(request).await)
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let header = headers.get(header::AUTHORIZATION).ok_or(Problem::InvalidToken)?;
    let header = header.to_str().map_err(|_| Problem::InvalidToken)?;
    header.strip_prefix("Bearer ").ok_or(Problem::InvalidToken)
}

/// Added to a response whose request was charged to the device of its token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DevicePays;

/// Added to a request by the gate, which alone can construct it.
#[derive(Debug, Clone, Copy)]
struct Verified(Access);

/// Proof that a request has a valid access token of a live device. If the gate of a route did not require a token,
/// there is none, and the request is refused.
#[derive(Debug)]
pub(crate) struct Authenticated(pub(crate) Access);

impl FromRequestParts<Arc<State>> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<State>) -> Result<Self, Problem> {
        let verified: &Verified = parts.extensions.get().ok_or(Problem::InvalidToken)?;
        Ok(Self(verified.0))
    }
}
