//! Reads the content of a sealed envelope before its sender has been verified, which the library does not allow.

use prost::Message as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::failure::Failure;
use crate::hex::Hex;

/// Returns `{contents, type, hint, groupId, sender}` of a parsed content.
#[expect(clippy::disallowed_methods, reason = "these messages have no lists")]
pub(crate) fn describe(content: &[u8]) -> Result<Value, Failure> {
    let content = Content::decode(content).map_err(malformed)?;
    let signed = Signed::decode(content.certificate.as_slice()).map_err(malformed)?;
    let claims = Claims::decode(signed.certificate.as_slice()).map_err(malformed)?;
    let sender = match claims.user {
        Some(User::Uuid(bytes)) => Uuid::from_slice(&bytes).map_err(malformed)?.to_string(),
        Some(User::Name(name)) => name,
        None => String::new(),
    };
    // The first two have other numbers outside of envelopes.
    let kind = match content.kind {
        1 => 3,
        kind => kind,
    };
    Ok(json!({
        "contents": Hex(content.message),
        "type": kind,
        "hint": content.hint,
        "groupId": (!content.group_id.is_empty()).then_some(Hex(content.group_id)),
        "sender": sender,
    }))
}

fn malformed(error: impl std::fmt::Display) -> Failure {
    Failure::new("malformed", error)
}

#[derive(Clone, PartialEq, prost::Message)]
struct Content {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(bytes = "vec", tag = "2")]
    certificate: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    message: Vec<u8>,
    #[prost(uint32, tag = "4")]
    hint: u32,
    #[prost(bytes = "vec", tag = "5")]
    group_id: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Signed {
    #[prost(bytes = "vec", tag = "1")]
    certificate: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Claims {
    #[prost(oneof = "User", tags = "6, 7")]
    user: Option<User>,
}

/// The form of the sender's user id. If both are present, the later one counts.
#[derive(Clone, PartialEq, prost::Oneof)]
enum User {
    #[prost(string, tag = "6")]
    Name(String),
    #[prost(bytes = "vec", tag = "7")]
    Uuid(Vec<u8>),
}
