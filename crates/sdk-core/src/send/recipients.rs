//! Station 4, Address: for which devices, and whether at all.

use sealpost_protocol::{SessionPolicy, UnixSeconds};

use crate::contact;
use crate::error::Result;
use crate::id::DeviceId;
use crate::message::FailReason;
use crate::store::{Device, PeerSessions, Rows, Thread};

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

/// The devices of the thread's other member. (Our own others come with device linking.)
pub(super) fn recipients(
    rows: &Rows<'_>,
    thread: &Thread,
    policy: SessionPolicy,
    now: UnixSeconds,
) -> Result<Recipients> {
    if let Err(reason) = contact::check(rows, thread.peer)? {
        return Ok(Recipients::Blocked(reason));
    }
    let devices = rows.devices(thread.peer)?;
    if devices.is_empty() {
        return Ok(Recipients::Unknown);
    }
    let mut ready = Vec::with_capacity(devices.len());
    for device in devices {
        let sessions = rows.sessions(device.user, device.device)?;
        // An old session may have been revived by a late message: nothing is sealed for a key that was replaced.
        let is_theirs = sessions.record.remote_identity() == Some(&device.identity);
        if !is_theirs || !sessions.record.usable_for_sending(policy, now) {
            return Ok(Recipients::NoSession(device.device));
        }
        ready.push((device, sessions));
    }
    Ok(Recipients::Ready(ready))
}
