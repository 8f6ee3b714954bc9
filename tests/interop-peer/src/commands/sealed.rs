//! Commands for sealed sender: envelopes that hide the sender.

use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use sealpost_protocol::sealed::{
    self, ContentHint, Receiver, Recipient, SenderCertificate, SentMessage, ServerKey, Trust,
    UnidentifiedContent, UnixMillis,
};
use sealpost_protocol::{Address, DeviceId, IdentityKey, MessageType, PlaintextContent};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Remote, group, session};
use crate::device::Device;
use crate::failure::Failure;
use crate::hex::Hex;
use crate::unverified::describe;

/// `usmc {remote?, remoteDev?, group?, plaintext?, pt, cert, hint?, groupId?}` → `{usmc, ct, type}`: encrypts for a device
/// or a group, or takes a plaintext message, and combines it with our certificate.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Usmc {
    #[serde(flatten)]
    remote: Option<Remote>,
    group: Option<Uuid>,
    plaintext: Option<Hex>,
    #[serde(default)]
    pt: Hex,
    cert: Hex,
    #[serde(default)]
    hint: u32,
    #[serde(default)]
    group_id: Option<Hex>,
}

impl Usmc {
    pub(super) fn run(self, device: &mut Device) -> Result<Value, Failure> {
        let certificate = SenderCertificate::parse(&self.cert.0)?;
        let (kind, message) = self.message(device)?;
        let group_id = self.group_id.unwrap_or_default();
        let content = UnidentifiedContent::new(kind, certificate, &message, hint(self.hint), &group_id.0);
        Ok(json!({ "usmc": Hex::from(content.serialize()), "ct": Hex(message), "type": kind as u32 }))
    }

    fn message(&self, device: &mut Device) -> Result<(MessageType, Vec<u8>), Failure> {
        match (&self.group, &self.plaintext, &self.remote) {
            (Some(dist), _, _) => {
                let message = group::encrypt(device, *dist, &self.pt.0)?;
                Ok((MessageType::SenderKey, message.serialize().to_vec()))
            }
            (None, Some(plaintext), _) => {
                let message = PlaintextContent::parse(&plaintext.0)?;
                Ok((MessageType::Plaintext, message.serialize().to_vec()))
            }
            (None, None, Some(remote)) => {
                let message = session::encrypt(device, remote.address()?, &self.pt.0, None)?;
                Ok((message.message_type(), message.serialize().to_vec()))
            }
            (None, None, None) => Err(Failure::bad_request("one of remote, group and plaintext")),
        }
    }
}

/// `usmcParse {usmc}` → `{contents, type, hint, groupId, sender}`. This verifies nothing.
#[derive(Deserialize)]
pub(crate) struct UsmcParse {
    usmc: Hex,
}

impl UsmcParse {
    pub(super) fn run(self) -> Result<Value, Failure> {
        describe(UnidentifiedContent::parse(&self.usmc.0)?.serialize())
    }
}

/// `ssEncryptUsmc {usmc, remote, remoteDev}` → `{ct}`: version 1, for one device.
#[derive(Deserialize)]
pub(crate) struct SsEncryptUsmc {
    #[serde(flatten)]
    remote: Remote,
    usmc: Hex,
}

impl SsEncryptUsmc {
    pub(super) fn run(self, device: &mut Device) -> Result<Value, Failure> {
        let content = UnidentifiedContent::parse(&self.usmc.0)?;
        let peer = device.peers.get(&self.remote.address()?);
        let recipient = peer.and_then(|peer| peer.identity);
        let recipient = recipient.ok_or_else(|| Failure::new("no_session", "no session was ever there"))?;
        let rng = &mut UnwrapErr(SysRng);
        let envelope = sealed::seal_v1(&content, &device.identity, &recipient, &mut device.remembered, rng)?;
        Ok(json!({ "ct": Hex(envelope) }))
    }
}

/// `ssMulti {usmc, recipients: [[name, dev]…], excluded?}` → `{ct}`: version 2, in the form that is sent to the relay.
#[derive(Deserialize)]
pub(crate) struct SsMulti {
    usmc: Hex,
    recipients: Vec<(String, u32)>,
    #[serde(default)]
    excluded: Vec<String>,
}

