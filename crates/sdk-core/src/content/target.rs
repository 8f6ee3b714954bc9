//! The message that another content refers to.

use super::{ContentError, proto};
use crate::id::{ClientMsgId, UserId};

/// A message, by its author and the id that the author has assigned to its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    pub(crate) author: UserId,
    pub(crate) id: ClientMsgId,
}

impl Target {
    pub(super) fn write(self) -> proto::Target {
        proto::Target { author: self.author.as_bytes().to_vec(), id: self.id.as_bytes().to_vec() }
    }

    /// # Errors
    /// [`ContentError::Malformed`] if it is missing or its ids do not have 16 bytes.
    pub(super) fn read(target: Option<proto::Target>) -> Result<Self, ContentError> {
        let target = target.ok_or(ContentError::Malformed)?;
        Ok(Self {
            author: UserId::from_slice(&target.author).map_err(|_| ContentError::Malformed)?,
            id: ClientMsgId::from_slice(&target.id).map_err(|_| ContentError::Malformed)?,
        })
    }
}
