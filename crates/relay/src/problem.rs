//! All refusals, by who is at fault, and their form on the wire.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prost::Message as _;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::id::{InvalidId, ThreadId};
use sealpost_wire::{DeviceMismatch, Error, MEDIA_TYPE, reason};

use crate::keys::BadKeys;
use crate::limits::OverLimit;
use crate::store::{KeysRefused, StoreError};

/// Why a request was refused. It contains no secrets and nothing about other people.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Problem {
    // Faults of the requester.
    /// The body, frame or path could not be parsed.
    #[error("malformed")]
    Malformed,
    /// An ephemeral envelope in a message, which is always stored.
    #[error("a message has an ephemeral envelope")]
    EphemeralRefused,
    /// A schema version that this relay does not support.
    #[error("unknown schema")]
    Schema,
    /// There is no token, or it is not valid now.
    #[error("no valid token")]
    InvalidToken,
    /// A refresh token was reused, and its family is revoked.
    #[error("refresh token reused")]
    ReuseDetected,
    /// The account of the token was deleted.
    #[error("account deleted")]
    AccountDeleted,
    /// The login key is not the one of this device.
    #[error("unknown device")]
    UnknownDevice,
    /// The signature is not valid.
    #[error("invalid signature")]
    InvalidSignature,
    /// Another device has this address, or had it until it was revoked.
    #[error("address taken")]
    AddressTaken,
    /// The device was revoked.
    #[error("device revoked")]
    DeviceRevoked,
    /// Another account uses the link, or a blob was written before with other bytes.
    #[error("link taken")]
    LinkTaken,
    /// The link token is unknown or has expired.
    #[error("invalid link token")]
    BadLinkToken,
    /// The link token was used by another request.
    #[error("link token used")]
    LinkTokenUsed,
    /// The account has as many devices as it may.
    #[error("too many devices")]
    TooManyDevices,
    /// All numbers of devices of the account were used.
    #[error("device ids used up")]
    DeviceIdsUsedUp,
    /// The registration proof was refused.
    #[error("registration proof refused")]
    ProofRefused,
    /// The requester may see the resource, but may not do this to it.
    #[error("forbidden")]
    Forbidden,
    /// The resource does not exist, or belongs to somebody else; the two are not distinguished.
    #[error("not found")]
    NotFound,
    /// The body exceeds the limit.
    #[error("too large")]
    TooLarge,
    /// The media type of the body is not protobuf.
    #[error("unsupported media type")]
    MediaType,
    /// Keys of the wrong number, length or type.
    #[error("invalid keys")]
    BadKeys,
    /// The `client_msg_id` is older than the relay remembers; the message may have been stored.
    #[error("message id too old")]
    TooOld,
    /// The time of the `client_msg_id` is more than an hour ahead or more than seven days ago; it was not stored.
    #[error("message id of another time")]
    ClockSkew,
    /// Too many requests.
    #[error("rate limited")]
    RateLimited {
        /// When the next request may be accepted.
        retry_after_ms: u32,
    },
    // Conflicts with the current state; the requester has to refresh its view and try again.
    /// A direct thread of these two users already exists.
    #[error("the direct thread already exists")]
    ExistingThread(ThreadId),
    /// A key id was already used.
    #[error("key id already used")]
    KeyIdUsed,
    /// The upload would exceed the number of one-time keys.
    #[error("too many one-time keys")]
    TooManyKeys,
    /// The send was made for another version of the roster.
    #[error("stale roster")]
    StaleRoster {
        /// The current version of the roster.
        current: u64,
    },
    /// The roster of the group does not allow it, for the reason with this name.
    #[error("not allowed")]
    NotAllowed(&'static str),
    /// The copies do not name exactly the live devices.
    #[error("mismatched devices")]
    MismatchedDevices(Vec<DeviceMismatch>),
    /// A copy was made for an older registration of a device.
    #[error("stale devices")]
    StaleDevices(Vec<DeviceMismatch>),
    /// The account that the request is about was deleted.
    #[error("recipient deleted")]
    RecipientDeleted,
    /// A member has not accepted the thread, which has already delivered as much as it may until then, or blocks the
    /// sender.
    #[error("not accepted")]
    NotAccepted,
    /// The user blocks as many users as they may.
    #[error("too many blocks")]
    TooManyBlocks,
    /// A device list at least as new is stored.
    #[error("stale device list")]
    StaleList,
    /// A send of the same thread was refused on this connection, and none since has resumed the lane.
    #[error("lane stopped")]
    LaneStopped,
    /// The same `client_msg_id` with a different body.
    #[error("message id reused")]
    MsgIdReuse,
    // Faults of the relay.
    /// The relay is about to stop.
    #[error("draining")]
    Draining,
    /// The store does not answer; the outcome is unknown.
    #[error("store unavailable")]
    StoreUnavailable,
    /// The disk is full; nothing was stored.
    #[error("store full")]
    StoreFull,
}

impl Problem {
    /// The refusal as it appears in a frame or in the body of a response.
    pub fn to_wire(&self) -> Error {
        let (status, reason) = self.token();
        let mut error = Error { code: u32::from(status.as_u16()), reason: reason.into(), ..Error::default() };
        match self {
            Self::RateLimited { retry_after_ms } => error.retry_after_ms = *retry_after_ms,
            Self::Draining | Self::StoreUnavailable | Self::StoreFull => error.retry_after_ms = 1_000,
            Self::StaleRoster { current } => error.current_roster_version = *current,
            Self::MismatchedDevices(devices) | Self::StaleDevices(devices) => {
                error.mismatches.clone_from(devices);
            }
            Self::ExistingThread(thread) => error.thread_id = thread.to_wire(),
            Self::NotAllowed(detail) => error.detail = (*detail).into(),
            _ => {}
        }
        error
    }

