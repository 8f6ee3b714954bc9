//! Commands for messages between two devices.

use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use sealpost_protocol::{
    Accepted, Address, Advanced, Ciphertext, Decrypted, Inbound, MessageType, Plaintext, PreKeyBundle,
    PreKeySignalMessage, RawPreKeyBundle, RawSigned, SessionRecord, SignalMessage, SkippedKey, SkippedKeys,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Remote;
use crate::device::{Device, now};
use crate::failure::Failure;
use crate::hex::Hex;

/// `processBundle {remote, remoteDev, bundle, now?}` → `{}`: starts a session. `now` is in milliseconds since 1970.
#[derive(Deserialize)]
pub(crate) struct ProcessBundle {
    #[serde(flatten)]
    remote: Remote,
    bundle: TheirBundle,
    now: Option<u64>,
}

/// The answer of the other device to `bundle`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TheirBundle {
    reg: u32,
    dev: u32,
    identity: Hex,
    spk_id: u32,
    spk: Hex,
    spk_sig: Hex,
    pk_id: Option<u32>,
    pk: Option<Hex>,
    k_id: Option<u32>,
    k: Option<Hex>,
    k_sig: Option<Hex>,
}

impl ProcessBundle {
    pub(super) fn run(self, device: &mut Device) -> Result<Value, Failure> {
        let remote = self.remote.address()?;
        let bundle = PreKeyBundle::parse(self.bundle.raw()?)?.verify()?;
        let next = device.record(&remote).initiate(
            &device.local(),
            &remote,
            bundle,
            device.policy,
            now(self.now),
            &mut UnwrapErr(SysRng),
        )?;
        device.peers.entry(remote).or_default().advance(next);
        Ok(json!({}))
    }
}

impl TheirBundle {
    fn raw(&self) -> Result<RawPreKeyBundle<'_>, Failure> {
        let one_time_pre_key = match (self.pk_id, &self.pk) {
            (Some(id), Some(key)) => Some((id, key.as_ref())),
            (None, None) => None,
            _ => return Err(Failure::bad_request("one of pkId and pk without the other")),
        };
        let kem_pre_key = match (self.k_id, &self.k, &self.k_sig) {
            (Some(id), Some(key), Some(signature)) => {
                Some(RawSigned { id, key: key.as_ref(), signature: signature.as_ref() })
            }
            (None, None, None) => None,
            _ => return Err(Failure::bad_request("some of kId, k and kSig without the others")),
        };
        Ok(RawPreKeyBundle {
            registration_id: self.reg,
            device_id: self.dev,
            identity_key: self.identity.as_ref(),
            signed_pre_key: RawSigned {
                id: self.spk_id,
                key: self.spk.as_ref(),
                signature: self.spk_sig.as_ref(),
            },
            one_time_pre_key,
            kem_pre_key,
        })
    }
}

/// `encrypt {remote, remoteDev, pt, now?}` → `{type, ct}`; type 2 is a Signal message, 3 a pre-key Signal message.
#[derive(Deserialize)]
pub(crate) struct Encrypt {
    #[serde(flatten)]
    remote: Remote,
    pt: Hex,
    now: Option<u64>,
}

impl Encrypt {
    pub(super) fn run(self, device: &mut Device) -> Result<Value, Failure> {
        let ciphertext = encrypt(device, self.remote.address()?, &self.pt.0, self.now)?;
        let kind = match ciphertext.message_type() {
            MessageType::PreKey => 3,
            _ => 2,
        };
        Ok(json!({ "type": kind, "ct": Hex::from(ciphertext.serialize()) }))
    }
}

/// Encrypts for `remote`, and stores the advanced session, as if the message had been sent.
pub(super) fn encrypt(
    device: &mut Device,
    remote: Address,
    plaintext: &[u8],
    milliseconds: Option<u64>,
) -> Result<Ciphertext, Failure> {
    let record = device.record(&remote);
    let rng = &mut UnwrapErr(SysRng);
    let Advanced { next, skipped, output } =
        record.encrypt(&device.local(), &remote, plaintext, now(milliseconds), rng)?;
    let peer = device.peers.entry(remote).or_default();
    peer.advance(next);
    peer.skipped.apply(skipped);
    Ok(output)
}

