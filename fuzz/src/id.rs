//! The identifiers that the parser of contents imports from its crate.

pub(crate) use sealpost_wire::id::{ClientMsgId, DeviceId, InvalidId, ThreadId, UserId};