impl SsMulti {
    pub(super) fn run(self, device: &mut Device) -> Result<Value, Failure> {
        let content = UnidentifiedContent::parse(&self.usmc.0)?;
        let recipients = self.recipients.iter().map(|(name, dev)| {
            let address = Address::new(name, DeviceId::new(*dev)?);
            let (identity_key, registration_id) = known(device, &address)?;
            Ok((address, identity_key, registration_id))
        });
        let recipients = recipients.collect::<Result<Vec<_>, Failure>>()?;
        let recipients: Vec<_> = recipients
            .iter()
            .map(|(address, identity_key, registration_id)| Recipient {
                address,
                identity_key,
                registration_id: *registration_id,
            })
            .collect();
        let excluded = self.excluded.iter().map(|name| service_id(name)).collect::<Result<Vec<_>, _>>()?;
        let rng = &mut UnwrapErr(SysRng);
        let Device { identity, remembered, .. } = device;
        let sent = sealed::seal_v2(&content, identity, &recipients, &excluded, remembered, rng)?;
        Ok(json!({ "ct": Hex::from(sent.serialize()) }))
    }
}

/// `ssMultiSingle {ct}` → `{ct}`: the form that the relay delivers to the only recipient of a message.
#[derive(Deserialize)]
pub(crate) struct SsMultiSingle {
    ct: Hex,
}

impl SsMultiSingle {
    pub(super) fn run(self) -> Result<Value, Failure> {
        let sent = SentMessage::parse(&self.ct.0)?;
        match sent.recipients() {
            [only] if sent.excluded().is_empty() => Ok(json!({ "ct": Hex(sent.received_by(only)) })),
            _ => Err(Failure::new("not_single", "a message for one recipient is expected")),
        }
    }
}

/// `ssDecryptUsmc {ct}` → `{usmc, contents, type, hint, groupId, sender}`. The sender is not verified.
#[derive(Deserialize)]
pub(crate) struct SsDecryptUsmc {
    ct: Hex,
}

impl SsDecryptUsmc {
    pub(super) fn run(self, device: &mut Device) -> Result<Value, Failure> {
        let content = sealed::open(&self.ct.0, &device.identity, &mut device.remembered)?;
        let mut described = describe(content.serialize())?;
        if let Some(fields) = described.as_object_mut() {
            fields.insert("usmc".to_owned(), json!(Hex::from(content.serialize())));
        }
        Ok(described)
    }
}

/// `ssDecrypt {ct, root, time, e164?}` → `{pt, uuid, dev, e164}`: opens the envelope, verifies the sender, and decrypts
/// the message, which must belong to a session. `time` is in milliseconds since 1970.
#[derive(Deserialize)]
pub(crate) struct SsDecrypt {
    ct: Hex,
    root: Hex,
    time: u64,
    e164: Option<String>,
}

impl SsDecrypt {
    pub(super) fn run(self, device: &mut Device) -> Result<Value, Failure> {
        let trust = Trust::new(vec![ServerKey::parse(&self.root.0)?]);
        let Device { identity, address, remembered, .. } = device;
        let receiver =
            Receiver { address, e164: self.e164.as_deref(), trust: &trust, now: UnixMillis(self.time) };
        let content = sealed::open(&self.ct.0, identity, remembered)?.verify(&receiver, remembered)?;
        let sender = content.sender().clone();
        let plaintext = match content.kind() {
            MessageType::Signal => session::decrypt_signal(device, sender.clone(), content.message())?,
            MessageType::PreKey => session::decrypt_pre_key(device, sender.clone(), content.message())?,
            _ => return Err(Failure::new("unexpected_type", "only messages of sessions are decrypted here")),
        };
        Ok(json!({
            "pt": Hex::from(plaintext.expose()),
            "uuid": sender.name(),
            "dev": sender.device().get(),
            "e164": content.e164(),
        }))
    }
}

/// The identity key and registration id of another device, according to the active session with it.
fn known(device: &Device, address: &Address) -> Result<(IdentityKey, u32), Failure> {
    let record = device.record(address);
    let known = record.remote_identity().copied().zip(record.remote_registration_id());
    known.ok_or_else(|| Failure::new("no_session", "no active session"))
}

fn service_id(name: &str) -> Result<[u8; 17], Failure> {
    let address = Address::new(name, DeviceId::new(1)?);
    address.service_id().copied().ok_or_else(|| Failure::new("not_service_id", "not a service id"))
}

fn hint(number: u32) -> ContentHint {
    match number {
        0 => ContentHint::Default,
        1 => ContentHint::Resendable,
        2 => ContentHint::Implicit,
        number => ContentHint::Unknown(number),
    }
}
