//! Station 4, Address: the devices to seal for, and whether anything may be sent at all.

use sealpost_protocol::{SessionPolicy, UnixSeconds};

use crate::contact;
use crate::error::Result;
use crate::id::DeviceId;
use crate::message::FailReason;
use crate::store::{Device, PeerSessions, Rows, Thread};

/// The recipients of an entry.
pub(super) enum Recipients {
    /// These devices, all of which have a session.
    Ready(Vec<(Device, PeerSessions)>),
    /// The peer has no known devices.
    Unknown,
    /// A device has no session that can be used for sending.
    NoSession(DeviceId),
    /// Nothing may be sealed for this contact now.
    Blocked(FailReason),
}

/// The devices of the thread's other member. (Our own other devices will be added with device linking.)
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
        // A late message may have reactivated an old session; nothing is sealed for a key that was replaced.
        let is_theirs = sessions.record.remote_identity() == Some(&device.identity);
        if !is_theirs || !sessions.record.usable_for_sending(policy, now) {
            return Ok(Recipients::NoSession(device.device));
        }
        ready.push((device, sessions));
    }
    Ok(Recipients::Ready(ready))
}
