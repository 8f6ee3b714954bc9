//! Protobuf bodies of requests and responses, and the parsing that sockets and routes share.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use prost::Message;
use sealpost_wire::id::ThreadId;
use sealpost_wire::limits::{MAX_ACK_KEYS, MAX_BODY, MAX_KEYS_BODY};
use sealpost_wire::{Ack, Decode, MEDIA_TYPE};
use tokio::time::timeout;

use crate::problem::Problem;
use crate::state::State;
use crate::store::InboxKey;

/// A body of at most 96 KiB, or a response.
#[derive(Debug)]
pub(crate) struct Proto<T>(pub(crate) T);

/// A body that contains keys, of at most 256 KiB.
#[derive(Debug)]
pub(crate) struct KeysBody<T>(pub(crate) T);

impl<T: Decode> FromRequest<Arc<State>> for Proto<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Arc<State>) -> Result<Self, Problem> {
        read(request, state, MAX_BODY).await.map(Self)
    }
}

impl<T: Decode> FromRequest<Arc<State>> for KeysBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Arc<State>) -> Result<Self, Problem> {
        read(request, state, MAX_KEYS_BODY).await.map(Self)
    }
}

impl<T: Message> IntoResponse for Proto<T> {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, MEDIA_TYPE)], self.0.encode_to_vec()).into_response()
    }
}

async fn read<T: Decode>(mut request: Request, state: &State, cap: usize) -> Result<T, Problem> {
    check_headers(request.headers(), cap)?;
    DefaultBodyLimit::max(cap).apply(&mut request);
    let whole = timeout(state.timing.receive_timeout, Bytes::from_request(request, &()));
    let body = whole.await.map_err(|_elapsed| Problem::Malformed)?;
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::TooLarge,
        _ => Problem::Malformed,
    })?;
    sealpost_wire::decode(body).map_err(|_| Problem::Malformed)
}

/// Refuses what can be refused before the body is read.
fn check_headers(headers: &HeaderMap, cap: usize) -> Result<(), Problem> {
    let plain = !headers.contains_key(header::CONTENT_ENCODING);
    let protobuf = headers.get(header::CONTENT_TYPE).is_some_and(|media_type| media_type == MEDIA_TYPE);
    if !plain || !protobuf {
        return Err(Problem::MediaType);
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > cap) { Err(Problem::TooLarge) } else { Ok(()) }
}

/// The rows that an acknowledgement names, at most 512.
pub(crate) fn acknowledged(ack: &Ack) -> Result<Vec<InboxKey>, Problem> {
    if ack.keys.len() > MAX_ACK_KEYS {
        return Err(Problem::Malformed);
    }
    let key = |key: &sealpost_wire::InboxKey| {
        Ok(InboxKey { thread: ThreadId::from_slice(&key.thread_id)?, server_seq: key.server_seq })
    };
    ack.keys.iter().map(key).collect()
}
