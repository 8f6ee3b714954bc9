//! The devices of the account.

use std::fmt;
use std::sync::Arc;

use sealpost_core as core;

use super::Client;
use crate::{CancelToken, DeviceId, LinkProgress, Result, SealpostError, millis, runtime};

/// Which messages from before it was linked a companion gets. Chats, contacts and settings it gets in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum SharedHistory {
    /// None.
    Nothing,
    /// Those that the relay has stored in the last days.
    LastDays {
        /// The number of days.
        days: u32,
    },
    /// All that are on the primary device.
    Everything,
}

impl From<SharedHistory> for core::SharedHistory {
    fn from(history: SharedHistory) -> Self {
        match history {
            SharedHistory::Nothing => Self::Nothing,
            SharedHistory::LastDays { days } => Self::LastDays(days),
            SharedHistory::Everything => Self::Everything,
        }
    }
}

/// A device of the account.
#[derive(Clone, PartialEq, Eq, Hash, uniffi::Record)]
#[uniffi::export(Debug, Eq, Hash)]
pub struct OwnDevice {
    /// Its number.
    pub id: DeviceId,
    /// The name that the person has given it. Names are not part of the list that the account signs.
    #[uniffi(default = None)]
    pub name: Option<String>,
    /// Whether it is the device that links and removes the others.
    #[uniffi(default = false)]
    pub is_primary: bool,
    /// Whether it is this device.
    #[uniffi(default = false)]
    pub is_this: bool,
    /// When it was added by the clock of the primary device, in milliseconds since the Unix epoch.
    #[uniffi(default = 0)]
    pub added_ms: i64,
}

impl From<core::OwnDevice> for OwnDevice {
    fn from(own: core::OwnDevice) -> Self {
        let added_ms = millis(own.added_ms);
        Self { id: own.id, name: own.name, is_primary: own.is_primary, is_this: own.is_this, added_ms }
    }
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for OwnDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnDevice({}, ..)", self.id)
    }
}

#[uniffi::export]
impl Client {
    /// The number of this device among the devices of the account.
    pub fn device_id(&self) -> Result<DeviceId> {
        Ok(self.core.device_id())
    }

    /// The devices of this account, in the order of their numbers.
    ///
    /// Throws `Unauthorized` if the account was left, and `Storage`.
    pub async fn devices(&self) -> Result<Vec<OwnDevice>> {
        let core = self.core.clone();
        let devices = runtime::run(async move { Ok(core.devices().await?) }).await?;
        Ok(devices.into_iter().map(OwnDevice::from).collect())
    }

    /// Answers the code that a new device shows (`Linking.code`), and waits for its answer. White space around the code and the case of
    /// its letters do not matter. Nothing is changed before the person confirms (`PendingLink.confirm`). The call can be repeated with
    /// the same code.
    ///
    /// Throws `InvalidCode` if it is none, `Link`, `Offline`, `Cancelled`, and `Storage`.
    #[uniffi::method(default(cancel = None))]
    pub async fn link(&self, code: String, cancel: Option<Arc<CancelToken>>) -> Result<Arc<PendingLink>> {
        let code: core::LinkCode = code
            .parse()
            .map_err(|error: core::CodeError| SealpostError::InvalidCode { reason: error.into() })?;
        let core = self.core.clone();
        let read = async move { Ok(Arc::new(PendingLink { core: core.link(&code).await? })) };
        runtime::run_until(cancel, read).await
    }

    /// How far the history is that new companions get and that has not come completely: on the primary device for each of them, on a
    /// companion for itself. `Event.LinkProgress` says when that changes.
    ///
    /// Throws `Unauthorized` if the account was left, and `Storage`.
    pub async fn link_progress(&self) -> Result<Vec<LinkProgress>> {
        let core = self.core.clone();
        let unfinished = runtime::run(async move { Ok(core.link_progress().await?) }).await?;
        Ok(unfinished.into_iter().map(LinkProgress::from).collect())
    }

    /// Names a device of the account. Only the own devices know the names.
    ///
    /// Throws `Link` with `Name` if the name is empty or has more than 256 bytes, `NotFound`, and `Storage`.
    pub async fn rename_device(&self, device: DeviceId, name: String) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.rename_device(device, &name).await?) }).await
    }

    /// Removes a companion from the account. From now on nothing is encrypted for it, and nothing that it sends is shown. The relay
    /// closes its connection and deletes its mailbox as soon as it can be told. A companion leaves the account with `log_out`.
    ///
    /// Throws `Link` with `NotPrimary` on a companion, or for the primary device; `NotFound`; and `Storage`.
    pub async fn remove_device(&self, device: DeviceId) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.remove_device(device).await?) }).await
    }

    /// Moves the account to a companion, which becomes the primary device with an account key of its own; this device and the other ones
    /// remain companions. The companion is asked, and the account is moved once it has answered, which is reported on all devices of the
    /// account and to all contacts (`Event.AccountMoved`). Safety numbers change: contacts who have compared theirs send nothing before
    /// they have accepted the change. Nothing can be linked until then. The call can be repeated.
    ///
    /// Throws `Link` with `NotPrimary` on a companion, and with `Busy` while a companion is being linked or gets what it has missed, or
    /// while the account is being moved to another one; `NotFound` if there is no such companion; and `Storage`.
    pub async fn move_account(&self, device: DeviceId) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.move_account(device).await?) }).await
    }

    /// The companion to which the account is to be moved, as long as it has not answered.
    ///
    /// Throws `Unauthorized` if the account was left, and `Storage`.
    pub async fn pending_move(&self) -> Result<Option<DeviceId>> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.pending_move().await?) }).await
    }

    /// Calls a move off that has not taken place.
    ///
    /// Throws `Link` with `NotPrimary` if it has taken place, or on a companion; and `Storage`.
    pub async fn cancel_move(&self) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.cancel_move().await?) }).await
    }
}

/// A companion that has answered, and waits for the person.
///
/// Show the digits and the name, and ask the person whether the other device shows the same digits. Codes that somebody else has sent to
/// the person are the commonest attack: say that the code must be on the person's own new device.
#[derive(Debug, uniffi::Object)]
pub struct PendingLink {
    core: core::PendingLink,
}

#[uniffi::export]
impl PendingLink {
    /// The digits that both devices show: two groups of four.
    pub fn digits(&self) -> Result<String> {
        Ok(self.core.digits().to_string())
    }

    /// The name that the companion suggests, as it can be shown in one line.
    pub fn name(&self) -> Result<String> {
        Ok(self.core.name())
    }

    /// The person has compared the digits: the companion becomes a device of the account, with this name, and gets the chats, contacts
    /// and settings, and the messages that the person has chosen, in the background; `Event.LinkProgress` says how far that is. The call
    /// can be repeated; the first one counts.
    ///
    /// Throws `Link` and `Storage`.
    pub async fn confirm(self: Arc<Self>, name: String, history: SharedHistory) -> Result<DeviceId> {
        runtime::run(async move { Ok(self.core.confirm(&name, history.into()).await?) }).await
    }

    /// The person has refused. The companion is told.
    ///
    /// Throws `WrongState` after `confirm`, and `Storage`.
    pub async fn cancel(self: Arc<Self>) -> Result<()> {
        runtime::run(async move { Ok(self.core.cancel().await?) }).await
    }
}
