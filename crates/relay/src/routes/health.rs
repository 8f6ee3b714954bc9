//! `GET /healthz`, `/readyz` and `/metrics`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::header;
use axum::response::IntoResponse;

use crate::problem::Problem;
use crate::state::State;
use crate::store::Health;

/// The process lives, and which build it is.
pub(super) async fn alive() -> &'static str {
    concat!("sealpost-relay ", env!("CARGO_PKG_VERSION"), "\n")
}

/// The relay takes requests: it is not draining, and its last write was made durable.
pub(super) async fn ready(Shared(state): Shared<Arc<State>>) -> Result<&'static str, Problem> {
    if state.draining.has_begun() {
        return Err(Problem::Draining);
    }
    match state.store.health() {
        Health::Good => Ok("ready\n"),
        // To a balancer both mean: not here, not now. To the operator, what to do about it.
        Health::Full => Err(Problem::StoreFull),
        Health::Failing => Err(Problem::StoreUnavailable),
    }
}

/// What the relay counts, for Prometheus.
pub(super) async fn metrics(Shared(state): Shared<Arc<State>>) -> impl IntoResponse {
    let text = state.metrics.render(state.store.epoch(), state.connections.count(), &state.limiter);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}
