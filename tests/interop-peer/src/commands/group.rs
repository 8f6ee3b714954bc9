//! Commands for group messages.

use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use sealpost_protocol::group::{Advanced, SkippedKeyId};
use sealpost_protocol::{DistributionId, SenderKeyDistributionMessage, SenderKeyMessage, group};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Remote;
use crate::device::{Device, SenderKey, now};
use crate::failure::Failure;
use crate::hex::Hex;

/// The number of a sender-key message among the kinds of ciphertext.
pub(super) const SENDER_KEY_TYPE: u32 = 7;

/// `skdmCreate {dist}` → `{skdm}`: the current state of our chain, which is created if there is none.
#[derive(Deserialize)]
pub(crate) struct SkdmCreate {
    dist: Uuid,
}

impl SkdmCreate {
    pub(super) fn run(self, device: &mut Device) -> Result<Value, Failure> {
        let id = DistributionId::new(self.dist.into_bytes());
        let place = (device.address.clone(), id);
        let key = device.sender_keys.entry(place).or_insert_with(|| SenderKey::empty(id));
        let Advanced { next, skipped, output } = key.record.create_distribution(&mut UnwrapErr(SysRng));
        key.record = next;
        key.skipped.apply(skipped);
        Ok(json!({ "skdm": Hex::from(output.serialize()) }))
    }
}

/// `skdmProcess {remote, remoteDev, skdm}` → `{}`: stores the chain that a member has distributed.
#[derive(Deserialize)]
pub(crate) struct SkdmProcess {
    #[serde(flatten)]
    remote: Remote,
    skdm: Hex,
}

impl SkdmProcess {
    pub(super) fn run(self, device: &mut Device) -> Result<Value, Failure> {
        let sender = self.remote.address()?;
        let message = SenderKeyDistributionMessage::parse(&self.skdm.0)?;
        let id = message.distribution_id();
        let key = device.sender_keys.entry((sender, id)).or_insert_with(|| SenderKey::empty(id));
        let Advanced { next, skipped, output: () } = key.record.process(&message)?;
        key.record = next;
        key.skipped.apply(skipped);
        Ok(json!({}))
    }
}

/// `groupEncrypt {dist, pt}` → `{type, ct}`; the type is 7.
#[derive(Deserialize)]
pub(crate) struct GroupEncrypt {
    dist: Uuid,
    pt: Hex,
}

impl GroupEncrypt {
    pub(super) fn run(self, device: &mut Device) -> Result<Value, Failure> {
        let message = encrypt(device, self.dist, &self.pt.0)?;
        Ok(json!({ "type": SENDER_KEY_TYPE, "ct": Hex::from(message.serialize()) }))
    }
}

/// Encrypts for everyone who has received our chain.
pub(super) fn encrypt(
    device: &mut Device,
    dist: Uuid,
    plaintext: &[u8],
) -> Result<SenderKeyMessage, Failure> {
    let place = (device.address.clone(), DistributionId::new(dist.into_bytes()));
    let no_sender_key = || Failure::from(group::EncryptError::NoSenderKey);
    let key = device.sender_keys.get_mut(&place).ok_or_else(no_sender_key)?;
    let Advanced { next, skipped, output } = key.record.encrypt(plaintext, &mut UnwrapErr(SysRng))?;
    key.record = next;
    key.skipped.apply(skipped);
    Ok(output)
}

/// `groupDecrypt {remote, remoteDev, ct}` → `{pt}`.
#[derive(Deserialize)]
pub(crate) struct GroupDecrypt {
    #[serde(flatten)]
    remote: Remote,
    ct: Hex,
}

impl GroupDecrypt {
    pub(super) fn run(self, device: &mut Device) -> Result<Value, Failure> {
        let sender = self.remote.address()?;
        let message = SenderKeyMessage::parse(&self.ct.0)?;
        let place = (sender, message.distribution_id());
        let no_sender_key = || Failure::from(group::DecryptError::NoSenderKey);
        let key = device.sender_keys.get_mut(&place).ok_or_else(no_sender_key)?;
        let kept = key.skipped.find(SkippedKeyId::of(&message));
        let Advanced { next, skipped, output } =
            key.record.decrypt(&message, kept.as_ref(), now(None), &mut device.known_keys)?;
        key.record = next;
        key.skipped.apply(skipped);
        Ok(json!({ "pt": Hex::from(output.expose()) }))
    }
}
