//! Commands for the device itself: its keys, its pre-keys and its stored form.

use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use sealpost_protocol::{
    Address, DeviceId, IdentityKeyPair, KemPreKey, KemPreKeyId, OneTimePreKey, OneTimePreKeyId, SignedPreKey,
    SignedPreKeyId,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Policy;
use super::private::private;
use crate::device::{Device, private_of};
use crate::failure::Failure;
use crate::hex::Hex;
use crate::saved::Saved;

/// `version` → `{version}`.
pub(super) fn version() -> Value {
    json!({ "version": env!("CARGO_PKG_VERSION") })
}

/// `init {name, dev, reg, identityPriv?, policy?}` → `{identityPriv, identityPub}`. Creates a new device, which replaces
/// the current one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Init {
    name: String,
    dev: u32,
    reg: u32,
    identity_priv: Option<Hex>,
    #[serde(default)]
    policy: Policy,
}

impl Init {
    pub(super) fn run(self, place: &mut Option<Device>) -> Result<Value, Failure> {
        let address = Address::new(&self.name, DeviceId::new(self.dev)?);
        let identity = match self.identity_priv {
            None => IdentityKeyPair::generate(&mut UnwrapErr(SysRng)),
            Some(bytes) => IdentityKeyPair::from_private(&private(&bytes)?),
        };
        let keys = json!({
            "identityPriv": Hex(private_of(&identity)),
            "identityPub": Hex(identity.public().serialize().to_vec()),
        });
        *place = Some(Device::new(identity, address, self.reg, self.policy.into()));
        Ok(keys)
    }
}

/// `bundle {spkId?, pkId?, kId?, oneTime?, kyber?}` → `{bundle: {reg, dev, identity, spkId, spk, spkSig, pkId?, pk?, kId?,
/// k?, kSig?}}`. The private halves are kept.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Bundle {
    #[serde(default = "default_signed")]
    spk_id: u32,
    #[serde(default = "default_one_time")]
    pk_id: u32,
    #[serde(default = "default_kem")]
    k_id: u32,
    #[serde(default = "yes")]
    one_time: bool,
    #[serde(default = "yes")]
    kyber: bool,
}

impl Bundle {
    pub(super) fn run(self, device: &mut Device) -> Result<Value, Failure> {
        let rng = &mut UnwrapErr(SysRng);
        let Device { identity, pre_keys, .. } = device;
        // No command checks the age of a pre-key, so any time will do.
        let created_ms = 0;
        let signed = SignedPreKey::generate(SignedPreKeyId(self.spk_id), identity, created_ms, rng);
        let mut bundle = json!({
            "reg": device.registration_id,
            "dev": device.address.device().get(),
            "identity": Hex(identity.public().serialize().to_vec()),
            "spkId": self.spk_id,
            "spk": Hex(signed.public_key().to_vec()),
            "spkSig": Hex(signed.signature().to_vec()),
        });
        let fields = bundle.as_object_mut().ok_or_else(|| Failure::new("bug", "not an object"))?;
        pre_keys.signed.insert(signed.id(), signed);
        if self.one_time {
            let key = OneTimePreKey::generate(OneTimePreKeyId(self.pk_id), rng);
            fields.insert("pkId".to_owned(), json!(self.pk_id));
            fields.insert("pk".to_owned(), json!(Hex(key.public_key().to_vec())));
            pre_keys.one_time.insert(key.id(), key);
        }
        if self.kyber {
            let key = KemPreKey::generate(KemPreKeyId(self.k_id), identity, created_ms, rng);
            fields.insert("kId".to_owned(), json!(self.k_id));
            fields.insert("k".to_owned(), json!(Hex(key.public_key())));
            fields.insert("kSig".to_owned(), json!(Hex(key.signature().to_vec())));
            pre_keys.kem.insert(key.id(), key);
        }
        Ok(json!({ "bundle": bundle }))
    }
}

/// `save` → `{state}`: the complete state of the device.
pub(super) fn save(device: &Device) -> Result<Value, Failure> {
    let state = serde_json::to_vec(&Saved::of(device)).map_err(|error| Failure::new("bug", error))?;
    Ok(json!({ "state": Hex(state) }))
}

/// `load {state}` → `{}`: replaces the current device by the saved one.
#[derive(Deserialize)]
pub(crate) struct Load {
    state: Hex,
}

impl Load {
    pub(super) fn run(self, place: &mut Option<Device>) -> Result<Value, Failure> {
        let saved: Saved =
            serde_json::from_slice(&self.state.0).map_err(|error| Failure::new("malformed", error))?;
        *place = Some(saved.restore()?);
        Ok(json!({}))
    }
}

fn default_signed() -> u32 {
    22
}

fn default_one_time() -> u32 {
    31337
}

fn default_kem() -> u32 {
    777
}

fn yes() -> bool {
    true
}
