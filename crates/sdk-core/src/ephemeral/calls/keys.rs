//! The keys of the media of a call.
//!
//! The state of a session cannot give both sides the same secret at a time that both know, because each has its own chains. Both
//! therefore contribute 32 random bytes, in the encrypted offer and answer, and the keys are derived from the two.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::call::SrtpKey;
use crate::content::{CallId, Contribution};
use crate::id::{ThreadId, UserId};

/// The label of the keys of a call.
const LABEL: &[u8] = b"Sealpost SRTP v1";

/// The keys of what the caller and of what the callee sends: HKDF-SHA256 (RFC 5869) over both contributions, about the call, its thread and
/// both people.
pub(super) fn derive(
    id: CallId,
    thread: ThreadId,
    (caller, callee): (UserId, UserId),
    offered: &Contribution,
    answered: &Contribution,
) -> (SrtpKey, SrtpKey) {
    let mut input = Zeroizing::new([0; 64]);
    for (to, from) in input.iter_mut().zip(offered.iter().chain(answered.iter())) {
        *to = *from;
    }
    let info: [&[u8]; 5] = [LABEL, &id.0, thread.as_bytes(), caller.as_bytes(), callee.as_bytes()];
    let mut output = Zeroizing::new([0; 92]);
    let derived = Hkdf::<Sha256>::new(None, input.as_slice()).expand_multi_info(&info, output.as_mut_slice());
    // It fails only for more than 8,160 bytes of output.
    debug_assert!(derived.is_ok());
    let (caller, callee) = output.split_at(46);
    (key_of(caller), key_of(callee))
}

/// A key and a salt, one after the other.
fn key_of(bytes: &[u8]) -> SrtpKey {
    let at = |place: usize| bytes.get(place).copied().unwrap_or_default();
    SrtpKey {
        key: Zeroizing::new(std::array::from_fn(at)),
        salt: Zeroizing::new(std::array::from_fn(|place| at(place.saturating_add(32)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{CallKeys, CallSignal};

    const THREAD: ThreadId = ThreadId::from_bytes([1; 16]);

    fn keys() -> (SrtpKey, SrtpKey) {
        let people = (UserId::from_bytes([2; 16]), UserId::from_bytes([3; 16]));
        derive(CallId([1; 16]), THREAD, people, &Contribution::new([4; 32]), &Contribution::new([5; 32]))
    }

    #[test]
    fn the_keys_are_those_of_rfc_5869() {
        let one = keys();
        let input = [[4_u8; 32], [5; 32]].concat();
        let info = [LABEL, &[1; 16], &[1; 16], &[2; 16], &[3; 16]].concat();
        let mut expected = [0; 92];
        Hkdf::<Sha256>::new(Some(&[0; 32]), &input).expand(&info, &mut expected).unwrap();
        let keys = [&one.0.key[..], &one.0.salt[..], &one.1.key[..], &one.1.salt[..]].concat();
        assert_eq!(keys, expected);
    }

    #[test]
    fn debug_shows_neither_keys_nor_descriptions() {
        let (sending, receiving) = keys();
        let keys = Box::new(CallKeys { sending, receiving });
        let shown = format!(
            "{:?} {keys:?}",
            CallSignal::Answer { description: b"secret".to_vec(), keys: keys.clone() }
        );
        assert_eq!(shown, "Answer(..) CallKeys { sending: SrtpKey(..), receiving: SrtpKey(..) }");
    }
}
