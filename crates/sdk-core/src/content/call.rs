//! A signal of a call: ephemeral, and opaque to this library except for what its keys are derived from.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::{ContentError, proto};
use crate::id::{InvalidId, ThreadId};

/// Maximum size of the description in an offer or an answer, in bytes.
pub const MAX_CALL_DESCRIPTION: usize = 12_000;
/// Maximum size of the candidates in one signal, in bytes.
pub const MAX_CALL_CANDIDATES: usize = 4_096;

/// The id of a call: 16 random bytes. As text, it has the form of a UUID, such as the systems of phones expect for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId(pub [u8; 16]);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The ids of the relay have the same form.
        ThreadId::from_bytes(self.0).fmt(f)
    }
}

impl FromStr for CallId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.parse::<ThreadId>().map(|id| Self(*id.as_bytes()))
    }
}

/// 32 random bytes of one side, from which the keys of a call are derived.
pub(crate) type Contribution = Zeroizing<[u8; 32]>;

/// A signal of a call.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) id: CallId,
    pub(crate) step: CallStep,
}

/// What a signal says.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum CallStep {
    Offer {
        description: Vec<u8>,
        is_video: bool,
        ours: Contribution,
    },
    Answer {
        description: Vec<u8>,
        ours: Contribution,
    },
    Candidates(Vec<u8>),
    HangUp,
    Busy,
    /// For the other devices of our account: the person has answered it on this one, or does not take it.
    Elsewhere {
        is_answered: bool,
    },
}

impl Call {
    pub(super) fn write(&self) -> proto::content::Body {
        let empty = proto::Call { id: self.id.0.to_vec(), ..proto::Call::default() };
        let call = match &self.step {
            CallStep::Offer { description, is_video, ours } => proto::Call {
                step: 1,
                data: description.clone(),
                video: *is_video,
                contribution: ours.to_vec(),
                ..empty
            },
            CallStep::Answer { description, ours } => {
                proto::Call { step: 2, data: description.clone(), contribution: ours.to_vec(), ..empty }
            }
            CallStep::Candidates(data) => proto::Call { step: 3, data: data.clone(), ..empty },
            CallStep::HangUp => proto::Call { step: 4, ..empty },
            CallStep::Busy => proto::Call { step: 5, ..empty },
            CallStep::Elsewhere { is_answered: true } => proto::Call { step: 6, ..empty },
            CallStep::Elsewhere { is_answered: false } => proto::Call { step: 7, ..empty },
        };
        proto::content::Body::Call(call)
    }

    /// # Errors
    /// [`ContentError::Unknown`] for a step of a later version; [`ContentError::Malformed`] for an id or a contribution of another
    /// length, or data that is missing, too long, or does not belong there.
    pub(super) fn read(call: proto::Call) -> Result<Self, ContentError> {
        let malformed = |_| ContentError::Malformed;
        let id = CallId(call.id.try_into().map_err(malformed)?);
        let contribution = Zeroizing::new(call.contribution);
        let ours =
            || contribution.as_slice().try_into().map(Zeroizing::new).map_err(|_| ContentError::Malformed);
        let most = match call.step {
            1 | 2 => MAX_CALL_DESCRIPTION,
            3 => MAX_CALL_CANDIDATES,
            4..=7 => 0,
            _ => return Err(ContentError::Unknown),
        };
        let is_empty = call.data.is_empty();
        let has_own = matches!(call.step, 1 | 2);
        if call.data.len() > most || is_empty != (most == 0) || contribution.is_empty() == has_own {
            return Err(ContentError::Malformed);
        }
        let step = match call.step {
            1 => CallStep::Offer { description: call.data, is_video: call.video, ours: ours()? },
            2 => CallStep::Answer { description: call.data, ours: ours()? },
            3 => CallStep::Candidates(call.data),
            4 => CallStep::HangUp,
            5 => CallStep::Busy,
            step => CallStep::Elsewhere { is_answered: step == 6 },
        };
        Ok(Self { id, step })
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.step {
            CallStep::Offer { .. } => "Call(offer)",
            CallStep::Answer { .. } => "Call(answer)",
            CallStep::Candidates(_) => "Call(candidates)",
            CallStep::HangUp => "Call(hang-up)",
            CallStep::Busy => "Call(busy)",
            CallStep::Elsewhere { .. } => "Call(elsewhere)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(step: u32, data: usize, contribution: usize) -> proto::Call {
        let (data, contribution) = (vec![1; data], vec![2; contribution]);
        proto::Call { id: vec![3; 16], step, data, contribution, video: false }
    }

    #[test]
    fn every_field_out_of_its_range_is_refused() {
        let bad = ContentError::Malformed;
        for step in [1, 2] {
            assert!(Call::read(call(step, MAX_CALL_DESCRIPTION, 32)).is_ok());
            for (data, contribution) in [(MAX_CALL_DESCRIPTION + 1, 32), (0, 32), (5, 31), (5, 33), (5, 0)] {
                assert_eq!(
                    Call::read(call(step, data, contribution)),
                    Err(bad),
                    "{step} {data} {contribution}"
                );
            }
        }
        assert!(Call::read(call(3, MAX_CALL_CANDIDATES, 0)).is_ok());
        for (data, contribution) in [(MAX_CALL_CANDIDATES + 1, 0), (0, 0), (5, 32)] {
            assert_eq!(Call::read(call(3, data, contribution)), Err(bad));
        }
        for step in 4..=7 {
            assert!(Call::read(call(step, 0, 0)).is_ok());
            assert_eq!(Call::read(call(step, 1, 0)), Err(bad));
            assert_eq!(Call::read(call(step, 0, 32)), Err(bad));
        }
        for length in [0, 15, 17] {
            assert_eq!(Call::read(proto::Call { id: vec![3; length], ..call(4, 0, 0) }), Err(bad));
        }
        assert_eq!(Call::read(call(0, 0, 0)), Err(ContentError::Unknown));
        assert_eq!(Call::read(call(8, 0, 0)), Err(ContentError::Unknown));
    }

    #[test]
    fn an_id_is_a_uuid_as_text() {
        let id = CallId(std::array::from_fn(|n| n as u8 * 0x11));
        assert_eq!(id.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("nobody".parse::<CallId>().is_err());
    }

    #[test]
    fn each_step_round_trips() {
        let ours = Contribution::new([4; 32]);
        for step in [
            CallStep::Offer { description: vec![1], is_video: true, ours: ours.clone() },
            CallStep::Answer { description: vec![2], ours },
            CallStep::Candidates(vec![3]),
            CallStep::HangUp,
            CallStep::Busy,
            CallStep::Elsewhere { is_answered: true },
            CallStep::Elsewhere { is_answered: false },
        ] {
            let call = Call { id: CallId([5; 16]), step };
            let proto::content::Body::Call(written) = call.write() else { panic!() };
            assert_eq!(Call::read(written), Ok(call));
        }
    }
}
