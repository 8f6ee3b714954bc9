//! Our own device list, on the device that can sign it.

use rand::rngs::StdRng;
use sealpost_protocol::device::{DeviceEntry, VerifiedDeviceList};

use super::device_list;
use crate::error::{Error, LinkFailure, Result};
use crate::store::{Registered, Rows, Tx};

/// Our list, on the device that can sign it.
pub(super) fn own_list(rows: &Rows<'_>) -> Result<(Registered, VerifiedDeviceList)> {
    let (_, us) = rows.our_account()?;
    let list = rows.device_list(us.user)?.ok_or(Error::Link(LinkFailure::NotPrimary))?;
    if rows.holds_account_key()? { Ok((us, list)) } else { Err(LinkFailure::NotPrimary.into()) }
}

/// Signs the list that follows ours.
pub(super) fn sign(
    tx: &mut Tx<'_>,
    us: Registered,
    list: &VerifiedDeviceList,
    mut devices: Vec<DeviceEntry>,
    rng: &mut StdRng,
) -> Result<()> {
    let key = tx.account_key()?;
    devices.sort_by_key(|entry| entry.device);
    device_list::store(tx, us, (&key, Some(list)), (list.version().saturating_add(1), devices), rng)?;
    Ok(())
}
