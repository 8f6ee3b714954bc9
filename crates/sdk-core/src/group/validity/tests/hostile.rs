//! A relay that does to a chain what it can: cut it, reorder it, repeat entries, change bytes, make up entries, and show each device
//! another one. Histories and attacks are data.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use sealpost_protocol::IdentityKeyPair;
use sealpost_wire::roster::{Change, Entry, Invitation, Member, Role};

use super::super::Outcome;
use crate::group::people::{Person, Signing, secret, user};
use crate::id::UserId;

/// What somebody does. The relay accepts it if the rules allow it.
#[derive(Debug, Clone, Copy)]
enum Act {
    Invite(u8),
    Accept,
    Remove(u8),
    Leave,
    Promote(u8),
    Demote(u8),
    Timer(u32),
    Link,
    Unlink,
    /// Another one signs for the same version, and loses.
    Lose(u8),
}

/// What the relay does to the next entry that it shows.
#[derive(Debug, Clone, Copy)]
enum Attack {
    None,
    Skip,
    Repeat(prop::sample::Index),
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    /// It signs a change itself, in the name of somebody: with a signature that it has seen, or with a key of its own.
    Forge(u8, Forged, bool),
    /// It shows the entry that has lost.
    Loser,
    /// It begins again with this entry.
    Back(prop::sample::Index),
}

#[derive(Debug, Clone, Copy)]
enum Forged {
    Add(u8),
    Remove(u8),
    Promote(u8),
}

const PEOPLE: u8 = 4;

fn person() -> impl Strategy<Value = u8> {
    1..=PEOPLE
}

fn acts() -> impl Strategy<Value = Vec<(u8, Act)>> {
    let act = prop_oneof![
        4 => person().prop_map(Act::Invite),
        6 => Just(Act::Accept),
        2 => person().prop_map(Act::Remove),
        1 => Just(Act::Leave),
        2 => person().prop_map(Act::Promote),
        2 => person().prop_map(Act::Demote),
        2 => (0_u32..9).prop_map(Act::Timer),
        2 => Just(Act::Link),
        2 => Just(Act::Unlink),
        2 => person().prop_map(Act::Lose),
    ];
    vec((person(), act), 4..24)
}

fn attacks() -> impl Strategy<Value = Vec<Attack>> {
    let index = any::<prop::sample::Index>;
    let forged = prop_oneof![
        person().prop_map(Forged::Add),
        person().prop_map(Forged::Remove),
        person().prop_map(Forged::Promote),
    ];
    let attack = prop_oneof![
        8 => Just(Attack::None),
        1 => Just(Attack::Skip),
        2 => index().prop_map(Attack::Repeat),
        2 => (index(), 1_u8..).prop_map(|(at, change)| Attack::Flip(at, change)),
        1 => index().prop_map(Attack::Cut),
        3 => (person(), forged, any::<bool>()).prop_map(|(by, what, copied)| Attack::Forge(by, what, copied)),
        2 => Just(Attack::Loser),
        1 => index().prop_map(Attack::Back),
    ];
    vec(attack, 8..40)
}

type Members = BTreeMap<UserId, Member>;

fn members(group: &Signing) -> Members {
    group.roster.members().map(|(user, member)| (user, *member)).collect()
}

/// What honest devices have signed, and who is a member afterwards.
struct History {
    chain: Vec<Entry>,
    losers: Vec<Entry>,
    after: BTreeMap<[u8; 32], Members>,
}

fn change(act: Act, people: &BTreeMap<u8, Person>) -> Change {
    match act {
        Act::Invite(who) => Change::Invite(vec![people[&who].invitation()]),
        Act::Accept => Change::Accept,
        Act::Remove(who) => Change::Remove { users: vec![user(who)], secret: secret(2) },
        Act::Leave => Change::Leave,
        Act::Promote(who) => Change::Role { user: user(who), role: Role::Admin },
        Act::Demote(who) => Change::Role { user: user(who), role: Role::Member },
        Act::Timer(seconds) => Change::Timer(seconds),
        Act::Link => Change::Devices { is_removal: false },
        Act::Unlink => Change::Devices { is_removal: true },
        Act::Lose(_) => Change::Timer(77),
    }
}

