//! `POST /v1/threads/{id}/mail`: the HTTP equivalent of the `Mail` frame.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use sealpost_wire::id::ThreadId;
use sealpost_wire::send_ack::Status;
use sealpost_wire::{Mail, SendAck};

use super::{InPath, in_path};
use crate::auth::Authenticated;
use crate::body::Proto;
use crate::mailing;
use crate::problem::Problem;
use crate::state::State;

/// Stores mail: 201, or 200 if it was stored before. Passes ephemeral mail on: 200.
pub(super) async fn post(
    Shared(state): Shared<Arc<State>>,
    Authenticated(access): Authenticated,
    InPath(thread): InPath<String>,
    Proto(mail): Proto<Mail>,
) -> Result<(StatusCode, Proto<SendAck>), Problem> {
    let thread: ThreadId = in_path(&thread)?;
    if ThreadId::from_slice(&mail.thread_id)? != thread {
        return Err(Problem::Malformed);
    }
    let charged = mailing::charge(&state, access.address, &mail)?;
    charged.over().await;
    let sent = mailing::submit(&state, access.address, &mail, charged)?.await?;
    sent.wake(&state);
    let status = if sent.status == Status::Stored { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Proto(sent.ack())))
}
