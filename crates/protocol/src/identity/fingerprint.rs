//! Safety numbers, which two people compare to make sure that nobody is between them.

use std::fmt;
use std::ops::RangeInclusive;

use prost::Message as _;
use subtle::ConstantTimeEq as _;

use super::key::IdentityKey;
use crate::primitives::kdf::{sha512, sha512_repeated};
use crate::shared_work;

/// The number of hash iterations, which an attacker who searches for a similar number has to compute for each
/// candidate.
const ITERATIONS: u32 = 5200;
/// Fewer would hash the key once, more would take seconds.
const ALLOWED_ITERATIONS: RangeInclusive<u32> = 2..=1_000_000;
/// The version of the fingerprint, which is hashed first.
const VERSION: [u8; 2] = [0, 0];
/// Groups of five digits for each party.
const GROUPS: usize = 6;

/// One of the two people.
#[derive(Clone, Copy)]
pub struct Party<'a> {
    /// An identifier that never changes, such as the 16 bytes of the account id.
    pub stable_id: &'a [u8],
    /// Their identity key.
    pub key: &'a IdentityKey,
}

impl fmt::Debug for Party<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stable_id: _, key } = self;
        f.debug_struct("Party").field("key", key).finish_non_exhaustive()
    }
}

/// The kind of the stable ids. Both sides must use the same kind, which determines the version of their scannable
/// numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StableIdKind {
    /// The phone number as text. Version 1, which is no longer used for new numbers.
    PhoneNumber = 1,
    /// The 16 bytes of the account id. Version 2.
    AccountId = 2,
}

/// A number of iterations outside 2 to 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the number of iterations is not between 2 and 1,000,000")]
pub struct InvalidIterations;

/// Why scanned data gives no answer, neither yes nor no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// It is not a safety number.
    #[error("not a safety number")]
    Malformed,
    /// It has another version: the two apps use different stable ids.
    #[error("the safety number has another version")]
    OtherVersion,
}

/// A safety number: sixty digits that are the same on both sides, or a code to be scanned, which each side shows to
/// the other.
#[derive(Clone)]
pub struct SafetyNumber {
    ours: Fingerprint,
    theirs: Fingerprint,
}

/// The half of one party.
type Fingerprint = [u8; 32];

impl SafetyNumber {
    /// The number of these two people, in either order. It is computed on two cores if there are two.
    pub fn new(ours: Party<'_>, theirs: Party<'_>) -> Self {
        Self::of(ours, theirs, ITERATIONS)
    }

    /// Uses another number of hash iterations than 5,200. Both sides must use the same.
    ///
    /// # Errors
    /// [`InvalidIterations`].
    pub fn with_iterations(
        iterations: u32,
        ours: Party<'_>,
        theirs: Party<'_>,
    ) -> Result<Self, InvalidIterations> {
        if !ALLOWED_ITERATIONS.contains(&iterations) {
            return Err(InvalidIterations);
        }
        Ok(Self::of(ours, theirs, iterations))
    }

    /// The data of the code that we show, for the other side to scan.
    pub fn scannable(&self, kind: StableIdKind) -> Vec<u8> {
        let half = |fingerprint: &Fingerprint| Some(HalfForm { fingerprint: fingerprint.to_vec() });
        let form = ScannableForm { version: kind as u32, ours: half(&self.ours), theirs: half(&self.theirs) };
        form.encode_to_vec()
    }

    /// Whether `scanned`, which the other side shows, is the number of the same two people.
    ///
    /// # Errors
    /// [`ScanError`], which does not mean "no".
    pub fn matches(&self, kind: StableIdKind, scanned: &[u8]) -> Result<bool, ScanError> {
        let theirs = Self::scan(kind, scanned)?;
        Ok((theirs.ours.ct_eq(&self.theirs) & theirs.theirs.ct_eq(&self.ours)).into())
    }

    /// Parses the number in a code, from the point of view of the side that shows it.
    ///
    /// # Errors
    /// [`ScanError`].
    pub fn scan(kind: StableIdKind, scanned: &[u8]) -> Result<Self, ScanError> {
        let form = ScannableForm::decode(scanned).map_err(|_| ScanError::Malformed)?;
        if form.version != kind as u32 {
            return Err(ScanError::OtherVersion);
        }
        let half = |half: Option<HalfForm>| {
            half.and_then(|half| half.fingerprint.try_into().ok()).ok_or(ScanError::Malformed)
        };
        Ok(Self { ours: half(form.ours)?, theirs: half(form.theirs)? })
    }

    fn of(ours: Party<'_>, theirs: Party<'_>, iterations: u32) -> Self {
        let [ours, theirs] = shared_work::for_both([&ours, &theirs], |party| fingerprint(*party, iterations));
        Self { ours, theirs }
    }

    /// The digits of both, with the smaller half first. All groups have the same width, so their order is that of the
    /// digits.
    fn groups(&self) -> [[u32; GROUPS]; 2] {
        let mut halves = [groups(&self.ours), groups(&self.theirs)];
        halves.sort_unstable();
        halves
    }
}

/// Compares the digits; it does not matter which side computed them.
impl PartialEq for SafetyNumber {
    fn eq(&self, other: &Self) -> bool {
        self.groups() == other.groups()
    }
}

impl Eq for SafetyNumber {}

/// Sixty digits without separators.
impl fmt::Display for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.groups().as_flattened().iter().try_for_each(|group| write!(f, "{group:05}"))
    }
}

/// Hidden, because it identifies a pair of people.
impl fmt::Debug for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SafetyNumber(..)")
    }
}

