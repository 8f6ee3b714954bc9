//! Station 4, Address: decides what to do for each device that a content is sent to. The decision does no I/O; its
//! input is read from the store.

use sealpost_protocol::{SessionPolicy, UnixSeconds};

use crate::contact;
use crate::context::{Context, Skipped};
use crate::error::Result;
use crate::id::{DeviceId, UserId};
use crate::message::FailReason;
use crate::store::{Device, PeerSessions, Rows, Thread};

/// Whether a device can be sealed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readiness {
    /// It has a usable session.
    Ready,
    /// It has no usable session.
    NoSession,
    /// It has no usable session, and its keys were found invalid recently.
    BadKeys,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// Seal for the devices that are ready, and skip the others.
    Seal { ready: Vec<DeviceId>, skip: Vec<DeviceId> },
    /// Start sessions with these devices first.
    Meet(Vec<DeviceId>),
    /// Fetch the user's devices and start a session with each first.
    MeetAll,
}

/// Decides what to do for a content, given the devices that it is sent to. A device with invalid keys never delays
/// the others, but at least one device must be sealed for.
pub(super) fn plan(devices: &[(DeviceId, Readiness)]) -> Plan {
    let which = |readiness| {
        let these = devices.iter().filter(move |(_, other)| *other == readiness);
        these.map(|(device, _)| *device).collect::<Vec<_>>()
    };
    let (ready, meet, bad) =
        (which(Readiness::Ready), which(Readiness::NoSession), which(Readiness::BadKeys));
    match (ready.is_empty(), meet.is_empty(), bad.is_empty()) {
        (_, false, _) => Plan::Meet(meet),
        (false, true, _) => Plan::Seal { ready, skip: bad },
        (true, true, false) => Plan::Meet(bad),
        (true, true, true) => Plan::MeetAll,
    }
}

/// The devices that a content is sealed for.
pub(super) struct Recipients {
    /// The devices with a session.
    pub(super) ready: Vec<(Device, PeerSessions)>,
    /// The devices that get a copy which cannot be decrypted: the relay only accepts a message that has a copy for
    /// every device.
    pub(super) skip: Vec<Skipped>,
}

/// What to do before a content can be sealed.
pub(super) enum Addressed {
    Ready(Recipients),
    /// Start sessions with these devices first, or with all if none is named.
    Meet(Vec<DeviceId>),
    /// Nothing can be sealed for this contact at present.
    Blocked(FailReason),
}

/// The current devices of the thread's other member. (Our own other devices will be added with device linking.)
pub(super) fn address(
    ctx: &Context,
    rows: &Rows<'_>,
    thread: &Thread,
    now: UnixSeconds,
) -> Result<Addressed> {
    if let Err(reason) = contact::check(rows, thread.peer)? {
        return Ok(Addressed::Blocked(reason));
    }
    let skipped = ctx.skipped.of(thread.peer, now);
    let (mut with_session, mut devices) = (Vec::new(), Vec::new());
    for (device, sessions) in load(rows, thread.peer)? {
        if is_ready(&device, &sessions, ctx.policy, now) {
            devices.push((device.device, Readiness::Ready));
            with_session.push((device, sessions));
        } else if !skipped.iter().any(|skipped| skipped.device == device.device) {
            devices.push((device.device, Readiness::NoSession));
        }
    }
    let is_known = |skipped: &Skipped| devices.iter().any(|(device, _)| *device == skipped.device);
    let bad: Vec<_> = skipped.into_iter().filter(|skipped| !is_known(skipped)).collect();
    devices.extend(bad.iter().map(|skipped| (skipped.device, Readiness::BadKeys)));
    Ok(match plan(&devices) {
        Plan::Seal { .. } => Addressed::Ready(Recipients { ready: with_session, skip: bad }),
        Plan::Meet(devices) => Addressed::Meet(devices),
        Plan::MeetAll => Addressed::Meet(Vec::new()),
    })
}

/// Whether at least one device of this user can be sealed for.
pub(super) fn has_ready(
    rows: &Rows<'_>,
    user: UserId,
    policy: SessionPolicy,
    now: UnixSeconds,
) -> Result<bool> {
    Ok(load(rows, user)?.iter().any(|(device, sessions)| is_ready(device, sessions, policy, now)))
}

fn load(rows: &Rows<'_>, user: UserId) -> Result<Vec<(Device, PeerSessions)>> {
    let devices = rows.devices(user)?.into_iter();
    devices.map(|device| Ok((device, rows.sessions(device.user, device.device)?))).collect()
}

fn is_ready(device: &Device, sessions: &PeerSessions, policy: SessionPolicy, now: UnixSeconds) -> bool {
    // A late message may have reactivated an old session. Nothing is sealed for an identity key that has been
    // replaced.
    let is_theirs = sessions.record.remote_identity() == Some(&device.identity);
    is_theirs && sessions.record.usable_for_sending(policy, now)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn device(number: u32) -> DeviceId {
        DeviceId::new(number).unwrap()
    }

    #[test]
    fn sessions_with_all_devices_are_started_together_before_anything_is_sealed() {
        let (one, two, three) = (device(1), device(2), device(3));
        let devices = [(one, Readiness::Ready), (two, Readiness::NoSession), (three, Readiness::NoSession)];
        assert_eq!(plan(&devices), Plan::Meet(vec![two, three]));
        assert_eq!(plan(&[]), Plan::MeetAll);
    }

    #[test]
    fn a_device_with_invalid_keys_is_skipped_unless_it_is_the_only_one() {
        let (one, two) = (device(1), device(2));
        let devices = [(one, Readiness::BadKeys), (two, Readiness::Ready)];
        assert_eq!(plan(&devices), Plan::Seal { ready: vec![two], skip: vec![one] });
        assert_eq!(plan(&devices[..1]), Plan::Meet(vec![one]));
    }

    proptest! {
        #[test]
        fn each_device_is_sealed_for_contacted_or_skipped(readiness in prop::collection::vec(0..3_u8, 0..8)) {
            let devices: Vec<_> = readiness.iter().zip(1..).map(|(readiness, number)| {
                let readiness = match readiness {
                    0 => Readiness::Ready,
                    1 => Readiness::NoSession,
                    _ => Readiness::BadKeys,
                };
                (device(number), readiness)
            }).collect();
            let has = |readiness| devices.iter().any(|(_, other)| *other == readiness);
            let of = |readiness: Readiness| {
                devices.iter().filter(|(_, other)| *other == readiness).map(|(device, _)| *device).collect::<Vec<_>>()
            };
            match plan(&devices) {
                Plan::Seal { ready, skip } => {
                    prop_assert!(!ready.is_empty() && !has(Readiness::NoSession));
                    prop_assert_eq!(ready, of(Readiness::Ready));
                    prop_assert_eq!(skip, of(Readiness::BadKeys));
                }
                Plan::Meet(meet) if has(Readiness::NoSession) => prop_assert_eq!(meet, of(Readiness::NoSession)),
                Plan::Meet(meet) => {
                    prop_assert!(!has(Readiness::Ready));
                    prop_assert_eq!(meet, of(Readiness::BadKeys));
                }
                Plan::MeetAll => prop_assert!(devices.is_empty()),
            }
        }
    }
}