fn history(acts: &[(u8, Act)]) -> History {
    let mut people: BTreeMap<u8, Person> = (1..=PEOPLE).map(|n| (n, Person::new(n, 1))).collect();
    let mut group = Signing::created_by(&people[&1], &[&people[&2]]);
    let mut after = BTreeMap::from([(*group.entries[0].hash(), members(&group))]);
    let mut losers = Vec::new();
    for (author, act) in acts {
        match act {
            Act::Link if !people[author].has(2) => people.get_mut(author).unwrap().link(2),
            Act::Unlink if people[author].has(2) => people.get_mut(author).unwrap().unlink(2),
            Act::Link | Act::Unlink => continue,
            _ => {}
        }
        let entry = group.sign(&people[author], 1, change(*act, &people), people[author].identity(1));
        if let Act::Lose(other) = act {
            let mut lost = group.clone();
            let second = lost.sign(&people[other], 1, Change::Timer(78), people[other].identity(1));
            if lost.add(&second) == Outcome::Valid {
                after.insert(*second.hash(), members(&lost));
                losers.push(second);
            }
        }
        // An honest relay refuses what the rules refuse.
        if group.roster.judge(&entry).is_ok() {
            assert_eq!(group.add(&entry), Outcome::Valid);
            after.insert(*entry.hash(), members(&group));
        }
    }
    History { chain: group.entries, losers, after }
}

/// Makes up an entry that continues what a device has.
fn forge(device: &Signing, by: u8, what: Forged, signature: Option<&Entry>) -> Entry {
    let stranger = Person::new(40, 1);
    let change = match what {
        Forged::Add(who) => Change::Invite(vec![Invitation { user: user(who), ..stranger.invitation() }]),
        Forged::Remove(who) => Change::Remove { users: vec![user(who)], secret: secret(9) },
        Forged::Promote(who) => Change::Role { user: user(who), role: Role::Admin },
    };
    let forged = device.sign_without_list(
        &Person::new(by, 1),
        1,
        change,
        &IdentityKeyPair::generate(&mut rand::rng()),
    );
    match signature {
        Some(seen) => forged.content().with_signature(seen.signature().try_into().unwrap()).unwrap(),
        None => forged,
    }
}

/// The bytes that the relay shows a device that has this much.
fn shown(device: &Signing, history: &History, next: usize, attack: Attack) -> Option<Vec<u8>> {
    let entry = history.chain.get(next);
    let bytes = |entry: &Entry| entry.as_bytes().to_vec();
    match attack {
        Attack::None => entry.map(bytes),
        Attack::Skip => history.chain.get(next + 1).map(bytes),
        Attack::Repeat(at) | Attack::Back(at) => Some(bytes(at.get(&history.chain))),
        Attack::Flip(at, change) => entry.map(bytes).map(|mut bytes| {
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            bytes
        }),
        Attack::Cut(at) => entry.map(bytes).map(|mut bytes| {
            bytes.truncate(at.index(bytes.len()));
            bytes
        }),
        Attack::Forge(by, what, copied) => {
            Some(bytes(&forge(device, by, what, copied.then(|| history.chain.last().unwrap()))))
        }
        Attack::Loser => history.losers.iter().find(|lost| device.judge(lost).is_ok()).or(entry).map(bytes),
    }
}

/// A device takes the bytes if they continue its chain. Returns whether they were taken.
fn take(device: &mut Signing, bytes: &[u8]) -> bool {
    let Ok(entry) = Entry::parse(bytes) else { return false };
    if device.judge(&entry).is_err() {
        return false;
    }
    device.add(&entry);
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_relay_changes_no_roster_and_the_same_bytes_mean_the_same(acts in acts(), attacks in attacks()) {
        let history = history(&acts);
        let mut device = Signing::beginning(&history.chain[0]);
        let mut other = device.clone();
        let mut next = 1;
        let mut expected = members(&device);
        for attack in attacks {
            let Some(bytes) = shown(&device, &history, next, attack) else { continue };
            // Two devices that are shown the same agree, whatever they think of it.
            let taken = take(&mut device, &bytes);
            prop_assert_eq!(take(&mut other, &bytes), taken);
            prop_assert_eq!(&device.roster, &other.roster);
            prop_assert_eq!(&device.lists, &other.lists);
            if taken {
                let last = device.entries.last().unwrap();
                // Only what somebody has signed changes anything, and it means what they have seen when they signed it.
                match history.after.get(last.hash()) {
                    Some(after) => {
                        expected.clone_from(after);
                        next += 1;
                    }
                    None => prop_assert!(device.judge(last).is_err()),
                }
            }
            prop_assert_eq!(&members(&device), &expected, "{:?}", attack);
        }
        // A newcomer who gets what this device has agrees with it.
        let newcomer = device.as_a_newcomer();
        prop_assert_eq!(newcomer.roster, device.roster);
    }
}
