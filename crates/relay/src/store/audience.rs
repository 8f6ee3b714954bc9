//! Who may receive mail in a thread.

use std::collections::{BTreeMap, BTreeSet};

use sealpost_wire::DeviceMismatch;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::id::UserId;

use crate::address::Address;

/// A thread as seen by a member who sends mail in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience {
    /// The live devices of all members in order of their addresses, with their registration ids.
    pub live: Vec<(Address, u32)>,
    /// Other members who have not accepted the thread, or block this one.
    pub not_accepted: BTreeSet<UserId>,
    /// Whether the accounts of all other members were deleted.
    pub left_alone: bool,
    /// Whether it is a group.
    pub is_group: bool,
}

/// The devices that mail names cannot receive it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misaddressed {
    /// The sending device no longer exists.
    SenderRevoked,
    /// The accounts of all other members were deleted.
    RecipientDeleted,
    /// Some are not live devices of members, are named twice, or are the sending device.
    MismatchedDevices(Vec<DeviceMismatch>),
    /// Some were registered again.
    StaleDevices(Vec<DeviceMismatch>),
}

/// Mail may name any of these devices, each once and in its present registration, except for the sending one.
///
/// # Errors
/// [`Misaddressed`]
pub fn check_recipients(
    live: &[(Address, u32)],
    left_alone: bool,
    sender: Address,
    named: impl Iterator<Item = (Address, u32)>,
) -> Result<(), Misaddressed> {
    let registration = |address: Address| {
        let found = live.binary_search_by_key(&address, |(address, _)| *address).ok()?;
        live.get(found).map(|(_, registration)| *registration)
    };
    if registration(sender).is_none() {
        return Err(Misaddressed::SenderRevoked);
    }
    let (mut extra, mut stale, mut seen) = (Differences::default(), Differences::default(), BTreeSet::new());
    for (address, made_for) in named {
        if left_alone && address.user != sender.user {
            return Err(Misaddressed::RecipientDeleted);
        }
        match registration(address).filter(|_| address != sender && seen.insert(address)) {
            None => extra.of(address).extra.push(address.device.get()),
            Some(current) if current != made_for => stale.of(address).stale.push(address.device.get()),
            Some(_) => {}
        }
    }
    match (extra.into_list(), stale.into_list()) {
        (extra, _) if !extra.is_empty() => Err(Misaddressed::MismatchedDevices(extra)),
        (_, stale) if !stale.is_empty() => Err(Misaddressed::StaleDevices(stale)),
        _ => Ok(()),
    }
}

/// The differences between the devices that were named and those that there are, by user.
#[derive(Debug, Default)]
pub(super) struct Differences(BTreeMap<UserId, DeviceMismatch>);

impl Differences {
    pub(super) fn of(&mut self, address: Address) -> &mut DeviceMismatch {
        self.0.entry(address.user).or_insert_with(|| DeviceMismatch {
            user_id: address.user.to_wire(),
            ..DeviceMismatch::default()
        })
    }

    pub(super) fn into_list(self) -> Vec<DeviceMismatch> {
        self.0.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use sealpost_wire::id::DeviceId;

    use super::*;

    fn address(user: u8, device: u32) -> Address {
        Address { user: UserId::from_bytes([user; 16]), device: DeviceId::new(device).unwrap() }
    }

    fn check(named: &[(Address, u32)]) -> Result<(), Misaddressed> {
        let live = [(address(1, 1), 7), (address(1, 2), 8), (address(2, 1), 9), (address(2, 3), 10)];
        check_recipients(&live, false, address(1, 1), named.iter().copied())
    }

    #[test]
    fn mail_may_name_any_of_the_devices() {
        let all = [(address(2, 3), 10), (address(1, 2), 8), (address(2, 1), 9)];
        for count in 0..=3 {
            assert_eq!(check(&all[..count]), Ok(()));
        }
    }

    #[test]
    fn devices_that_cannot_receive_it_are_named_in_the_refusal() {
        let of = |user: u8| DeviceMismatch { user_id: vec![user; 16].into(), ..DeviceMismatch::default() };
        let extra = |user, devices: &[u32]| DeviceMismatch { extra: devices.to_vec(), ..of(user) };
        let named = [(address(1, 1), 7), (address(2, 1), 9), (address(2, 2), 9), (address(9, 1), 1)];
        let expected = vec![extra(1, &[1]), extra(2, &[2]), extra(9, &[1])];
        assert_eq!(check(&named), Err(Misaddressed::MismatchedDevices(expected)));
        let twice = [(address(2, 1), 9), (address(2, 1), 9)];
        assert_eq!(check(&twice), Err(Misaddressed::MismatchedDevices(vec![extra(2, &[1])])));
        let stale = DeviceMismatch { stale: vec![3], ..of(2) };
        let named = [(address(2, 1), 9), (address(2, 3), 9)];
        assert_eq!(check(&named), Err(Misaddressed::StaleDevices(vec![stale])));
    }

    #[test]
    fn a_sender_without_a_device_or_without_anybody_else_is_refused() {
        let live = [(address(1, 1), 7), (address(1, 2), 8)];
        let check = |left_alone, sender, to| check_recipients(&live, left_alone, sender, [to].into_iter());
        let own = (address(1, 2), 8);
        assert_eq!(check(true, address(1, 3), own), Err(Misaddressed::SenderRevoked));
        assert_eq!(check(true, address(1, 1), own), Ok(()));
        assert_eq!(check(true, address(1, 1), (address(2, 1), 9)), Err(Misaddressed::RecipientDeleted));
    }
}
