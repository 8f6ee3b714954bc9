//! Stations 3 and 6: from bytes to content, without I/O. The caller stores the changes, or drops them.

use rand::rngs::StdRng;
use sealpost_protocol::{
    Accepted, Advanced, Consumed, DecodeError, DecryptError, Decrypted, IdentityKey, Inbound, KemPreKey,
    OneTimePreKey, OurPreKeys, Plaintext, PreKeySignalMessage, SessionRecord, SignalMessage, SignedPreKey,
    SkippedChange,
};
use sealpost_wire as wire;

use crate::content::{Content, ContentError, SharedContent, split_shared};
use crate::error::{Error, Result};
use crate::message::Undecryptable;

/// The result of opening an envelope.
pub(super) enum Opened {
    Content(Box<Content>),
    /// It was opened before, which is not a failure.
    Duplicate,
    Undecryptable(Undecryptable),
}

/// A ciphertext, by its kind.
pub(super) enum Parsed {
    Signal(SignalMessage),
    PreKey(PreKeySignalMessage),
}

/// The changes caused by opening an envelope, to be stored together with its content.
pub(super) struct Changes {
    pub(super) record: SessionRecord,
    pub(super) skipped: Vec<SkippedChange>,
    pub(super) consumed: Option<Consumed>,
    /// The identity key that authenticated the message.
    pub(super) authenticated_by: IdentityKey,
    /// For a first message, the registration id of the sender.
    pub(super) registration_id: Option<u32>,
}

/// The pre-keys that a first message names, as far as they exist.
#[derive(Default)]
pub(super) struct NamedPreKeys {
    pub(super) signed: Option<SignedPreKey>,
    pub(super) one_time: Option<OneTimePreKey>,
    pub(super) kem: Option<KemPreKey>,
}

/// Station 3, Parse. Also returns the shared part that follows the message, if any.
pub(super) fn parse(envelope: &wire::Envelope) -> Result<(Parsed, Option<&[u8]>), Undecryptable> {
    use wire::envelope::{PRE_KEY, PRE_KEY_WITH_SHARED, SIGNAL, SIGNAL_WITH_SHARED};
    let (bytes, shared) = match envelope.kind {
        SIGNAL | PRE_KEY => (&envelope.ciphertext[..], None),
        SIGNAL_WITH_SHARED | PRE_KEY_WITH_SHARED => {
            let split = split_shared(&envelope.ciphertext);
            let (bytes, shared) = split.map_err(|_| Undecryptable::Malformed)?;
            (bytes, Some(shared))
        }
        _ => return Err(Undecryptable::UnsupportedVersion),
    };
    let parsed = match envelope.kind {
        SIGNAL | SIGNAL_WITH_SHARED => SignalMessage::parse(bytes).map(Parsed::Signal),
        _ => PreKeySignalMessage::parse(bytes).map(Parsed::PreKey),
    };
    Ok((parsed.map_err(malformed)?, shared))
}

impl Parsed {
    /// The message that carries the content.
    pub(super) fn signal(&self) -> &SignalMessage {
        match self {
            Self::Signal(message) => message,
            Self::PreKey(message) => message.signal_message(),
        }
    }
}

/// Station 6, Open. Nothing changes unless the caller stores the changes.
///
/// # Errors
/// Only [`Error::Bug`]; invalid input from a peer is not an error.
pub(super) fn open(
    inbound: &Inbound<'_>,
    record: &SessionRecord,
    (message, shared): (&Parsed, Option<&[u8]>),
    keys: &NamedPreKeys,
    rng: &mut StdRng,
) -> Result<(Opened, Option<Changes>)> {
    let decrypted = match message {
        Parsed::Signal(message) => {
            record.decrypt(inbound, message, rng).map(|advanced| (advanced, None, None))
        }
        Parsed::PreKey(message) => {
            let signed = keys.signed.as_ref();
            let keys = signed.map(|signed| OurPreKeys {
                signed,
                one_time: keys.one_time.as_ref(),
                kem: keys.kem.as_ref(),
            });
            let accepted = record.decrypt_pre_key(inbound, message, keys, rng);
            let registration_id = Some(message.registration_id());
            accepted.map(|Accepted { advanced, consumed }| (advanced, consumed, registration_id))
        }
    };
    let (Advanced { next, skipped, output }, consumed, registration_id) = match decrypted {
        Ok(decrypted) => decrypted,
        Err(DecryptError::Duplicate) => return Ok((Opened::Duplicate, None)),
        Err(DecryptError::Bug(what)) => return Err(Error::Bug(what)),
        Err(error) => return Ok((Opened::Undecryptable(cause(error)), None)),
    };
    let Decrypted { plaintext, authenticated_by } = output;
    let Some(content) = read(&plaintext, shared) else {
        // The relay has changed or exchanged the shared part. Nothing changes, so that the intact message can still be opened.
        return Ok((Opened::Undecryptable(Undecryptable::NotDecryptable), None));
    };
    let changes = Changes { record: next, skipped, consumed, authenticated_by, registration_id };
    let opened = match content {
        Ok(content) => Opened::Content(Box::new(content)),
        Err(ContentError::Malformed | ContentError::Unknown) => {
            Opened::Undecryptable(Undecryptable::Malformed)
        }
    };
    Ok((opened, Some(changes)))
}

/// The content of a message. None if the shared part is not the one that the sender has named.
fn read(plaintext: &Plaintext, shared: Option<&[u8]>) -> Option<Result<Content, ContentError>> {
    let named = match SharedContent::from_plaintext(plaintext.expose()) {
        Ok(named) => named,
        Err(error) => return Some(Err(error)),
    };
    match (named, shared) {
        (None, None) => Some(Content::from_plaintext(plaintext.expose())),
        (Some(named), Some(shared)) => {
            let opened = named.key.open(shared).ok()?;
            Some(named.read(opened.expose()))
        }
        (None, Some(_)) | (Some(_), None) => None,
    }
}

pub(super) fn malformed(error: DecodeError) -> Undecryptable {
    match error {
        DecodeError::UnknownVersion | DecodeError::VersionTooOld => Undecryptable::UnsupportedVersion,
        _ => Undecryptable::Malformed,
    }
}

fn cause(error: DecryptError) -> Undecryptable {
    match error {
        DecryptError::NoSession => Undecryptable::NoSession,
        DecryptError::MissingPreKey(_) => Undecryptable::MissingPreKey,
        DecryptError::UnsupportedVersion => Undecryptable::UnsupportedVersion,
        _ => Undecryptable::NotDecryptable,
    }
}

#[cfg(test)]
mod tests;
