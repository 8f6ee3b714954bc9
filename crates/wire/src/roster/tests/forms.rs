use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::super::*;
use super::world::*;
use crate::id::{ThreadId, UserId};
use crate::limits::MAX_ROSTER_ENTRY;

fn users(most: usize) -> impl Strategy<Value = Vec<UserId>> {
    btree_set(any::<[u8; 16]>(), 1..=most).prop_map(|ids| ids.into_iter().map(UserId::from_bytes).collect())
}

fn invitations(most: usize) -> impl Strategy<Value = Vec<Invitation>> {
    users(most).prop_map(|users| users.into_iter().map(invitation).collect())
}

fn secrets() -> impl Strategy<Value = NewSecret> {
    (any::<[u8; 32]>(), vec(any::<u8>(), 0..200))
        .prop_map(|(commitment, details)| NewSecret { commitment, details: Details::new(details).unwrap() })
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![Just(Who::Members), Just(Who::Admins)]
}

fn permissions() -> impl Strategy<Value = Permissions> {
    (who(), who(), who()).prop_map(|(write, add, details)| Permissions { write, add, details })
}

fn links() -> impl Strategy<Value = InviteLink> {
    (any::<u8>(), any::<[u8; 32]>())
        .prop_map(|(byte, token_hash)| InviteLink { public_key: *key(byte).as_bytes(), token_hash })
}

fn lists() -> impl Strategy<Value = AuthorList> {
    let devices = btree_set(1_u8..=127, 1..=5);
    let moves = vec(any::<u8>(), 0..=3);
    (any::<u8>(), 1_u64..1 << 62, devices, moves).prop_map(|(account, version, devices, moves)| {
        let moves: Vec<AccountKey> = moves.into_iter().map(key).collect();
        list_of(key(account), version, &devices.into_iter().collect::<Vec<_>>(), &moves)
    })
}

fn changes() -> impl Strategy<Value = Change> {
    let role = prop_oneof![Just(Role::Member), Just(Role::Admin)];
    prop_oneof![
        invitations(30).prop_map(Change::Invite),
        Just(Change::Accept),
        users(30).prop_map(Change::Withdraw),
        any::<[u8; 32]>().prop_map(|half| Change::Join { proof: [half, half].concat().try_into().unwrap() }),
        (users(30), secrets()).prop_map(|(users, secret)| Change::Remove { users, secret }),
        Just(Change::Leave),
        (any::<[u8; 16]>(), role)
            .prop_map(|(user, role)| Change::Role { user: UserId::from_bytes(user), role }),
        vec(any::<u8>(), 0..300).prop_map(|bytes| Change::Details(Details::new(bytes).unwrap())),
        permissions().prop_map(Change::Permissions),
        any::<u32>().prop_map(Change::Timer),
        option::of(links()).prop_map(Change::Link),
        any::<bool>().prop_map(|is_removal| Change::Devices { is_removal }),
        secrets().prop_map(Change::Rekey),
        invitations(1).prop_map(|mut one| Change::RekeyMember(one.remove(0))),
        Just(Change::Dissolve),
        (17_u8.., vec(any::<u8>(), 0..50)).prop_map(|(kind, bytes)| Change::Unknown { kind, bytes }),
    ]
}

fn entries() -> impl Strategy<Value = UnsignedEntry> {
    let author = (any::<[u8; 16]>(), 1_u8..=127)
        .prop_map(|(user, number)| Author { user: UserId::from_bytes(user), device: device(number) });
    let later = (any::<[u8; 16]>(), 2_u64..1 << 40, any::<[u8; 32]>(), option::of(lists()), changes());
    let first = (any::<[u8; 16]>(), permissions(), any::<u32>(), secrets(), invitations(40), lists());
    let change = prop_oneof![
        3 => later.prop_map(Ok),
        1 => first.prop_map(Err),
    ];
    (author, change).prop_map(|(author, change)| match change {
        Ok((thread, version, previous, list, change)) => {
            UnsignedEntry { thread: ThreadId::from_bytes(thread), version, previous, author, list, change }
        }
        Err((nonce, permissions, timer_s, secret, invited, list)) => {
            UnsignedEntry::first(author, list, Create { nonce, permissions, timer_s, secret, invited })
        }
    })
}

