//! Commands for safety numbers.

use sealpost_protocol::{IdentityKey, Party, SafetyNumber, ScanError, StableIdKind};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::hex::Hex;

/// `fingerprint {iterations, version, localId, localKey, remoteId, remoteKey}` → `{display, scan}`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fingerprint {
    iterations: u32,
    version: u32,
    local_id: Hex,
    local_key: Hex,
    remote_id: Hex,
    remote_key: Hex,
}

impl Fingerprint {
    pub(super) fn run(self) -> Result<Value, Failure> {
        let kind = match self.version {
            1 => StableIdKind::PhoneNumber,
            2 => StableIdKind::AccountId,
            _ => return Err(Failure::bad_request("version is 1 or 2")),
        };
        let (ours, theirs) =
            (IdentityKey::parse(&self.local_key.0)?, IdentityKey::parse(&self.remote_key.0)?);
        let number = SafetyNumber::with_iterations(
            self.iterations,
            Party { stable_id: self.local_id.as_ref(), key: &ours },
            Party { stable_id: self.remote_id.as_ref(), key: &theirs },
        )?;
        Ok(json!({ "display": number.to_string(), "scan": Hex(number.scannable(kind)) }))
    }
}

/// `fpCompare {a, b}` → `{ok}`: whether the scannable safety number `b` matches our own, `a`.
#[derive(Deserialize)]
pub(crate) struct FpCompare {
    a: Hex,
    b: Hex,
}

impl FpCompare {
    pub(super) fn run(self) -> Result<Value, Failure> {
        let kind = match SafetyNumber::scan(StableIdKind::AccountId, &self.a.0) {
            Err(ScanError::OtherVersion) => StableIdKind::PhoneNumber,
            _ => StableIdKind::AccountId,
        };
        let ours = SafetyNumber::scan(kind, &self.a.0)?;
        Ok(json!({ "ok": ours.matches(kind, &self.b.0)? }))
    }
}
