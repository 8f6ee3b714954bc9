//! Which devices an account has: those on the list that it has signed, never those that the relay names. This holds for our own other
//! devices as for those of contacts, but our account key is known, and no other one replaces it.
//!
//! Once a list of an account is known, only a later one of the same account key replaces it, or one of an account key that is new: of our own
//! account, only if the known key has named it as its successor. An account that has shown no list is from before device lists: it has its first device, whose identity key is its account key.

use sealpost_protocol::IdentityKey;
use sealpost_protocol::device::{SignedDeviceList, Succession, VerifiedDeviceList};

use crate::error::Result;
use crate::event::Event;
use crate::id::{DeviceId, UserId};
use crate::store::{Rows, Tx};

/// The devices that a contact has.
pub(crate) enum Devices {
    /// The account has shown no list.
    First,
    Listed(VerifiedDeviceList),
    /// The list that was shown does not verify, or contradicts the known one.
    Refused,
}

impl Devices {
    /// Whether a device with this identity key is one of them.
    pub(crate) fn has(&self, device: DeviceId, identity: &IdentityKey) -> bool {
        match self {
            Self::First => device == DeviceId::PRIMARY,
            Self::Listed(list) => {
                let mut entries = list.devices().iter();
                entries.any(|entry| entry.device.get() == device.get() && entry.identity == *identity)
            }
            Self::Refused => false,
        }
    }
}

/// What becomes of a list that somebody has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// The known list remains.
    Keep,
    /// It replaces the known one.
    Adopt,
    /// It is signed by an account key that was replaced. The known list remains.
    Replaced,
    /// The known list and this one cannot both be from an honest account.
    Stop,
}

fn decide(known: Option<&VerifiedDeviceList>, shown: &VerifiedDeviceList, was_replaced: bool) -> Decision {
    if known.is_some_and(|known| is_before_move(known, shown)) {
        return Decision::Keep;
    }
    if was_replaced {
        return Decision::Replaced;
    }
    match known.map(|known| known.known().succession(shown)) {
        None | Some(Succession::Newer | Succession::Moved | Succession::OtherAccountKey) => Decision::Adopt,
        // An older one was on its way for long, or comes from a relay that was restored.
        Some(Succession::Same | Succession::Older) => Decision::Keep,
        Some(Succession::Contradicts) => Decision::Stop,
    }
}

/// Whether a list is from before the account was moved: it was on its way for long, or comes from a relay that was restored.
pub(crate) fn is_before_move(known: &VerifiedDeviceList, shown: &VerifiedDeviceList) -> bool {
    known.moved_from(shown.account_key()).is_some_and(|version| shown.version() < version)
}

/// What a list that somebody has shown means, before it is stored.
pub(crate) struct Examined {
    pub(crate) devices: Devices,
    user: UserId,
    known: Option<VerifiedDeviceList>,
    /// Whether the list replaces the known one.
    is_new: bool,
}

impl Examined {
    /// Whether no list of the user is known.
    pub(crate) const fn is_first(&self) -> bool {
        self.known.is_none()
    }

    /// Stores the list if it replaces the known one. The first list of an account is stored only if one of its devices `is_met`. Returns the
    /// devices that were removed with their sessions, because they are not on it.
    pub(crate) fn store(&self, tx: &mut Tx<'_>, is_met: bool) -> Result<Vec<DeviceId>> {
        match &self.devices {
            Devices::Listed(list) if self.is_new && (is_met || self.known.is_some()) => {
                tx.adopt_list(self.user, self.known.as_ref(), list)
            }
            Devices::Listed(_) | Devices::First | Devices::Refused => Ok(Vec::new()),
        }
    }
}

/// The devices of a user, after the list that was shown, if any, has been verified and compared with the known one. A refused list is
/// reported.
pub(crate) fn examine(tx: &mut Tx<'_>, user: UserId, shown: Option<&[u8]>) -> Result<Examined> {
    examine_again(tx, user, shown, true)
}

/// Like [`examine`], but does not report a refused list unless `is_first`: the relay was asked before, and may have shown it then.
pub(crate) fn examine_again(
    tx: &mut Tx<'_>,
    user: UserId,
    shown: Option<&[u8]>,
    is_first: bool,
) -> Result<Examined> {
    let known = tx.device_list(user)?;
    let kept = |known: Option<VerifiedDeviceList>, without| {
        let devices = known.clone().map_or(without, Devices::Listed);
        Examined { devices, user, known, is_new: false }
    };
    let refused = |known| Examined { devices: Devices::Refused, user, known, is_new: false };
    let is_us = tx.is_us(user)?;
    let report = |tx: &mut Tx<'_>| {
        if is_first {
            tx.emit(Event::DeviceListRefused(user));
        }
    };
    let Some(shown) = shown else { return Ok(kept(known, Devices::First)) };
    let Some(shown) = verified(user, shown) else {
        tracing::warn!("a device list that does not verify was refused");
        report(tx);
        return Ok(refused(known));
    };
    let is_other = known.as_ref().is_none_or(|known| {
        known.known().succession(&shown) == Succession::OtherAccountKey && !is_before_move(known, &shown)
    });
    if is_us && is_other {
        tracing::warn!("a device list of another account key was shown as ours");
        report(tx);
        return Ok(refused(known));
    }
    let was_replaced = tx.was_account_key_replaced(user, shown.account_key())?;
    Ok(match decide(known.as_ref(), &shown, was_replaced) {
        Decision::Keep => kept(known, Devices::Refused),
        Decision::Adopt => Examined { devices: Devices::Listed(shown), user, known, is_new: true },
        Decision::Replaced => {
            report(tx);
            kept(known, Devices::Refused)
        }
        Decision::Stop => {
            tracing::warn!("two device lists of an account contradict each other");
            report(tx);
            refused(known)
        }
    })
}

/// What a message means that shows a list, or that is the first one of its sender.
pub(crate) struct Admission {
    /// Whether it comes from a device that its user has.
    pub(crate) is_admitted: bool,
    /// Whether another list is known now.
    pub(crate) is_changed: bool,
    /// The devices of the user that were removed with their sessions, because they are not on the list.
    pub(crate) removed: Vec<DeviceId>,
}

/// Whether a message comes from a device that its user has. `shown` is the list in its content. If that is the known one, it was verified
/// before.
pub(crate) fn admit(
    tx: &mut Tx<'_>,
    user: UserId,
    (device, identity): (DeviceId, &IdentityKey),
    shown: Option<&[u8]>,
) -> Result<Admission> {
    if is_known(tx, user, shown)? && tx.is_live(user, device, identity)? {
        return Ok(Admission { is_admitted: true, is_changed: false, removed: Vec::new() });
    }
    let examined = examine(tx, user, shown)?;
    let is_admitted = examined.devices.has(device, identity);
    let removed = examined.store(tx, is_admitted)?;
    Ok(Admission { is_admitted, is_changed: examined.is_new, removed })
}

/// Whether this is the list that is known. No list is known of an account that has shown none.
fn is_known(rows: &Rows<'_>, user: UserId, shown: Option<&[u8]>) -> Result<bool> {
    let known = rows.device_list_bytes(user)?;
    Ok(known.is_some() && (shown.is_none() || known.as_deref() == shown))
}

fn verified(user: UserId, list: &[u8]) -> Option<VerifiedDeviceList> {
    SignedDeviceList::parse(list).ok()?.verify(user.as_bytes()).ok()
}

#[cfg(test)]
mod tests;