proptest! {
    #[test]
    fn an_entry_has_one_form(unsigned in entries(), signature in any::<[u8; 32]>()) {
        let signature: [u8; 64] = [signature, signature].concat().try_into().unwrap();
        let entry = unsigned.with_signature(&signature).unwrap();
        prop_assert_eq!(entry.content(), &unsigned);
        prop_assert_eq!(Change::from_bytes(&unsigned.change.to_bytes()).unwrap(), unsigned.change.clone());
        prop_assert_eq!(entry.signed_bytes(), unsigned.to_bytes());
        prop_assert_eq!(entry.signature(), signature);
        let again = Entry::parse(entry.as_bytes()).unwrap();
        prop_assert_eq!(again, entry);
    }

    #[test]
    fn a_damaged_entry_is_refused_or_another_entry_in_its_only_form(
        unsigned in entries(),
        at in any::<prop::sample::Index>(),
        change in 1_u8..,
        cut in option::of(any::<prop::sample::Index>()),
    ) {
        let entry = sign(&unsigned);
        let mut bytes = entry.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(other) = Entry::parse(&bytes) {
            prop_assert_ne!(other.hash(), entry.hash());
            let signature = other.signature().try_into().unwrap();
            let again = other.content().with_signature(signature).unwrap();
            prop_assert_eq!(again.as_bytes(), bytes);
        }
    }

    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in vec(any::<u8>(), 0..600)) {
        if let Ok(entry) = Entry::parse(&bytes) {
            prop_assert_eq!(entry.as_bytes(), bytes);
        }
    }
}

#[test]
fn the_largest_entry_fits() {
    let many: Vec<Invitation> = (0..1_023).map(|at| invitation(nth(at))).collect();
    let mut create = creation(many);
    create.secret.details = Details::new(vec![1; 4_096]).unwrap();
    let list = list_of(key(1), 1, &[1, 2, 3, 4, 5], &[key(4), key(5), key(6)]);
    let author = Author { user: user(ADA), device: device(1) };
    let largest = sign(&UnsignedEntry::first(author, list, create.clone()));
    assert!(largest.as_bytes().len() <= MAX_ROSTER_ENTRY);
    create.invited.push(invitation(nth(1_023)));
    let list = list_of(key(1), 1, &[1], &[]);
    assert_eq!(UnsignedEntry::first(author, list, create).with_signature(&[0; 64]), Err(FormError));
    assert_eq!(Details::new(vec![0; 4_097]), Err(FormError));
}

/// Each of them is refused as a whole.
#[test]
fn forms_that_are_out_of_bounds() {
    let group = Group::with(&[BEN]);
    let author = Author { user: user(ADA), device: device(1) };
    let good = unsigned(&group.roster, author, None, Change::Timer(1));
    let refused = |entry: &UnsignedEntry| entry.with_signature(&[0; 64]) == Err(FormError);
    assert!(!refused(&good));
    let with = |change| UnsignedEntry { change, ..good.clone() };
    assert!(refused(&UnsignedEntry { version: 0, ..good.clone() }));
    assert!(refused(&UnsignedEntry { version: 1, ..good.clone() }));
    assert!(refused(&UnsignedEntry { version: 1 << 41, ..good.clone() }));
    assert!(refused(&with(Change::Create(Box::new(creation(vec![]))))), "a creation that is not the first");
    assert!(refused(&with(Change::Invite(vec![]))));
    assert!(refused(&with(Change::Withdraw(vec![user(2), user(2)]))), "the same person twice");
    assert!(refused(&with(Change::Withdraw(vec![user(3), user(2)]))), "another order");
    assert!(refused(&with(Change::Unknown { kind: 0, bytes: vec![] })));
    assert!(refused(&with(Change::Unknown { kind: 11, bytes: vec![0; 5] })), "bytes behind the change");
    assert!(refused(&with(Change::Unknown { kind: 8, bytes: [&[1; 16][..], &[3]].concat() })), "no role");
    assert!(refused(&with(Change::Unknown { kind: 10, bytes: vec![1, 0, 1] })), "nobody");
    assert!(refused(&with(Change::Unknown { kind: 12, bytes: vec![2] })));
    assert!(refused(&with(Change::Unknown { kind: 13, bytes: vec![2] })));
    let first = first(ADA, &[]).content().clone();
    assert!(!refused(&first));
    assert!(refused(&UnsignedEntry { list: None, ..first.clone() }), "nobody could verify it");
    assert!(refused(&UnsignedEntry { thread: good.thread, ..first.clone() }));
    assert!(refused(&UnsignedEntry { previous: [1; 32], ..first.clone() }));
    assert!(refused(&UnsignedEntry { version: 2, ..first }));
}

#[test]
fn lists_that_are_out_of_bounds() {
    let parse = |account, version, devices: &[u8], moves: &[AccountKey]| {
        AuthorList::parse(&list_bytes(account, version, devices, moves))
    };
    assert!(parse(key(1), 1, &[1, 9, 127], &[]).is_ok());
    for devices in [&[][..], &[0], &[128], &[2, 1], &[1, 1], &[1, 2, 3, 4, 5, 6]] {
        assert_eq!(parse(key(1), 1, devices, &[]), Err(FormError), "{devices:?}");
    }
    assert_eq!(parse(key(1), 0, &[1], &[]), Err(FormError));
    assert_eq!(parse(key(1), 1 << 63, &[1], &[]), Err(FormError));
    assert_eq!(parse(key(1), 1, &[1], &[key(2); 4]), Err(FormError));
    let mut bytes = list_bytes(key(1), 1, &[1], &[]);
    bytes.push(0);
    assert_eq!(AuthorList::parse(&bytes), Err(FormError));
    assert_eq!(AccountKey::from_slice(&[4; 33]), Err(FormError));
}
