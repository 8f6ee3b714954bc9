//! Commands for retry requests, which ask the sender for a message that could not be decrypted.

use sealpost_protocol::{DecryptionErrorMessage, DeviceId, MessageType, PlaintextContent};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Remote;
use crate::device::Device;
use crate::failure::Failure;
use crate::hex::Hex;

/// `dem {ct, type, ts, dev}` → `{dem, plaintext, body}`: the request about a message of device `dev`, the request as a
/// message, and that message without its marker. `ts` is in milliseconds since 1970.
#[derive(Deserialize)]
pub(crate) struct Dem {
    ct: Hex,
    #[serde(rename = "type")]
    kind: u32,
    ts: u64,
    dev: u32,
}

impl Dem {
    pub(super) fn run(self) -> Result<Value, Failure> {
        let (kind, sender) = (message_type(self.kind)?, DeviceId::new(self.dev)?);
        let request = DecryptionErrorMessage::about(&self.ct.0, kind, self.ts, sender)?;
        let content = PlaintextContent::new(&request);
        Ok(json!({
            "dem": Hex(request.serialize()),
            "plaintext": Hex::from(content.serialize()),
            "body": Hex::from(content.body()),
        }))
    }
}

/// `demParse {dem}` → `{ts, dev, rk}`; `rk` is null if the message belonged to no session.
#[derive(Deserialize)]
pub(crate) struct DemParse {
    dem: Hex,
}

impl DemParse {
    pub(super) fn run(self) -> Result<Value, Failure> {
        let request = DecryptionErrorMessage::parse(&self.dem.0)?;
        Ok(json!({
            "ts": request.timestamp_ms(),
            "dev": request.device_id(),
            "rk": request.ratchet_key().map(|key| Hex(key.to_vec())),
        }))
    }
}

/// `demExtract {body}` → `{dem}`: the request in a plaintext message without its marker.
#[derive(Deserialize)]
pub(crate) struct DemExtract {
    body: Hex,
}

impl DemExtract {
    pub(super) fn run(self) -> Result<Value, Failure> {
        let marked = [&[MARKER], self.body.as_ref()].concat();
        let request = PlaintextContent::parse(&marked)?.decryption_error()?;
        Ok(json!({ "dem": Hex(request.serialize()) }))
    }
}

/// `ratchetMatch {remote, remoteDev, pub}` → `{ok}`: whether we still send with this ratchet key.
#[derive(Deserialize)]
pub(crate) struct RatchetMatch {
    #[serde(flatten)]
    remote: Remote,
    r#pub: Hex,
}

impl RatchetMatch {
    pub(super) fn run(self, device: &Device) -> Result<Value, Failure> {
        let wrong_length = |_| Failure::new("wrong_length", "a ratchet key has 33 bytes");
        let key: [u8; 33] = self.r#pub.0.as_slice().try_into().map_err(wrong_length)?;
        Ok(json!({ "ok": device.record(&self.remote.address()?).sends_with(&key) }))
    }
}

/// The first byte of a plaintext message.
const MARKER: u8 = 0xc0;

fn message_type(number: u32) -> Result<MessageType, Failure> {
    match number {
        2 => Ok(MessageType::Signal),
        3 => Ok(MessageType::PreKey),
        7 => Ok(MessageType::SenderKey),
        8 => Ok(MessageType::Plaintext),
        _ => Err(Failure::bad_request("type is 2, 3, 7 or 8")),
    }
}
