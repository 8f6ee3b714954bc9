//! `POST /v1/threads/{id}/messages`: the HTTP equivalent of the `Send` frame.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use sealpost_wire::id::ThreadId;
use sealpost_wire::send_ack::Status;
use sealpost_wire::{Send, SendAck};

use super::{InPath, in_path};
use crate::auth::Authenticated;
use crate::body::Proto;
use crate::problem::Problem;
use crate::sending;
use crate::state::State;

/// Stores a message: 201, 202 if it is still being written to the mailboxes, or 200 if it was stored before.
pub(super) async fn send(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
    InPath(thread): InPath<String>,
    Proto(send): Proto<Send>,
) -> Result<(StatusCode, Proto<SendAck>), Problem> {
    let began = state.clock.monotonic();
    let thread: ThreadId = in_path(&thread)?;
    if ThreadId::from_slice(&send.thread_id)? != thread {
        return Err(Problem::Malformed);
    }
    let charged = sending::charge(&state, access.address, &send)?;
    charged.over().await;
    let sent = sending::submit(&state, access.address, &send, None, charged)?.await?;
    sent.wake(&state);
    state.metrics.send_ack.http.observe(state.clock.monotonic().saturating_sub(began));
    let status = match (sent.status, sent.job) {
        (Status::Duplicate, _) => StatusCode::OK,
        (_, Some(_)) => StatusCode::ACCEPTED,
        _ => StatusCode::CREATED,
    };
    Ok((status, Proto(sent.ack())))
}
