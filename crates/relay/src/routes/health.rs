//! `GET /healthz`, `/readyz` and `/metrics`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::header;
use axum::response::IntoResponse;

use crate::problem::Problem;
use crate::state::State;
use crate::store::Health;

/// Liveness, with the version of the build.
pub(super) async fn alive() -> &'static str {
    concat!("sealpost-relay ", env!("CARGO_PKG_VERSION"), "\n")
}

/// Readiness: the relay is not draining, and its last write was made durable.
pub(super) async fn ready(Shared(state): Shared<Arc<State>>) -> Result<&'static str, Problem> {
    if state.draining.has_begun() {
        return Err(Problem::Draining);
    }
    match state.store.health() {
        Health::Good => Ok("ready\n"),
        // A load balancer treats both alike. The operator learns what to do about it.
        Health::Full => Err(Problem::StoreFull),
        Health::Failing => Err(Problem::StoreUnavailable),
    }
}

/// The metrics, for Prometheus.
pub(super) async fn metrics(Shared(state): Shared<Arc<State>>) -> impl IntoResponse {
    let text = state.metrics.render(state.store.epoch(), state.connections.count(), &state.limiter);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}
