//! The devices of the account.

use std::fmt;

use sealpost_protocol::device::link::{LinkCode, ShortCode};

use super::Client;
use crate::account::companions::{self, Waiting};
use crate::account::{bootstrap, device_upkeep, moving, own_devices};
use crate::content::{MAX_DEVICE_NAME, StateKey};
use crate::context::Context;
use crate::error::{Error, LinkFailure, Result};
use crate::event::LinkProgress;
use crate::id::DeviceId;
use crate::name::displayable_name;
use crate::store::Rows;

const DAY_MS: u64 = 24 * 3_600_000;

/// Which messages from before it was linked a companion gets. Chats, contacts and settings it gets in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SharedHistory {
    /// None.
    #[default]
    Nothing,
    /// Those that the relay has stored in this number of days.
    LastDays(u32),
    /// All that are on the primary device.
    Everything,
}

impl SharedHistory {
    /// From when on the messages were stored, by server time.
    fn since_ms(self, now_ms: u64) -> Option<u64> {
        match self {
            Self::Nothing => None,
            Self::LastDays(days) => Some(now_ms.saturating_sub(u64::from(days).saturating_mul(DAY_MS))),
            Self::Everything => Some(0),
        }
    }
}

/// A device of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnDevice {
    /// Its number.
    pub id: DeviceId,
    /// The name that the person has given it. Names are not part of the list that the account signs.
    pub name: Option<String>,
    /// Whether it is the device that links and removes the others.
    pub is_primary: bool,
    /// Whether it is this device.
    pub is_this: bool,
    /// When it was added by the clock of the primary device, in milliseconds since 1970.
    pub added_ms: u64,
}

/// A companion that has answered, and waits for the person.
///
/// Show the [`digits`](Self::digits) and the name, and ask the person whether the other device shows the same digits. Codes that somebody else
/// has sent to the person are the commonest attack: say that the code must be on the person's own new device.
pub struct PendingLink {
    client: Client,
    waiting: Waiting,
}

impl Client {
    /// The devices of this account, in the order of their numbers.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Unauthorized`] if the account was left.
    pub async fn devices(&self) -> Result<Vec<OwnDevice>> {
        self.inner.ctx.store.read(list).await
    }

    /// Answers the code that a new device shows, and waits for its answer. Nothing is changed before the person
    /// [confirms](PendingLink::confirm). It can be repeated with the same code.
    ///
    /// # Errors
    /// [`Error::Link`], [`Error::Offline`], [`Error::Storage`].
    pub async fn link(&self, code: &LinkCode) -> Result<PendingLink> {
        let code = LinkCode::parse(&code.to_bytes()).map_err(|_| Error::Bug("a code is damaged"))?;
        let scan = move |ctx: Context| async move { with_room(&ctx, || companions::scan(&ctx, &code)).await };
        let waiting = self.finish(scan).await?;
        Ok(PendingLink { client: self.clone(), waiting })
    }

    /// Names a device of the account, on all devices of the account. Nobody else knows the names.
    ///
    /// # Errors
    /// [`Error::Link`] with [`Name`](LinkFailure::Name), [`Error::NotFound`], [`Error::Storage`].
    pub async fn rename_device(&self, device: DeviceId, name: &str) -> Result<()> {
        let name = checked_name(name)?;
        let work = move |tx: &mut crate::store::Tx<'_>| {
            if !list(tx)?.iter().any(|own| own.id == device) {
                return Err(Error::NotFound);
            }
            tx.rename_device(device, &name)?;
            tx.note_state(StateKey::DeviceName(device))
        };
        self.inner.ctx.store.write(work).await
    }

    /// How far the history is that new companions get and that has not come completely: on the primary device for each of them, on a companion for
    /// itself. [`Event::LinkProgress`](crate::Event::LinkProgress) says when that changes.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Unauthorized`] if the account was left.
    pub async fn link_progress(&self) -> Result<Vec<LinkProgress>> {
        self.inner.ctx.store.read(bootstrap::unfinished).await
    }

    /// Removes a companion from the account. From now on nothing is encrypted for it, and nothing that it sends is shown. The relay
    /// closes its connection and deletes its mailbox as soon as it can be told.
    ///
    /// # Errors
    /// [`Error::Link`] with [`NotPrimary`](LinkFailure::NotPrimary) on a companion, or for the primary device; [`Error::NotFound`];
    /// [`Error::Storage`].
    pub async fn remove_device(&self, device: DeviceId) -> Result<()> {
        self.finish(move |ctx| async move { own_devices::remove(&ctx, device).await }).await
    }
}

