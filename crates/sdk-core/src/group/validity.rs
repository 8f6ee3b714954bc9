//! Whether an entry of a roster is valid: its author's device list, its signature, and what the author may change.
//!
//! An entry that does not continue the chain is not part of it. One that continues it and is not valid takes its version, and changes nothing
//! else: the relay cannot verify signatures, so a member could otherwise end a group by an entry that nobody accepts (ADR 0043).

use sealpost_protocol::DeviceId as ProtocolDevice;
use sealpost_protocol::device::{DeviceEntry, SignedDeviceList, Succession, VerifiedDeviceList};
use sealpost_protocol::group::{EntrySignature, JoinProof, Joiner};
use sealpost_wire::roster::{Author, ChainError, Change, Effect, Entry, Refusal, Roster};

/// Why an entry has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// There is no device list of the author, or it does not verify, or it does not follow the one before.
    List,
    /// The author's device is not on it.
    Device,
    /// The author's device has not signed this.
    Signature,
    /// The author does not have the link.
    Proof,
    /// The author may not do it, or it cannot be done.
    Rule(Refusal),
}

/// What becomes of the next entry of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Valid,
    /// It takes its version, and changes nothing.
    Invalid(Invalid),
    /// It is signed, and this version of the library does not know the change.
    NotUnderstood,
}

/// The next entry of a chain, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) effect: Effect,
    /// The author's device list, if it replaces the one that is known.
    pub(crate) list: Option<Vec<u8>>,
    pub(crate) outcome: Outcome,
}

/// The roster that the first entry of a group makes.
pub(crate) fn begin(entry: &Entry) -> Result<(Roster, Judged), Invalid> {
    authenticate(None, entry)?;
    let (roster, effect) = Roster::create(entry).map_err(Invalid::Rule)?;
    let list = kept_list(entry, &effect);
    Ok((roster, Judged { effect, list, outcome: Outcome::Valid }))
}

/// What the next entry of the chain means. `known` is the list of its author that their last entry with a list carried.
///
/// # Errors
/// [`ChainError`] if it is not the next entry.
pub(crate) fn judge(roster: &Roster, known: Option<&[u8]>, entry: &Entry) -> Result<Judged, ChainError> {
    roster.check_chain(entry)?;
    Ok(match check(roster, known, entry) {
        Ok(effect) => {
            let list = kept_list(entry, &effect);
            Judged { effect, list, outcome: Outcome::Valid }
        }
        Err(Invalid::Rule(Refusal::UnknownKind)) => {
            Judged { effect: roster.not_understood(entry)?, list: None, outcome: Outcome::NotUnderstood }
        }
        Err(invalid) => {
            let effect = roster.without_effect(entry)?;
            Judged { effect, list: None, outcome: Outcome::Invalid(invalid) }
        }
    })
}

fn check(roster: &Roster, known: Option<&[u8]>, entry: &Entry) -> Result<Effect, Invalid> {
    let list = authenticate(known, entry)?;
    let effect = roster.judge(entry).map_err(Invalid::Rule)?;
    if let Change::Join { proof } = &entry.content().change {
        let link = roster.state().link.ok_or(Invalid::Proof)?;
        let Author { user, device } = entry.content().author;
        let device = ProtocolDevice::new(device.get()).map_err(|_| Invalid::Device)?;
        let joiner = Joiner { user: user.as_bytes(), device, account: list.account_key() };
        let proof = JoinProof::parse(proof).map_err(|_| Invalid::Proof)?;
        if !proof.is_valid(&link.public_key, roster.state().thread.as_bytes(), &joiner) {
            return Err(Invalid::Proof);
        }
    }
    Ok(effect)
}

/// The device list by which the signature of the entry was verified: the one that it carries, which has to follow the known one, or the
/// known one. Whether it is of the right account key is for the rules to say.
fn authenticate(known: Option<&[u8]>, entry: &Entry) -> Result<VerifiedDeviceList, Invalid> {
    let Author { user, device } = entry.content().author;
    let verified = |bytes: &[u8]| {
        let list = SignedDeviceList::parse(bytes).map_err(|_| Invalid::List)?;
        list.verify(user.as_bytes()).map_err(|_| Invalid::List)
    };
    let known = known.map(verified).transpose()?;
    let list = match (&entry.content().list, known) {
        (Some(carried), known) => {
            let carried = verified(carried.as_bytes())?;
            if known.is_some_and(|known| !follows(&known, &carried)) {
                return Err(Invalid::List);
            }
            carried
        }
        (None, Some(known)) => known,
        (None, None) => return Err(Invalid::List),
    };
    let mut devices = list.devices().iter();
    let of_author = devices.find(|entry| entry.device.get() == device.get()).ok_or(Invalid::Device)?;
    let signature = EntrySignature::parse(entry.signature()).map_err(|_| Invalid::Signature)?;
    if !signature.is_of(&of_author.identity, entry.signed_bytes()) {
        return Err(Invalid::Signature);
    }
    Ok(list)
}

/// Whether a list can come after another one of the same account. No device has another identity key than before, because no number is
/// used twice: so the numbers, which are all that the relay looks at, are enough to notice that a device is gone.
fn follows(known: &VerifiedDeviceList, next: &VerifiedDeviceList) -> bool {
    let is_later =
        matches!(known.known().succession(next), Succession::Same | Succession::Newer | Succession::Moved);
    let is_other = |before: &DeviceEntry| {
        let mut now = next.devices().iter();
        now.any(|entry| entry.device == before.device && entry.identity != before.identity)
    };
    is_later && !known.devices().iter().any(is_other)
}

/// The list that the entry carries, if its author is a member whose list it is now.
fn kept_list(entry: &Entry, effect: &Effect) -> Option<Vec<u8>> {
    let content = entry.content();
    let list = content.list.as_ref()?;
    let member = effect.members.get(&content.author.user)?.as_ref()?;
    (member.list_version == list.version()).then(|| list.as_bytes().to_vec())
}

#[cfg(test)]
mod tests;
