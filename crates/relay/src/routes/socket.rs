//! `GET /v1/ws`

use std::sync::Arc;

use axum::Extension;
use axum::extract::State as Shared;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use sealpost_wire::SUBPROTOCOL;
use sealpost_wire::limits::MAX_FRAME;

use crate::connection;
use crate::peers::ConnectionPermit;
use crate::problem::Problem;
use crate::state::State;

/// Read buffer of one connection, in bytes. The default of 128 KiB would be most of the memory of a connection, and
/// small reads are cheap on a stream that reads ahead.
const READ_BUFFER: usize = 512;
/// Maximum number of bytes of answers that wait for others that are ready.
const WRITE_BUFFER: usize = 4_096;

/// Upgrades the request to a WebSocket, whose first frame authenticates the client.
pub(super) async fn upgrade(
    Shared(state): Shared<Arc<State>>,
    Extension(permit): Extension<Arc<ConnectionPermit>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    if state.draining.has_begun() {
        return Err(Problem::Draining);
    }
    let upgrade = upgrade.map_err(|_| Problem::Malformed)?;
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(MAX_FRAME)
        .max_frame_size(MAX_FRAME)
        .protocols([SUBPROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        return Err(Problem::Schema);
    }
    let mut entered = state.connections.enter();
    Ok(upgrade.on_upgrade(move |mut socket| async move {
        tokio::select! {
            () = connection::serve(&mut socket, &state) => {}
            () = entered.cut() => {}
        }
        // The order matters: a relay that stops waits for the last of these, and then closes the store.
        drop((socket, state, permit, entered));
    }))
}
