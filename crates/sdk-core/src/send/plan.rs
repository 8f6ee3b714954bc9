//! Station 4, Address: decides what to do for each device that a content is sent to. The decision does no I/O; its
//! input is read from the store.

use sealpost_protocol::{SessionPolicy, UnixSeconds};

use crate::contact;
use crate::context::{Skipped, SkippedDevices};
use crate::error::Result;
use crate::id::{DeviceId, ThreadId, UserId};
use crate::message::FailReason;
use crate::store::{Device, PeerSessions, Registered, Rows};

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

/// A member of a thread, and the devices of this user that are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) user: UserId,
    /// Whether these are our own other devices.
    pub(super) is_us: bool,
    pub(super) devices: Vec<(DeviceId, Readiness)>,
}

/// Devices of a user with which sessions are to be started; all of them if none is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToMeet {
    pub(super) user: UserId,
    pub(super) devices: Vec<DeviceId>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// Seal for the devices that are ready, and skip the others.
    Seal,
    /// Start these sessions first.
    Meet(Vec<ToMeet>),
}

/// Decides what to do for a content, given the members that it is sent to. A device with invalid keys never delays the
/// others, but at least one device of the other members must be sealed for, if there are any.
pub(super) fn plan(members: &[Member]) -> Plan {
    let to_meet = |readiness| {
        let of_member = move |member: &Member| {
            let these = member.devices.iter().filter(|(_, other)| *other == readiness);
            let devices = these.map(|(device, _)| *device).collect::<Vec<_>>();
            let is_unknown = member.devices.is_empty() && !member.is_us;
            (is_unknown || !devices.is_empty()).then_some(ToMeet { user: member.user, devices })
        };
        members.iter().filter_map(of_member).collect::<Vec<_>>()
    };
    let new = to_meet(Readiness::NoSession);
    if !new.is_empty() {
        return Plan::Meet(new);
    }
    let others = || members.iter().filter(|member| !member.is_us);
    let is_ready = |member: &Member| member.devices.iter().any(|(_, other)| *other == Readiness::Ready);
    if others().any(is_ready) || others().next().is_none() {
        Plan::Seal
    } else {
        Plan::Meet(to_meet(Readiness::BadKeys))
    }
}

/// The devices that a content is sealed for.
#[derive(Default)]
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
    /// Start these sessions first.
    Meet(Vec<ToMeet>),
    /// Nothing can be sealed for one of the members at present.
    Blocked(FailReason),
    /// Different lists of the devices of one of the members were shown: nothing is sealed until there is a later one.
    Contradicted,
}

/// The current devices of the members of a thread, except this one. In the note to self, there may be none: the relay names those that are
/// missing.
pub(super) fn address(
    rows: &Rows<'_>,
    (thread, us): (ThreadId, Registered),
    skipped: &SkippedDevices,
    policy: SessionPolicy,
    now: UnixSeconds,
) -> Result<Addressed> {
    let mut users = rows.recipients(thread)?;
    if !users.contains(&us.user) && has_unlisted(rows, us.user, skipped, now)? {
        users.push(us.user);
        users.sort_unstable();
    }
    for user in &users {
        if *user != us.user && rows.is_list_contradicted(*user)? {
            return Ok(Addressed::Contradicted);
        }
    }
    address_users(rows, (&users, us), skipped, policy, now)
}

/// Whether the relay names a device of ours that is not on our list, and requires a copy for it.
fn has_unlisted(rows: &Rows<'_>, us: UserId, skipped: &SkippedDevices, now: UnixSeconds) -> Result<bool> {
    let skipped = skipped.of(us, now);
    if skipped.is_empty() {
        return Ok(false);
    }
    let Some(list) = rows.device_list(us)? else { return Ok(false) };
    let is_listed =
        |skipped: &Skipped| list.devices().iter().any(|entry| entry.device.get() == skipped.device.get());
    Ok(skipped.iter().any(|skipped| !skipped.is_absent && !is_listed(skipped)))
}

/// The current devices of these people. For ours, nobody needs to be trusted. Mail is sealed although different lists were shown: it tells
/// them so.
pub(super) fn address_users(
    rows: &Rows<'_>,
    (users, us): (&[UserId], Registered),
    skipped: &SkippedDevices,
    policy: SessionPolicy,
    now: UnixSeconds,
) -> Result<Addressed> {
    let (mut recipients, mut members) = (Recipients::default(), Vec::with_capacity(users.len()));
    for user in users.iter().copied() {
        let is_us = user == us.user;
        if !is_us && let Err(reason) = contact::check(rows, user)? {
            return Ok(Addressed::Blocked(reason));
        }
        let skipped = skipped.of(user, now);
        let mut devices = Vec::new();
        for (device, sessions) in load(rows, user)? {
            if is_us && device.device == us.device {
                continue;
            }
            if is_ready(&device, &sessions, policy, now) {
                devices.push((device.device, Readiness::Ready));
                recipients.ready.push((device, sessions));
            } else if !skipped.iter().any(|skipped| skipped.device == device.device) {
                devices.push((device.device, Readiness::NoSession));
            }
        }
        let is_known = |skipped: &Skipped| devices.iter().any(|(device, _)| *device == skipped.device);
        let bad: Vec<_> = skipped.into_iter().filter(|skipped| !is_known(skipped)).collect();
        devices.extend(bad.iter().map(|skipped| (skipped.device, Readiness::BadKeys)));
        recipients.skip.extend(bad.into_iter().filter(|skipped| !skipped.is_absent));
        members.push(Member { user, is_us, devices });
    }
    Ok(match plan(&members) {
        Plan::Seal => Addressed::Ready(recipients),
        Plan::Meet(to_meet) => Addressed::Meet(to_meet),
    })
}

