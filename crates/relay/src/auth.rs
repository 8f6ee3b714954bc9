//! Who asks: the bearer token of a request.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use crate::problem::Problem;
use crate::state::State;
use crate::tokens::Access;

/// Proof that a request carries a valid access token of a live device.
#[derive(Debug)]
pub(crate) struct Authenticated(pub(crate) Access);

impl FromRequestParts<Arc<State>> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Problem> {
        let header = parts.headers.get(header::AUTHORIZATION).ok_or(Problem::InvalidToken)?;
        let header = header.to_str().map_err(|_| Problem::InvalidToken)?;
        let token = header.strip_prefix("Bearer ").ok_or(Problem::InvalidToken)?;
        state.authenticate(token).await.map(Self)
    }
}
