//! Histories of a group as data: whatever people try, and whatever a relay shows, the rules hold.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::*;
use super::world::*;
use crate::id::UserId;

#[derive(Debug, Clone, Copy)]
enum Act {
    Invite(u8),
    Accept,
    Withdraw(u8),
    Join,
    Remove(u8),
    Leave,
    Role(u8, Role),
    Permissions(bool),
    Timer(u32),
    Link(bool),
    Devices(u8),
    Rekey,
    RekeyMember(u8),
    Dissolve,
    /// An entry that the author's devices have not signed.
    Invalid(u8),
}

const PEOPLE: u8 = 6;

fn acts() -> impl Strategy<Value = Vec<(u8, Act)>> {
    let person = || 1..=PEOPLE;
    let act = prop_oneof![
        4 => person().prop_map(Act::Invite),
        6 => Just(Act::Accept),
        2 => person().prop_map(Act::Withdraw),
        2 => Just(Act::Join),
        3 => person().prop_map(Act::Remove),
        2 => Just(Act::Leave),
        3 => (person(), prop_oneof![Just(Role::Member), Just(Role::Admin)])
            .prop_map(|(who, role)| Act::Role(who, role)),
        1 => any::<bool>().prop_map(Act::Permissions),
        1 => (0_u32..3).prop_map(Act::Timer),
        2 => any::<bool>().prop_map(Act::Link),
        3 => (1_u8..4).prop_map(Act::Devices),
        2 => Just(Act::Rekey),
        1 => person().prop_map(Act::RekeyMember),
        1 => Just(Act::Dissolve),
        1 => person().prop_map(Act::Invalid),
    ];
    vec((person(), act), 1..80)
}

/// The newest list of each person: version, and whether there is a second device.
type Lists = BTreeMap<u8, (u64, bool)>;

fn change(act: Act) -> Change {
    let link = InviteLink { public_key: *key(1).as_bytes(), token_hash: [1; 32] };
    match act {
        Act::Invite(who) => Change::Invite(vec![invitation(user(who))]),
        Act::Accept => Change::Accept,
        Act::Withdraw(who) => Change::Withdraw(vec![user(who)]),
        Act::Join => Change::Join { proof: [0; 64] },
        Act::Remove(who) | Act::Invalid(who) => Change::Remove { users: vec![user(who)], secret: secret(3) },
        Act::Leave => Change::Leave,
        Act::Role(who, role) => Change::Role { user: user(who), role },
        Act::Permissions(strict) => Change::Permissions(Permissions {
            write: if strict { Who::Admins } else { Who::Members },
            ..OPEN
        }),
        Act::Timer(seconds) => Change::Timer(seconds),
        Act::Link(on) => Change::Link(on.then_some(link)),
        Act::Devices(_) => Change::Devices { is_removal: false },
        Act::Rekey => Change::Rekey(secret(4)),
        Act::RekeyMember(who) => {
            Change::RekeyMember(Invitation { user: user(who), account_key: key_of(user(who)) })
        }
        Act::Dissolve => Change::Dissolve,
    }
}

fn entry(roster: &Roster, lists: &mut Lists, author: u8, act: Act) -> Entry {
    let (version, has_second) = *lists.entry(author).or_insert((1, false));
    let mut change = change(act);
    if let Act::Devices(which) = act {
        let is_removal = has_second && which == 1;
        lists.insert(author, (version.checked_add(1).unwrap(), which != 1));
        change = Change::Devices { is_removal };
    }
    let (version, has_second) = lists[&author];
    let devices: &[u8] = if has_second { &[1, 2] } else { &[1] };
    let list = list_of(key_of(user(author)), version, devices, &[]);
    sign(&unsigned(roster, Author { user: user(author), device: device(1) }, Some(list), change))
}

fn admins(roster: &Roster) -> usize {
    roster.members().filter(|(_, member)| member.role == Role::Admin).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_hold_in_every_history(acts in acts()) {
        let begin = first(ADA, &[BEN]);
        let (mut roster, effect) = Roster::create(&begin).unwrap();
        let mut members: BTreeMap<UserId, Member> = BTreeMap::new();
        let mut invited: BTreeMap<UserId, Invited> = BTreeMap::new();
        store(&mut members, &effect.members);
        store(&mut invited, &effect.invited);
        let (mut history, mut lists) = (vec![begin], Lists::new());

        for (author, act) in acts {
            let before = roster.clone();
            let next = entry(&roster, &mut lists, author, act);
            let effect = if matches!(act, Act::Invalid(_)) {
                roster.without_effect(&next).unwrap()
            } else if let Ok(effect) = roster.judge(&next) {
                effect
            } else {
                continue;
            };
            roster = roster.take(&effect);
            history.push(next);

            // The rows that the effect names are enough to store it.
            store(&mut members, &effect.members);
            store(&mut invited, &effect.invited);
            let stored = Roster::from_rows(effect.state.clone(), members.clone(), invited.clone());
            prop_assert_eq!(&stored, &roster);

            // Somebody can always act, unless the group has ended.
            prop_assert!(admins(&roster) > 0 || roster.state().is_dissolved);
            prop_assert!(roster.members().all(|(user, _)| roster.invitation(user).is_none()));
            for (user, _) in before.members() {
                prop_assert_eq!(roster.member(user).is_none(), effect.left.contains(&user));
            }
            for (user, _) in roster.members() {
                prop_assert_eq!(before.member(user).is_none(), effect.came.contains(&user));
            }
            // Who loses something makes posts of before invalid; a removal always does.
            let loses = |(user, _): (UserId, &Member)| before.may_write(user) && !roster.may_write(user);
            if before.members().any(loses) || effect.is_removal() {
                prop_assert!(effect.raises_floor());
            }
            let is_gone = |(user, old): (UserId, &Member)| {
                roster.member(user).is_none_or(|new| !new.devices.contains_all(old.devices))
            };
            prop_assert!(!before.members().any(is_gone) || effect.is_removal());
            // A role is given by an admin only.
            for (user, member) in roster.members() {
                if let Some(old) = before.member(user).filter(|old| old.role != member.role) {
                    let by = before.member(history.last().unwrap().content().author.user);
                    prop_assert!(by.is_some_and(|by| by.role == Role::Admin), "{:?}", old);
                }
            }
        }

        // Every other order of these entries is refused by the chain.
        for (at, entry) in history.iter().enumerate() {
            prop_assert!(matches!(roster.judge(entry), Err(Refusal::Chain(_))), "{}", at);
        }
    }
}

fn store<T: Copy>(rows: &mut BTreeMap<UserId, T>, changed: &BTreeMap<UserId, Option<T>>) {
    for (user, row) in changed {
        match row {
            Some(row) => rows.insert(*user, *row),
            None => rows.remove(user),
        };
    }
}
