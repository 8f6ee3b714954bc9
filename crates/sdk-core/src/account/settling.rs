//! Compares our device list with the devices that the relay has, on the primary device: links that are done are forgotten, companions that
//! the relay does not have and will not get leave the list, and devices that are not on it are revoked.

use sealpost_protocol::device::DeviceEntry;
use sealpost_wire as wire;

use super::own_devices::{remove_all, revoke};
use super::own_list::own_list;
use super::{device_list, tokens};
use crate::context::Context;
use crate::error::Result;
use crate::id::DeviceId;
use crate::store::LinkState;

/// A companion whose token expired this long ago, by the relay's time, is not registered any more.
const GRACE_MS: u64 = 60_000;

/// Asks the relay for our devices, and settles what differs.
///
/// # Errors
/// Something is still to be done.
pub(super) async fn settle(ctx: &Context) -> Result<()> {
    let asked = tokens::with_access(ctx, |http, token| async move { http.devices(&token).await });
    let gone = compare(ctx, asked.await?).await?;
    if !gone.is_empty() {
        remove_all(ctx, gone).await?;
        device_list::tell(ctx).await?;
    }
    revoke(ctx).await
}

/// Forgets the links that are done, and returns the companions on the list that the relay does not have and will not get.
async fn compare(ctx: &Context, known: wire::DeviceList) -> Result<Vec<DeviceId>> {
    let now_ms = ctx.server_now_ms();
    let work = ctx.store.write(move |tx| {
        let (_, list) = own_list(tx)?;
        let links = tx.own_links()?;
        let is_live = |entry: &DeviceEntry| {
            let mut live = known.devices.iter();
            live.any(|device| {
                device.device_id == entry.device.get()
                    && device.identity_key[..] == entry.identity.serialize()
            })
        };
        let mut gone = Vec::new();
        for entry in list.devices().iter().filter(|entry| !entry.is_primary) {
            let link = links.iter().find(|own| own.device.get() == entry.device.get());
            let is_late = link.is_some_and(|own| own.until_ms.saturating_add(GRACE_MS) < now_ms);
            match link {
                Some(own) if is_live(entry) => tx.delete_own_link(&own.link)?,
                _ if is_live(entry) => {}
                // One that the relay has lost, because it was restored from a backup, registers itself again.
                _ if is_late || known.revoked.contains(&entry.device.get()) => {
                    gone.push(DeviceId::new(entry.device.get())?);
                }
                _ => {}
            }
        }
        for own in links.iter().filter(|own| own.state == LinkState::Begun && own.until_ms < now_ms) {
            tx.delete_own_link(&own.link)?;
            tx.revoke_later(own.device)?;
        }
        // Whoever has seen a code can register with the token of the offer before the person has decided, and a relay can name any
        // device.
        for device in known.devices.iter().map(|device| device.device_id) {
            let is_listed = list.devices().iter().any(|entry| entry.device.get() == device);
            let is_awaited = links.iter().any(|own| own.device.get() == device);
            if let (false, false, Ok(device)) = (is_listed, is_awaited, DeviceId::new(device)) {
                tx.revoke_later(device)?;
            }
        }
        Ok(gone)
    });
    work.await
}
