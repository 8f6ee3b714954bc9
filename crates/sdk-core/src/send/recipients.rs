//! Station 4, Address: for which devices, and whether at all.

use crate::contact;
use crate::error::Result;
use crate::id::DeviceId;
use crate::message::FailReason;
use crate::store::{Device, PeerSessions, Registered, Rows, Thread};

/// Whom an entry is to be sealed for.
pub(super) enum Recipients {
    /// These, all of which have a session.
    Ready(Vec<(Device, PeerSessions)>),
    /// The peer has no devices that we know of.
    Unknown,
    /// A device has no session that can be used for sending.
    NoSession(DeviceId),
    /// Nothing is sealed for this contact now.
    Blocked(FailReason),
}

/// The devices of the thread's other member, and our own others.
pub(super) fn recipients(
    rows: &Rows<'_>,
    thread: &Thread,
    us: Registered,
    now: sealpost_protocol::UnixSeconds,
) -> Result<Recipients> {
    if let Err(reason) = contact::check(rows, thread.peer)? {
        return Ok(Recipients::Blocked(reason));
    }
    let theirs = rows.devices(thread.peer)?;
    if theirs.is_empty() {
        return Ok(Recipients::Unknown);
    }
    let ours = rows.devices(us.user)?.into_iter().filter(|device| device.device != us.device);
    let mut ready = Vec::new();
    for device in theirs.into_iter().chain(ours) {
        let sessions = rows.sessions(device.user, device.device)?;
        if !sessions.record.usable_for_sending(now) {
            return Ok(Recipients::NoSession(device.device));
        }
        ready.push((device, sessions));
    }
    Ok(Recipients::Ready(ready))
}