/// `h = SHA-512(version || key || id || key)`, then repeatedly `h = SHA-512(h || key)`; 32 bytes of it.
fn fingerprint(party: Party<'_>, iterations: u32) -> Fingerprint {
    let key = party.key.as_bytes();
    let first = sha512(&[&VERSION, key, party.stable_id, key]);
    let hash = sha512_repeated(first, key, iterations.saturating_sub(1));
    let mut fingerprint = [0; 32];
    fingerprint.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    fingerprint
}

/// Five bytes for each group, modulo 100,000.
fn groups(fingerprint: &Fingerprint) -> [u32; GROUPS] {
    let mut groups = [0; GROUPS];
    for (group, bytes) in groups.iter_mut().zip(fingerprint.as_chunks::<5>().0) {
        *group = bytes.iter().fold(0, |rest, byte| ((rest << 8) | u32::from(*byte)) % 100_000);
    }
    groups
}

#[derive(Clone, PartialEq, prost::Message)]
struct ScannableForm {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(message, optional, tag = "2")]
    ours: Option<HalfForm>,
    #[prost(message, optional, tag = "3")]
    theirs: Option<HalfForm>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HalfForm {
    #[prost(bytes = "vec", tag = "1")]
    fingerprint: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, bytes};
    use serde_json::Value;

    /// The number as computed by our side of the case, and by the other.
    fn both(case: &Value) -> [SafetyNumber; 2] {
        let [local_id, remote_id] = ["local_id", "remote_id"].map(|name| bytes(&case[name]));
        let [local, remote] =
            ["local_key", "remote_key"].map(|name| IdentityKey::parse(&bytes(&case[name])).unwrap());
        let ours = Party { stable_id: &local_id, key: &local };
        let theirs = Party { stable_id: &remote_id, key: &remote };
        [SafetyNumber::new(ours, theirs), SafetyNumber::new(theirs, ours)]
    }

    fn kind(case: &Value) -> StableIdKind {
        if case["version"] == 1 { StableIdKind::PhoneNumber } else { StableIdKind::AccountId }
    }

    #[test]
    fn displays_agree_with_the_vectors() {
        let file = vectors::load("fingerprint");
        assert_eq!(file["iterations"], ITERATIONS);
        for case in file["cases"].as_array().unwrap() {
            let [ours, theirs] = both(case);
            assert_eq!(ours.to_string(), case["display"].as_str().unwrap());
            assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn scannable_numbers_agree_with_the_vectors_and_match_the_other_side() {
        let file = vectors::load("fingerprint");
        let cases = file["cases"].as_array().unwrap();
        for case in cases {
            let ([ours, theirs], kind) = (both(case), kind(case));
            assert_eq!(ours.scannable(kind), bytes(&case["scan"]));
            assert_eq!(ours.matches(kind, &theirs.scannable(kind)), Ok(true));
            // A device does not match its own code.
            assert_eq!(ours.matches(kind, &ours.scannable(kind)), Ok(false));
        }
        let ([one, _], [_, other]) = (both(&cases[1]), both(&cases[2]));
        assert_ne!(one, other);
        assert_eq!(
            one.matches(StableIdKind::AccountId, &other.scannable(StableIdKind::AccountId)),
            Ok(false)
        );
    }

    #[test]
    fn both_halves_have_to_match() {
        let [a, b, c] = [1, 2, 3].map(|byte| IdentityKey::parse(&[&[5], &[byte; 32][..]].concat()).unwrap());
        let party = |key| Party { stable_id: b"id", key };
        let number = |ours, theirs| SafetyNumber::with_iterations(2, party(ours), party(theirs)).unwrap();
        let kind = StableIdKind::AccountId;
        let scanned = |ours, theirs| number(&a, &b).matches(kind, &number(ours, theirs).scannable(kind));
        assert_eq!(scanned(&b, &a), Ok(true));
        // The other side has another key for us, or another key itself.
        assert_eq!(scanned(&b, &c), Ok(false));
        assert_eq!(scanned(&c, &a), Ok(false));
    }

    #[test]
    fn scanned_data_of_another_version_or_format_is_an_error_and_not_a_mismatch() {
        let [ours, theirs] = both(&vectors::load("fingerprint")["cases"][1]);
        let scanned = theirs.scannable(StableIdKind::AccountId);
        let matches = |scanned: &[u8]| ours.matches(StableIdKind::AccountId, scanned);
        assert_eq!(ours.matches(StableIdKind::PhoneNumber, &scanned), Err(ScanError::OtherVersion));
        assert_eq!(matches(&[]), Err(ScanError::OtherVersion));
        assert_eq!(matches(&scanned[2..]), Err(ScanError::OtherVersion));
        assert_eq!(matches(&scanned[..2]), Err(ScanError::Malformed));
        assert_eq!(matches(&scanned[..38]), Err(ScanError::Malformed));
        assert_eq!(matches(&scanned[..50]), Err(ScanError::Malformed));
    }

    #[test]
    fn repeated_hashing_equals_single_hashes() {
        let key = IdentityKey::parse(&[5; 33]).unwrap();
        let party = Party { stable_id: b"id", key: &key };
        let number = |rounds| SafetyNumber::with_iterations(rounds, party, party);
        let first = sha512(&[&[0, 0], &[5; 33], b"id", &[5; 33]]);
        let second = sha512(&[&first, &[5; 33]]);
        assert_eq!(number(2).unwrap().ours, second[..32]);
        assert_eq!(number(ITERATIONS).unwrap(), SafetyNumber::new(party, party));
        for rounds in [0, 1, 1_000_001] {
            assert_eq!(number(rounds).err(), Some(InvalidIterations));
        }
    }
}
