//! Identifiers. They are passed as text and numbers, so that an app can store them, compare them, and show them in a
//! code to scan.

pub use sealpost_core::{CallId, DeviceId, MessageId, Position, ThreadCursor, ThreadId, UserId};

use crate::SealpostError;

uniffi::custom_type!(
    /// An account. A UUID, assigned by the relay.
    UserId, String, {
    remote,
    lower: |id| id.to_string(),
    try_lift: |text| Ok(text.parse().map_err(|_| SealpostError::invalid("user"))?),
});

uniffi::custom_type!(
    /// A conversation. A UUID, assigned by the relay.
    ThreadId, String, {
    remote,
    lower: |id| id.to_string(),
    try_lift: |text| Ok(text.parse().map_err(|_| SealpostError::invalid("thread"))?),
});

uniffi::custom_type!(
    /// A call. 16 random bytes in the form of a UUID, such as the systems of phones expect for a call.
    CallId, String, {
    remote,
    lower: |id| id.to_string(),
    try_lift: |text| Ok(text.parse().map_err(|_| SealpostError::invalid("call"))?),
});

uniffi::custom_type!(
    /// The position of a message in its thread: 32 characters, which sort in the order in which messages are shown.
    /// It is valid only for its thread on this device.
    Position, String, {
    remote,
    lower: |position| position.to_string(),
    try_lift: |text| Ok(text.parse().map_err(|_| SealpostError::invalid("position"))?),
});

uniffi::custom_type!(
    /// The place of a thread in its list: the end of a page, where the next one starts. 64 characters: the thread with the greatest
    /// place is the first.
    ThreadCursor, String, {
    remote,
    lower: |cursor| cursor.to_string(),
    try_lift: |text| Ok(text.parse().map_err(|_| SealpostError::invalid("after"))?),
});

uniffi::custom_type!(
    /// A message on this device. The id never changes and has no meaning on other devices.
    MessageId, i64, {
    remote,
    lower: |id| id.0,
    try_lift: |number| Ok(MessageId(number)),
});

uniffi::custom_type!(
    /// A device of an account: 1 to 127, never used again.
    DeviceId, u32, {
    remote,
    lower: |id| id.get(),
    try_lift: |number| Ok(DeviceId::new(number).map_err(|_| SealpostError::invalid("device"))?),
});