/// `decrypt {remote, remoteDev, type, ct}` → `{pt}`.
#[derive(Deserialize)]
pub(crate) struct Decrypt {
    #[serde(flatten)]
    remote: Remote,
    #[serde(rename = "type")]
    kind: u32,
    ct: Hex,
}

impl Decrypt {
    pub(super) fn run(self, device: &mut Device) -> Result<Value, Failure> {
        let remote = self.remote.address()?;
        let plaintext = match self.kind {
            2 => decrypt_signal(device, remote, &self.ct.0)?,
            3 => decrypt_pre_key(device, remote, &self.ct.0)?,
            _ => return Err(Failure::bad_request("type is 2 or 3")),
        };
        Ok(json!({ "pt": Hex::from(plaintext.expose()) }))
    }
}

/// Decrypts a message of an established session.
pub(super) fn decrypt_signal(
    device: &mut Device,
    remote: Address,
    bytes: &[u8],
) -> Result<Plaintext, Failure> {
    let message = SignalMessage::parse(bytes)?;
    let none = SkippedKeys::default();
    let skipped = device.peers.get(&remote).map_or(&none, |peer| &peer.skipped).find(&message);
    let rng = &mut UnwrapErr(SysRng);
    let inbound = inbound(device, &remote, &skipped);
    let advanced = device.record(&remote).decrypt(&inbound, &message, rng)?;
    Ok(store(device, remote, advanced))
}

/// Decrypts a message that may start a session.
pub(super) fn decrypt_pre_key(
    device: &mut Device,
    remote: Address,
    bytes: &[u8],
) -> Result<Plaintext, Failure> {
    let message = PreKeySignalMessage::parse(bytes)?;
    let record: SessionRecord = device.record(&remote);
    let none = SkippedKeys::default();
    let skipped =
        device.peers.get(&remote).map_or(&none, |peer| &peer.skipped).find(message.signal_message());
    let (keys, rng) = (device.pre_keys.named_by(&message), &mut UnwrapErr(SysRng));
    let inbound = inbound(device, &remote, &skipped);
    let Accepted { advanced, consumed } = record.decrypt_pre_key(&inbound, &message, keys, rng)?;
    if let Some(consumed) = consumed {
        device.pre_keys.spend(&consumed)?;
    }
    Ok(store(device, remote, advanced))
}

fn inbound<'a>(device: &'a Device, remote: &'a Address, skipped: &'a [SkippedKey]) -> Inbound<'a> {
    Inbound { local: device.local(), remote, skipped, policy: device.policy, now: now(None) }
}

fn store(device: &mut Device, remote: Address, advanced: Advanced<Decrypted>) -> Plaintext {
    let Advanced { next, skipped, output } = advanced;
    let peer = device.peers.entry(remote).or_default();
    peer.advance(next);
    peer.skipped.apply(skipped);
    output.plaintext
}

/// `archive {remote, remoteDev}` → `{}`: archives the active session, so that nothing can be sent before a new one is
/// started.
pub(super) fn archive(remote: &Remote, device: &mut Device) -> Result<Value, Failure> {
    if let Some(peer) = device.peers.get_mut(&remote.address()?) {
        peer.advance(peer.record.archive(now(None)));
    }
    Ok(json!({}))
}

/// `hasCurrent {remote, remoteDev, now?}` → `{has}`: whether there is an active session that the policy would allow to be
/// started today.
#[derive(Deserialize)]
pub(crate) struct HasCurrent {
    #[serde(flatten)]
    remote: Remote,
    now: Option<u64>,
}

impl HasCurrent {
    pub(super) fn run(self, device: &Device) -> Result<Value, Failure> {
        let record = device.record(&self.remote.address()?);
        Ok(json!({ "has": record.usable_for_sending(device.policy, now(self.now)) }))
    }
}

/// `parseSignal {ct}` → `{counter, version, pq?}`: some fields of a Signal message.
#[derive(Deserialize)]
pub(crate) struct ParseSignal {
    ct: Hex,
}

impl ParseSignal {
    pub(super) fn run(self) -> Result<Value, Failure> {
        let message = SignalMessage::parse(&self.ct.0)?;
        let mut parsed = json!({ "counter": message.counter(), "version": message.version().number() });
        if let Some(fields) = parsed.as_object_mut()
            && !message.pq_ratchet().is_empty()
        {
            fields.insert("pq".to_owned(), json!(Hex::from(message.pq_ratchet())));
        }
        Ok(parsed)
    }
}