impl Client {
    /// Moves the account to a companion, which becomes the primary device with an account key of its own; this device and the other ones remain
    /// companions. The companion is asked, and the account is moved once it has answered, which is reported on all devices of the account and
    /// to all contacts ([`Event::AccountMoved`](crate::Event::AccountMoved)). Safety numbers change: contacts who have compared theirs send nothing
    /// before they have accepted the change. Nothing can be linked until then. The call can be repeated.
    ///
    /// # Errors
    /// [`Error::Link`] with [`NotPrimary`](LinkFailure::NotPrimary) on a companion, and [`Busy`](LinkFailure::Busy) while a companion is being linked or
    /// gets what it has missed, or while the account is being moved to another one; [`Error::NotFound`] if there is no such companion;
    /// [`Error::Storage`].
    pub async fn move_account(&self, device: DeviceId) -> Result<()> {
        self.finish(move |ctx| async move { moving::begin(&ctx, device).await }).await
    }

    /// The companion to which the account is to be moved, as long as it has not answered.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Unauthorized`] if the account was left.
    pub async fn pending_move(&self) -> Result<Option<DeviceId>> {
        self.inner.ctx.store.read(moving::pending).await
    }

    /// Calls a move off that has not taken place.
    ///
    /// # Errors
    /// [`Error::Link`] with [`NotPrimary`](LinkFailure::NotPrimary) if it has taken place, or on a companion; [`Error::Storage`].
    pub async fn cancel_move(&self) -> Result<()> {
        self.finish(|ctx| async move { moving::cancel(&ctx).await }).await
    }
}

impl PendingLink {
    /// The digits that both devices show.
    pub fn digits(&self) -> ShortCode {
        self.waiting.digits
    }

    /// The name that the companion suggests, without control characters.
    pub fn name(&self) -> String {
        displayable_name(&self.waiting.name)
    }

    /// The person has compared the digits: the companion becomes a device of the account, with this name, and gets the chats, contacts and
    /// settings, and the messages that the person has chosen, in the background; [`Event::LinkProgress`](crate::Event::LinkProgress) says how
    /// far that is. The call can be repeated; the first one counts.
    ///
    /// # Errors
    /// [`Error::Link`], [`Error::Storage`].
    pub async fn confirm(&self, name: &str, history: SharedHistory) -> Result<DeviceId> {
        let (link, name) = ((self.waiting.link, self.waiting.device), checked_name(name)?);
        let since_ms = history.since_ms(self.client.inner.ctx.server_now_ms());
        let work = move |ctx: Context| async move {
            with_room(&ctx, || companions::confirm(&ctx, link, name.clone(), since_ms)).await
        };
        self.client.finish(work).await
    }

    /// The person has refused. The companion is told.
    ///
    /// # Errors
    /// [`Error::WrongState`] after [`confirm`](Self::confirm), [`Error::Storage`].
    pub async fn cancel(&self) -> Result<()> {
        let link = self.waiting.link;
        self.client.finish(move |ctx| async move { companions::cancel(&ctx, link).await }).await
    }
}

impl fmt::Debug for PendingLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingLink(..)")
    }
}

/// Does it again if there are too many devices and one of them may be gone: a companion that has left is on the list until this device looks.
async fn with_room<T, F: Future<Output = Result<T>>>(ctx: &Context, work: impl Fn() -> F) -> Result<T> {
    match work().await {
        Err(Error::Link(LinkFailure::TooManyDevices)) => {
            device_upkeep::keep_up(ctx).await?;
            work().await
        }
        outcome => outcome,
    }
}

pub(super) fn checked_name(name: &str) -> Result<String> {
    let name = displayable_name(name);
    if name.is_empty() || name.len() > MAX_DEVICE_NAME {
        return Err(LinkFailure::Name.into());
    }
    Ok(name)
}

fn list(rows: &Rows<'_>) -> Result<Vec<OwnDevice>> {
    let (_, us) = rows.our_account()?;
    let Some(list) = rows.device_list(us.user)? else {
        // From before device lists, and not connected since.
        let (id, name) = (us.device, rows.device_name(us.device)?);
        return Ok(vec![OwnDevice { id, name, is_primary: true, is_this: true, added_ms: 0 }]);
    };
    let own = list.devices().iter().map(|entry| {
        let id = DeviceId::new(entry.device.get())?;
        let (name, is_this) = (rows.device_name(id)?, id == us.device);
        Ok(OwnDevice { id, name, is_primary: entry.is_primary, is_this, added_ms: entry.added_ms })
    });
    own.collect()
}
