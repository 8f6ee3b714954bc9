//! Identifiers. They cross as text and numbers: an app stores them, compares them, shows them in a code to scan.

pub use sealpost_core::{MessageId, Position, ThreadCursor, ThreadId, UserId};

use crate::SealpostError;

uniffi::custom_type!(
    /// An account. A UUID, made by the relay.
    UserId, String, {
    remote,
    lower: |id| id.to_string(),
    try_lift: |text| Ok(text.parse().map_err(|_| SealpostError::invalid("user"))?),
});

uniffi::custom_type!(
    /// What people talk in. A UUID, made by the relay.
    ThreadId, String, {
    remote,
    lower: |id| id.to_string(),
    try_lift: |text| Ok(text.parse().map_err(|_| SealpostError::invalid("thread"))?),
});

uniffi::custom_type!(
    /// Where a message stands in its thread: 32 characters, in the order in which the messages are shown. Only good for its
    /// thread, on this device.
    Position, String, {
    remote,
    lower: |position| position.to_string(),
    try_lift: |text| Ok(text.parse().map_err(|_| SealpostError::invalid("position"))?),
});

uniffi::custom_type!(
    /// Where a page of the list of threads ends, and the next one begins.
    ThreadCursor, String, {
    remote,
    lower: |cursor| cursor.to_string(),
    try_lift: |text| Ok(text.parse().map_err(|_| SealpostError::invalid("after"))?),
});

uniffi::custom_type!(
    /// A message on this device, from the first keystroke on; it never changes and means nothing elsewhere.
    MessageId, i64, {
    remote,
    lower: |id| id.0,
    try_lift: |number| Ok(MessageId(number)),
});