    /// The HTTP status and the stable reason.
    fn token(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Malformed => (StatusCode::BAD_REQUEST, reason::MALFORMED),
            Self::EphemeralRefused => (StatusCode::BAD_REQUEST, reason::EPHEMERAL_REFUSED),
            Self::Schema => (StatusCode::BAD_REQUEST, reason::SCHEMA),
            Self::InvalidToken => (StatusCode::UNAUTHORIZED, reason::INVALID_TOKEN),
            Self::ReuseDetected => (StatusCode::UNAUTHORIZED, reason::REUSE_DETECTED),
            Self::AccountDeleted => (StatusCode::UNAUTHORIZED, reason::ACCOUNT_DELETED),
            Self::UnknownDevice => (StatusCode::UNAUTHORIZED, reason::UNKNOWN_DEVICE),
            Self::InvalidSignature => (StatusCode::UNAUTHORIZED, reason::INVALID_SIGNATURE),
            Self::AddressTaken => (StatusCode::CONFLICT, reason::ADDRESS_TAKEN),
            Self::DeviceRevoked => (StatusCode::CONFLICT, reason::DEVICE_REVOKED),
            Self::LinkTaken => (StatusCode::CONFLICT, reason::LINK_TAKEN),
            Self::BadLinkToken => (StatusCode::FORBIDDEN, reason::BAD_LINK_TOKEN),
            Self::LinkTokenUsed => (StatusCode::CONFLICT, reason::LINK_TOKEN_USED),
            Self::TooManyDevices => (StatusCode::UNPROCESSABLE_ENTITY, reason::TOO_MANY_DEVICES),
            Self::DeviceIdsUsedUp => (StatusCode::CONFLICT, reason::DEVICE_IDS_USED_UP),
            Self::ProofRefused => (StatusCode::FORBIDDEN, reason::PROOF_REFUSED),
            Self::Forbidden => (StatusCode::FORBIDDEN, reason::FORBIDDEN),
            Self::NotFound => (StatusCode::NOT_FOUND, reason::NOT_FOUND),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, reason::TOO_LARGE),
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, reason::MEDIA_TYPE),
            Self::BadKeys => (StatusCode::UNPROCESSABLE_ENTITY, reason::BAD_KEYS),
            Self::TooOld => (StatusCode::BAD_REQUEST, reason::TOO_OLD),
            Self::ClockSkew => (StatusCode::BAD_REQUEST, reason::CLOCK_SKEW),
            Self::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, reason::RATE_LIMITED),
            Self::ExistingThread(_) => (StatusCode::CONFLICT, reason::EXISTING_THREAD),
            Self::KeyIdUsed => (StatusCode::CONFLICT, reason::KEY_ID_USED),
            Self::TooManyKeys => (StatusCode::CONFLICT, reason::TOO_MANY_KEYS),
            Self::StaleRoster { .. } => (StatusCode::CONFLICT, reason::STALE_ROSTER),
            Self::NotAllowed(_) => (StatusCode::FORBIDDEN, reason::NOT_ALLOWED),
            Self::MismatchedDevices(_) => (StatusCode::CONFLICT, reason::MISMATCHED_DEVICES),
            Self::StaleDevices(_) => (StatusCode::GONE, reason::STALE_DEVICES),
            Self::RecipientDeleted => (StatusCode::GONE, reason::RECIPIENT_DELETED),
            Self::LaneStopped => (StatusCode::CONFLICT, reason::LANE_STOPPED),
            Self::NotAccepted => (StatusCode::CONFLICT, reason::NOT_ACCEPTED),
            Self::TooManyBlocks => (StatusCode::CONFLICT, reason::TOO_MANY_BLOCKS),
            Self::StaleList => (StatusCode::CONFLICT, reason::STALE_LIST),
            Self::MsgIdReuse => (StatusCode::CONFLICT, reason::MSG_ID_REUSE),
            Self::Draining => (StatusCode::SERVICE_UNAVAILABLE, reason::DRAINING),
            Self::StoreUnavailable => (StatusCode::SERVICE_UNAVAILABLE, reason::STORE_UNAVAILABLE),
            Self::StoreFull => (StatusCode::INSUFFICIENT_STORAGE, reason::STORE_FULL),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable => Self::StoreUnavailable,
            StoreError::Full => Self::StoreFull,
        }
    }
}

impl From<OverLimit> for Problem {
    fn from(OverLimit { retry_after_ms }: OverLimit) -> Self {
        Self::RateLimited { retry_after_ms }
    }
}

impl From<InvalidId> for Problem {
    fn from(InvalidId: InvalidId) -> Self {
        Self::Malformed
    }
}

impl From<KeysRefused> for Problem {
    fn from(refused: KeysRefused) -> Self {
        match refused {
            KeysRefused::IdUsed => Self::KeyIdUsed,
            KeysRefused::TooMany => Self::TooManyKeys,
        }
    }
}

impl From<BadKeys> for Problem {
    fn from(BadKeys: BadKeys) -> Self {
        Self::BadKeys
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, _) = self.token();
        let error = self.to_wire();
        let mut response =
            (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], error.encode_to_vec()).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if error.retry_after_ms > 0 {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(error.retry_after_ms.div_ceil(1_000)));
        }
        response
    }
}
