//! Pins a message of a thread for all its members, or unpins it.

use super::{ContentError, Target, proto};

/// Maximum number of pinned messages of a thread.
pub const MAX_PINNED: usize = 32;

/// Says whether a message is pinned. The last one in the thread counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) target: Target,
    pub(crate) is_pinned: bool,
}

impl Pin {
    pub(super) fn write(&self) -> proto::content::Body {
        proto::content::Body::Pin(proto::Pin { target: Some(self.target.write()), pinned: self.is_pinned })
    }

    /// # Errors
    /// [`ContentError::Malformed`] without a valid target.
    pub(super) fn read(pin: proto::Pin) -> Result<Self, ContentError> {
        Ok(Self { target: Target::read(pin.target)?, is_pinned: pin.pinned })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ClientMsgId, UserId};

    #[test]
    fn a_pin_needs_a_valid_target() {
        let target = Target { author: UserId::from_bytes([1; 16]), id: ClientMsgId::from_bytes([2; 16]) };
        assert!(Pin::read(proto::Pin { target: Some(target.write()), pinned: true }).is_ok());
        assert!(Pin::read(proto::Pin { target: None, pinned: true }).is_err());
        let long = proto::Target { author: vec![1; 16], id: vec![2; 17] };
        assert!(Pin::read(proto::Pin { target: Some(long), pinned: false }).is_err());
    }
}
