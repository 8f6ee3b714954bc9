//! Checks the traffic for message keys that are used twice: a device that crashes may send the same bytes again, but
//! never other bytes with the same key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sealpost_protocol::{PreKeySignalMessage, SignalMessage};
use sealpost_testkit::Interceptor;
use sealpost_wire::frame::Body;
use sealpost_wire::{DeviceCopy, Envelope, Frame, envelope};

/// The parts of a message that identify its key: the ratchet key of its chain, and its number in the chain.
type KeyName = ([u8; 33], u32);

/// Records all messages that clients send through a proxy. Clones share the record.
#[derive(Debug, Clone, Default)]
pub struct KeyUse(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    ciphertexts: HashMap<KeyName, Vec<u8>>,
    used_twice: usize,
    unreadable: usize,
}

impl KeyUse {
    /// The number of different message keys.
    ///
    /// # Errors
    /// A description, if a key was used for two ciphertexts, or something was sent that is not a ciphertext.
    pub fn judge(&self) -> Result<usize, String> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (seen.used_twice, seen.unreadable) {
            (0, 0) => Ok(seen.ciphertexts.len()),
            (twice, unreadable) => {
                Err(format!("{twice} message keys used twice, {unreadable} unreadable ciphertexts"))
            }
        }
    }

    fn see(&self, copy: &DeviceCopy) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let envelope = copy.envelope.clone().unwrap_or_default();
        let Some(key) = key_name(&envelope) else {
            seen.unreadable = seen.unreadable.saturating_add(1);
            return;
        };
        let ciphertext = envelope.ciphertext.to_vec();
        let first = seen.ciphertexts.entry(key).or_insert_with(|| ciphertext.clone());
        if *first != ciphertext {
            seen.used_twice = seen.used_twice.saturating_add(1);
        }
    }
}

impl Interceptor for KeyUse {
    fn up(&self, frame: Frame) -> Vec<Frame> {
        match &frame.body {
            Some(Body::Send(send)) => send.copies.iter().for_each(|copy| self.see(copy)),
            Some(Body::Mail(mail)) => mail.copies.iter().for_each(|copy| self.see(copy)),
            _ => {}
        }
        vec![frame]
    }
}

fn key_name(envelope: &Envelope) -> Option<KeyName> {
    let is_shared = matches!(envelope.kind, envelope::SIGNAL_WITH_SHARED | envelope::PRE_KEY_WITH_SHARED);
    // `length (2) || ciphertext`, which the shared part will follow.
    let bytes = envelope.ciphertext.get(if is_shared { 2 } else { 0 }..)?;
    let name = |message: &SignalMessage| (*message.ratchet_key(), message.counter());
    match envelope.kind {
        envelope::SIGNAL | envelope::SIGNAL_WITH_SHARED => {
            SignalMessage::parse(bytes).ok().as_ref().map(name)
        }
        envelope::PRE_KEY | envelope::PRE_KEY_WITH_SHARED => {
            PreKeySignalMessage::parse(bytes).ok().map(|message| name(message.signal_message()))
        }
        _ => None,
    }
}