/// Whether at least one device of the other members can be sealed for, if there are any.
pub(super) fn has_ready(
    rows: &Rows<'_>,
    thread: ThreadId,
    policy: SessionPolicy,
    now: UnixSeconds,
) -> Result<bool> {
    let others = rows.others(thread)?;
    if others.is_empty() {
        return Ok(true);
    }
    for user in others {
        if load(rows, user)?.iter().any(|(device, sessions)| is_ready(device, sessions, policy, now)) {
            return Ok(true);
        }
    }
    Ok(false)
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

    fn user(number: u8) -> UserId {
        UserId::from_bytes([number; 16])
    }

    fn member(number: u8, devices: &[(u32, Readiness)]) -> Member {
        let devices = devices.iter().map(|(number, readiness)| (device(*number), *readiness)).collect();
        Member { user: user(number), is_us: false, devices }
    }

    fn us(devices: &[(u32, Readiness)]) -> Member {
        Member { is_us: true, ..member(9, devices) }
    }

    fn to_meet(number: u8, devices: &[u32]) -> ToMeet {
        ToMeet { user: user(number), devices: devices.iter().copied().map(device).collect() }
    }

    #[test]
    fn sessions_with_all_devices_are_started_together_before_anything_is_sealed() {
        use Readiness::{BadKeys, NoSession, Ready};
        let ben = member(1, &[(1, Ready), (2, NoSession), (3, NoSession)]);
        assert_eq!(plan(std::slice::from_ref(&ben)), Plan::Meet(vec![to_meet(1, &[2, 3])]));
        assert_eq!(plan(&[member(1, &[])]), Plan::Meet(vec![to_meet(1, &[])]));
        let others = [member(2, &[(1, Ready), (2, BadKeys)]), member(3, &[]), member(4, &[(5, NoSession)])];
        let all: Vec<_> = std::iter::once(ben).chain(others).collect();
        let expected = vec![to_meet(1, &[2, 3]), to_meet(3, &[]), to_meet(4, &[5])];
        assert_eq!(plan(&all), Plan::Meet(expected));
    }

    #[test]
    fn a_device_with_invalid_keys_is_skipped_unless_no_device_is_ready() {
        use Readiness::{BadKeys, Ready};
        assert_eq!(plan(&[member(1, &[(1, BadKeys), (2, Ready)])]), Plan::Seal);
        assert_eq!(plan(&[member(1, &[(1, BadKeys)])]), Plan::Meet(vec![to_meet(1, &[1])]));
        let ready = member(2, &[(1, Ready)]);
        assert_eq!(plan(&[member(1, &[(1, BadKeys)]), ready]), Plan::Seal);
        let bad = [member(1, &[(1, BadKeys)]), member(2, &[(1, BadKeys), (2, BadKeys)])];
        assert_eq!(plan(&bad), Plan::Meet(vec![to_meet(1, &[1]), to_meet(2, &[1, 2])]));
    }

    #[test]
    fn own_devices_are_met_too_but_nothing_waits_for_their_keys() {
        use Readiness::{BadKeys, NoSession, Ready};
        let ben = member(1, &[(1, Ready)]);
        assert_eq!(plan(&[ben.clone(), us(&[])]), Plan::Seal);
        assert_eq!(plan(&[ben.clone(), us(&[(2, BadKeys)])]), Plan::Seal);
        assert_eq!(plan(&[ben, us(&[(2, Ready), (3, NoSession)])]), Plan::Meet(vec![to_meet(9, &[3])]));
        // One of ours is no replacement for all devices of the other person.
        let unknown = member(1, &[(1, BadKeys)]);
        assert_eq!(plan(&[unknown, us(&[(2, Ready)])]), Plan::Meet(vec![to_meet(1, &[1])]));
        // In the note to self, there are no others.
        assert_eq!(plan(&[us(&[(2, BadKeys)])]), Plan::Seal);
        assert_eq!(plan(&[]), Plan::Seal);
    }

    proptest! {
        #[test]
        fn something_is_sealed_only_if_no_session_is_missing(
            members in prop::collection::vec(prop::collection::vec(0..3_u8, 0..4), 1..4)
        ) {
            let members: Vec<_> = members.iter().zip(1..).map(|(devices, number)| {
                let devices: Vec<_> = devices.iter().zip(1..).map(|(readiness, number)| {
                    let readiness = match readiness {
                        0 => Readiness::Ready,
                        1 => Readiness::NoSession,
                        _ => Readiness::BadKeys,
                    };
                    (number, readiness)
                }).collect();
                member(number, &devices)
            }).collect();
            let of = |member: &Member, readiness| {
                let these = member.devices.iter().filter(|(_, other)| *other == readiness);
                these.map(|(device, _)| *device).collect::<Vec<_>>()
            };
            let has = |readiness| members.iter().any(|member| !of(member, readiness).is_empty());
            let has_unknown = members.iter().any(|member| member.devices.is_empty());
            match plan(&members) {
                Plan::Seal => {
                    prop_assert!(has(Readiness::Ready) && !has(Readiness::NoSession) && !has_unknown);
                }
                Plan::Meet(to_meet) => {
                    let is_new = has(Readiness::NoSession) || has_unknown;
                    prop_assert!(is_new || !has(Readiness::Ready));
                    let which = if is_new { Readiness::NoSession } else { Readiness::BadKeys };
                    let expected: Vec<_> = members
                        .iter()
                        .map(|member| ToMeet { user: member.user, devices: of(member, which) })
                        .filter(|to_meet| {
                            !to_meet.devices.is_empty()
                                || members.iter().any(|member| member.user == to_meet.user && member.devices.is_empty())
                        })
                        .collect();
                    prop_assert!(!to_meet.is_empty());
                    prop_assert_eq!(to_meet, expected);
                }
            }
        }
    }
}
