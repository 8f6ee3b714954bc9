//! How the primary device of an account and one of its companions agree that the account is moved to the companion.

use std::fmt;

use super::{ContentError, proto};
use crate::id::DeviceId;

/// The maximum size of a proposal, in bytes: that of a list.
const MAX_PROPOSAL: usize = 1_024;

/// Names the request that an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MoveId(pub(crate) [u8; 16]);

/// A step towards a move.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Moving {
    /// From the primary device: the account is to be moved to this device, with the list that follows the one with this version.
    Ask { id: MoveId, device: DeviceId, version: u64 },
    /// From that device: a list that it has signed with the new account key.
    Propose { id: MoveId, proposal: Vec<u8> },
}

impl Moving {
    pub(super) fn write(&self) -> proto::content::Body {
        let moving = match self {
            Self::Ask { id, device, version } => proto::Moving {
                id: id.0.to_vec(),
                device: device.get(),
                version: *version,
                proposal: Vec::new(),
            },
            Self::Propose { id, proposal } => {
                proto::Moving { id: id.0.to_vec(), device: 0, version: 0, proposal: proposal.clone() }
            }
        };
        proto::content::Body::Moving(moving)
    }

    /// # Errors
    /// [`ContentError::Malformed`] if it is neither, or something is out of its range.
    pub(super) fn read(moving: proto::Moving) -> Result<Self, ContentError> {
        let proto::Moving { id, device, version, proposal } = moving;
        let malformed = ContentError::Malformed;
        let id = MoveId(id.try_into().map_err(|_| malformed)?);
        if proposal.is_empty() {
            let device = DeviceId::new(device).map_err(|_| malformed)?;
            let is_version = version > 0 && i64::try_from(version).is_ok();
            return if is_version { Ok(Self::Ask { id, device, version }) } else { Err(malformed) };
        }
        let is_alone = device == 0 && version == 0;
        if is_alone && proposal.len() <= MAX_PROPOSAL {
            Ok(Self::Propose { id, proposal })
        } else {
            Err(malformed)
        }
    }
}

impl fmt::Debug for Moving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask { device, version, .. } => write!(f, "Ask({device}, {version})"),
            Self::Propose { proposal, .. } => write!(f, "Propose({} bytes)", proposal.len()),
        }
    }
}
