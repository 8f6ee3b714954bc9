//! Protobuf bodies, in and out.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use prost::Message;
use sealpost_wire::MEDIA_TYPE;
use sealpost_wire::limits::{MAX_BODY, MAX_KEYS_BODY};

use crate::problem::Problem;
use crate::state::State;

/// A body of at most 64 KiB; or an answer.
#[derive(Debug)]
pub(crate) struct Proto<T>(pub(crate) T);

/// A body that carries keys: at most 256 KiB.
#[derive(Debug)]
pub(crate) struct KeysBody<T>(pub(crate) T);

impl<T: Message + Default> FromRequest<Arc<State>> for Proto<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Arc<State>) -> Result<Self, Problem> {
        read(request, state, MAX_BODY).await.map(Self)
    }
}

impl<T: Message + Default> FromRequest<Arc<State>> for KeysBody<T> {
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

async fn read<T: Message + Default>(request: Request, state: &State, cap: usize) -> Result<T, Problem> {
    check_headers(request.headers(), cap)?;
    let whole = tokio::time::timeout(state.timing.patience, whole(request.into_body(), cap));
    let body = whole.await.map_err(|_elapsed| Problem::Malformed)??;
    T::decode(body).map_err(|_| Problem::Malformed)
}

/// Refuses what can be refused before a byte of the body is read.
fn check_headers(headers: &HeaderMap, cap: usize) -> Result<(), Problem> {
    let plain = !headers.contains_key(header::CONTENT_ENCODING);
    let protobuf = headers.get(header::CONTENT_TYPE).is_some_and(|media_type| media_type == MEDIA_TYPE);
    if !plain || !protobuf {
        return Err(Problem::MediaType);
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > cap) { Err(Problem::TooLarge) } else { Ok(()) }
}

async fn whole(body: Body, cap: usize) -> Result<Bytes, Problem> {
    to_bytes(body, cap).await.map_err(|error| {
        // Over the cap, or the connection broke; the latter nobody hears.
        if std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("limit")) {
            Problem::TooLarge
        } else {
            Problem::Malformed
        }
    })
}
