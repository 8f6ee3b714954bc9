//! The commands by subject, with the fields of each request.
//!
//! | Subject | Commands |
//! |---|---|
//! | [`device`] | `version`, `init`, `bundle`, `save`, `load` |
//! | [`session`] | `processBundle`, `encrypt`, `decrypt`, `archive`, `hasCurrent`, `parseSignal` |
//! | [`group`] | `skdmCreate`, `skdmProcess`, `groupEncrypt`, `groupDecrypt` |
//! | [`certificate`] | `serverCert`, `senderCert`, `certValidate` |
//! | [`sealed`] | `usmc`, `usmcParse`, `ssEncryptUsmc`, `ssMulti`, `ssMultiSingle`, `ssDecryptUsmc`, `ssDecrypt` |
//! | [`fingerprint`] | `fingerprint`, `fpCompare` |
//! | [`retry`] | `dem`, `demParse`, `demExtract`, `ratchetMatch` |

mod certificate;
mod device;
mod fingerprint;
mod group;
mod private;
mod retry;
mod sealed;
mod session;

use sealpost_protocol::{Address, DeviceId, SessionPolicy};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::device::Device;
use crate::failure::Failure;

/// One request.
#[derive(Deserialize)]
#[serde(tag = "cmd", rename_all = "camelCase")]
pub(crate) enum Command {
    Version,
    Init(device::Init),
    Bundle(device::Bundle),
    Save,
    Load(device::Load),
    ProcessBundle(session::ProcessBundle),
    Encrypt(session::Encrypt),
    Decrypt(session::Decrypt),
    Archive(Remote),
    HasCurrent(session::HasCurrent),
    ParseSignal(session::ParseSignal),
    SkdmCreate(group::SkdmCreate),
    SkdmProcess(group::SkdmProcess),
    GroupEncrypt(group::GroupEncrypt),
    GroupDecrypt(group::GroupDecrypt),
    Fingerprint(fingerprint::Fingerprint),
    Dem(retry::Dem),
    DemParse(retry::DemParse),
    DemExtract(retry::DemExtract),
    RatchetMatch(retry::RatchetMatch),
    FpCompare(fingerprint::FpCompare),
    ServerCert(certificate::ServerCert),
    SenderCert(certificate::SenderCert),
    CertValidate(certificate::CertValidate),
    Usmc(sealed::Usmc),
    UsmcParse(sealed::UsmcParse),
    SsEncryptUsmc(sealed::SsEncryptUsmc),
    SsMulti(sealed::SsMulti),
    SsMultiSingle(sealed::SsMultiSingle),
    SsDecryptUsmc(sealed::SsDecryptUsmc),
    SsDecrypt(sealed::SsDecrypt),
}

/// Runs one command, and returns the value of `r`.
pub(crate) fn run(command: Command, place: &mut Option<Device>) -> Result<Value, Failure> {
    match command {
        Command::Version => Ok(device::version()),
        Command::Init(request) => request.run(place),
        Command::Bundle(request) => request.run(initialized(place)?),
        Command::Save => device::save(initialized(place)?),
        Command::Load(request) => request.run(place),
        Command::ProcessBundle(request) => request.run(initialized(place)?),
        Command::Encrypt(request) => request.run(initialized(place)?),
        Command::Decrypt(request) => request.run(initialized(place)?),
        Command::Archive(remote) => session::archive(&remote, initialized(place)?),
        Command::HasCurrent(request) => request.run(initialized(place)?),
        Command::ParseSignal(request) => request.run(),
        Command::SkdmCreate(request) => request.run(initialized(place)?),
        Command::SkdmProcess(request) => request.run(initialized(place)?),
        Command::GroupEncrypt(request) => request.run(initialized(place)?),
        Command::GroupDecrypt(request) => request.run(initialized(place)?),
        Command::Fingerprint(request) => request.run(),
        Command::Dem(request) => request.run(),
        Command::DemParse(request) => request.run(),
        Command::DemExtract(request) => request.run(),
        Command::RatchetMatch(request) => request.run(initialized(place)?),
        Command::FpCompare(request) => request.run(),
        Command::ServerCert(request) => request.run(),
        Command::SenderCert(request) => request.run(),
        Command::CertValidate(request) => request.run(),
        Command::Usmc(request) => request.run(initialized(place)?),
        Command::UsmcParse(request) => request.run(),
        Command::SsEncryptUsmc(request) => request.run(initialized(place)?),
        Command::SsMulti(request) => request.run(initialized(place)?),
        Command::SsMultiSingle(request) => request.run(),
        Command::SsDecryptUsmc(request) => request.run(initialized(place)?),
        Command::SsDecrypt(request) => request.run(initialized(place)?),
    }
}

fn initialized(place: &mut Option<Device>) -> Result<&mut Device, Failure> {
    place.as_mut().ok_or_else(Failure::no_device)
}

/// The other device, which most requests name.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Remote {
    remote: String,
    remote_dev: u32,
}

impl Remote {
    fn address(&self) -> Result<Address, Failure> {
        Ok(Address::new(&self.remote, DeviceId::new(self.remote_dev)?))
    }
}

/// [`SessionPolicy`] by name.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Policy {
    #[default]
    Triple,
    Pqxdh,
    X3dh,
}

impl Policy {
    pub(crate) fn of(policy: SessionPolicy) -> Self {
        match policy {
            SessionPolicy::Pqxdh => Self::Pqxdh,
            SessionPolicy::X3dh => Self::X3dh,
            _ => Self::Triple,
        }
    }
}

impl From<Policy> for SessionPolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Triple => Self::TripleRatchet,
            Policy::Pqxdh => Self::Pqxdh,
            Policy::X3dh => Self::X3dh,
        }
    }
}
