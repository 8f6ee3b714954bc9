//! A vote: what a person chooses in a poll. A further one of the same person replaces it.

use super::poll::Choices;
use super::{ContentError, Target, proto};

/// A vote in a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vote {
    pub(crate) target: Target,
    pub(crate) choices: Choices,
}

impl Vote {
    pub(super) fn write(&self) -> proto::content::Body {
        proto::content::Body::Vote(proto::Vote {
            target: Some(self.target.write()),
            choices: self.choices.as_bytes().to_vec(),
        })
    }

    /// # Errors
    /// [`ContentError::Malformed`] without a valid target, or for numbers that no poll has, or that are not ascending.
    pub(super) fn read(vote: proto::Vote) -> Result<Self, ContentError> {
        Ok(Self {
            target: Target::read(vote.target)?,
            choices: Choices::from_bytes(vote.choices).ok_or(ContentError::Malformed)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ClientMsgId, UserId};

    #[test]
    fn a_vote_needs_a_valid_target_and_ascending_choices() {
        let target = Target { author: UserId::from_bytes([1; 16]), id: ClientMsgId::from_bytes([2; 16]) };
        let good = proto::Vote { target: Some(target.write()), choices: (0..32).collect() };
        assert!(Vote::read(good.clone()).is_ok());
        for bad in [
            proto::Vote { target: None, ..good.clone() },
            proto::Vote { choices: vec![32], ..good.clone() },
            proto::Vote { choices: vec![1, 0], ..good.clone() },
            proto::Vote { choices: vec![0; 1000], ..good },
        ] {
            assert!(Vote::read(bad).is_err());
        }
    }
}
