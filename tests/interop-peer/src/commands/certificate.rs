//! Certificates of servers and senders.

use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use sealpost_protocol::sealed::{
    Remembered, SenderCertificate, SenderClaims, ServerCertificate, ServerKey, ServerKeyPair, Signer, Trust,
    UnixMillis, VerifyError,
};
use sealpost_protocol::{Address, DeviceId, IdentityKey};
use serde::Deserialize;
use serde_json::{Value, json};

use super::private::private;
use crate::failure::Failure;
use crate::hex::Hex;

/// `serverCert {id, pub, root}` → `{cert}`; `root` is the private key of the trust root.
#[derive(Deserialize)]
pub(crate) struct ServerCert {
    id: u32,
    r#pub: Hex,
    root: Hex,
}

impl ServerCert {
    pub(super) fn run(self) -> Result<Value, Failure> {
        let root = ServerKeyPair::from_private(&private(&self.root)?);
        let server = ServerKey::parse(&self.r#pub.0)?;
        let certificate = ServerCertificate::issue(self.id, &server, &root, &mut UnwrapErr(SysRng));
        Ok(json!({ "cert": Hex::from(certificate.serialize()) }))
    }
}

/// `senderCert {uuid, e164?, dev, pub, expires, server, serverPriv}` → `{cert}`; `expires` is in milliseconds since 1970.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SenderCert {
    uuid: String,
    e164: Option<String>,
    dev: u32,
    r#pub: Hex,
    expires: u64,
    server: Hex,
    server_priv: Hex,
}

impl SenderCert {
    pub(super) fn run(self) -> Result<Value, Failure> {
        let claims = SenderClaims {
            address: &Address::new(&self.uuid, DeviceId::new(self.dev)?),
            e164: self.e164.as_deref(),
            identity_key: &IdentityKey::parse(&self.r#pub.0)?,
            expires: UnixMillis(self.expires),
        };
        let signer = Signer::Embedded(ServerCertificate::parse(&self.server.0)?);
        let server = ServerKeyPair::from_private(&private(&self.server_priv)?);
        let certificate = SenderCertificate::issue(&claims, signer, &server, &mut UnwrapErr(SysRng));
        Ok(json!({ "cert": Hex::from(certificate.serialize()) }))
    }
}

/// `certValidate {cert, root, time}` → `{ok}`.
#[derive(Deserialize)]
pub(crate) struct CertValidate {
    cert: Hex,
    root: Hex,
    time: u64,
}

impl CertValidate {
    pub(super) fn run(self) -> Result<Value, Failure> {
        let certificate = SenderCertificate::parse(&self.cert.0)?;
        let trust = Trust::new(vec![ServerKey::parse(&self.root.0)?]);
        match trust.verify(&certificate, UnixMillis(self.time), &mut Remembered::default()) {
            Ok(()) => Ok(json!({ "ok": true })),
            // This is an error of the request, not the result of the validation.
            Err(reason @ VerifyError::UnknownServer) => Err(reason.into()),
            Err(_) => Ok(json!({ "ok": false })),
        }
    }
}
