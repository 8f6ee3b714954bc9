//! The commands, by theme: what each is asked, and what it does.
//!
//! | Theme | Commands |
//! |---|---|
//! | [`device`] | `version`, `init`, `bundle`, `save`, `load` |
//! | [`session`] | `processBundle`, `encrypt`, `decrypt`, `archive`, `hasCurrent`, `parseSignal` |
//! | [`group`] | `skdmCreate`, `skdmProcess`, `groupEncrypt`, `groupDecrypt` |

mod device;
mod group;
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
}

/// Runs one command, and gives what stands behind `r`.
pub(crate) fn run(command: Command, place: &mut Option<Device>) -> Result<Value, Failure> {
    match command {
        Command::Version => return Ok(device::version()),
        Command::Init(request) => return request.run(place),
        Command::Load(request) => return request.run(place),
        Command::ParseSignal(request) => return request.run(),
        _ => {}
    }
    let device = place.as_mut().ok_or_else(Failure::no_device)?;
    match command {
        Command::Bundle(request) => request.run(device),
        Command::Save => device::save(device),
        Command::ProcessBundle(request) => request.run(device),
        Command::Encrypt(request) => request.run(device),
        Command::Decrypt(request) => request.run(device),
        Command::Archive(remote) => session::archive(&remote, device),
        Command::HasCurrent(request) => request.run(device),
        Command::SkdmCreate(request) => request.run(device),
        Command::SkdmProcess(request) => request.run(device),
        Command::GroupEncrypt(request) => request.run(device),
        Command::GroupDecrypt(request) => request.run(device),
        Command::Version | Command::Init(_) | Command::Load(_) | Command::ParseSignal(_) => {
            Err(Failure::new("bug", "a command without a device came through"))
        }
    }
}

/// The other device, in most requests.
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
