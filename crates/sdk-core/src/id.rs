//! Identifiers. Those that are sent are in `sealpost-wire`; those that stay on this device are below.

pub(crate) use sealpost_wire::id::ClientMsgId;
pub use sealpost_wire::id::{DeviceId, InvalidId, ThreadId, UserId};

/// A message on this device. The id never changes and has no meaning on other devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub i64);
