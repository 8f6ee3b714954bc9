//! Identifiers. Those that travel are in `sealpost-wire`; those that stay here are below.

pub use sealpost_wire::id::{ClientMsgId, DeviceId, InvalidId, ThreadId, UserId};

/// A message on this device, from the first keystroke on; it never changes and means nothing elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub i64);
