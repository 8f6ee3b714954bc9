//! Keys alone.

use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use sealpost_protocol::{IdentityKey, IdentityKeyPair, Secret};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::hex::Hex;

/// `sign {priv, msg}` → `{sig}`.
#[derive(Deserialize)]
pub(crate) struct Sign {
    r#priv: Hex,
    msg: Hex,
}

impl Sign {
    pub(super) fn run(self) -> Result<Value, Failure> {
        let pair = IdentityKeyPair::from_private(&private(&self.r#priv)?);
        Ok(json!({ "sig": Hex(pair.signature(&self.msg.0, &mut UnwrapErr(SysRng)).to_vec()) }))
    }
}

/// `verify {pub, msg, sig}` → `{ok}`.
#[derive(Deserialize)]
pub(crate) struct Verify {
    r#pub: Hex,
    msg: Hex,
    sig: Hex,
}

impl Verify {
    pub(super) fn run(self) -> Result<Value, Failure> {
        let key = IdentityKey::parse(&self.r#pub.0)?;
        Ok(json!({ "ok": key.has_signed(&self.msg.0, &self.sig.0) }))
    }
}

/// `agree {priv, pub}` → `{ss}`.
#[derive(Deserialize)]
pub(crate) struct Agree {
    r#priv: Hex,
    r#pub: Hex,
}

impl Agree {
    pub(super) fn run(self) -> Result<Value, Failure> {
        let pair = IdentityKeyPair::from_private(&private(&self.r#priv)?);
        let secret = pair.agree(&IdentityKey::parse(&self.r#pub.0)?);
        let secret =
            secret.ok_or_else(|| Failure::new("low_order_point", "everybody would know the result"))?;
        Ok(json!({ "ss": Hex(secret.expose().to_vec()) }))
    }
}

/// A private key of any kind.
pub(super) fn private(bytes: &Hex) -> Result<Secret<32>, Failure> {
    let wrong_length = |_| Failure::new("wrong_length", "a private key has 32 bytes");
    Ok(Secret::new(bytes.0.as_slice().try_into().map_err(wrong_length)?))
}
