#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};

use super::*;
use crate::device::moves::MOVE_LEN;
use crate::device::{KnownDeviceList, Succession};
use crate::vectors;

const USER: AccountId = [7; 16];

/// An account with its present list and the keys of its devices 1, 2, 3, ….
struct Account {
    key: AccountKeyPair,
    devices: Vec<IdentityKeyPair>,
    list: VerifiedDeviceList,
    rng: StdRng,
}

fn number(number: usize) -> DeviceId {
    DeviceId::new(u32::try_from(number).unwrap()).unwrap()
}

impl Account {
    fn new(seed: u64, devices: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let key = AccountKeyPair::generate(&mut rng);
        let devices: Vec<_> = (0..devices).map(|_| IdentityKeyPair::generate(&mut rng)).collect();
        let entries = devices.iter().enumerate().map(|(at, identity)| {
            let device = number(at + 1);
            DeviceEntry {
                device,
                identity: *identity.public(),
                added_ms: 1_000,
                is_primary: at == 0,
                binding: DeviceBinding::sign(&USER, device, identity, &key.public(), &mut rng),
            }
        });
        let list = DeviceList::new(4, entries.collect()).unwrap();
        let list = list.sign(&USER, &key, &mut rng).verify(&USER).unwrap();
        Self { key, devices, list, rng }
    }

    fn propose(&mut self, to: usize, key: &AccountKeyPair) -> Result<MoveProposal, ListError> {
        let device = (number(to), &self.devices[to - 1]);
        MoveProposal::sign(&self.list, &USER, device, key, &mut self.rng)
    }

    /// Moves the account to this device.
    fn move_to(&mut self, to: usize) {
        let key = AccountKeyPair::generate(&mut self.rng);
        let proposal = self.propose(to, &key).unwrap();
        let proposal = MoveProposal::parse(&proposal.serialize()).unwrap();
        self.list = proposal.accept(&self.list, &USER, number(to), &self.key, &mut self.rng).unwrap();
        self.key = key;
    }

    /// The primary device signs the next list, with these devices of the present one.
    fn next(&mut self, devices: &[usize]) -> VerifiedDeviceList {
        let is_kept = |entry: &&DeviceEntry| devices.iter().any(|at| number(*at) == entry.device);
        let entries = self.list.devices().iter().filter(is_kept).copied().collect();
        let next = self.list.next(self.list.version() + 1, entries).unwrap();
        next.sign(&USER, &self.key, &mut self.rng).verify(&USER).unwrap()
    }

    fn numbers(&self) -> Vec<u32> {
        self.list.devices().iter().map(|entry| entry.device.get()).collect()
    }
}

fn parsed(list: &VerifiedDeviceList) -> Result<VerifiedDeviceList, ListError> {
    SignedDeviceList::parse(&list.serialize()).unwrap().verify(&USER)
}

#[test]
fn an_account_is_moved_to_a_companion_and_the_others_remain() {
    let mut account = Account::new(1, 3);
    let (before, known) = (account.key.public(), account.list.known());
    account.move_to(2);
    let list = parsed(&account.list).unwrap();
    assert_eq!(list.serialize(), account.list.serialize());
    assert_eq!((list.version(), account.numbers()), (5, vec![1, 2, 3]));
    assert_eq!(list.primary().unwrap().device, number(2));
    assert_ne!(*list.account_key(), before);
    assert_eq!((list.moved_from(&before), list.moved_from(list.account_key())), (Some(5), None));
    assert_eq!(known.succession(&list), Succession::Moved);
    // The lists that follow say so, too.
    let next = account.next(&[2, 3]);
    assert_eq!(list.known().succession(&next), Succession::Newer);
    assert_eq!(known.succession(&parsed(&next).unwrap()), Succession::Moved);
    // Going back is not a move.
    assert_eq!(list.known().succession(&Account::new(1, 3).list), Succession::OtherAccountKey);
}

#[test]
fn whoever_missed_some_moves_sees_that_the_account_was_moved() {
    let mut account = Account::new(2, 3);
    let mut known = vec![account.list.known()];
    for to in [2, 3, 1, 2] {
        account.move_to(to);
        known.push(account.list.known());
    }
    let (list, last) = (parsed(&account.list).unwrap(), known.len() - 1);
    assert!(list.serialize().len() <= 956);
    let expected = [Succession::OtherAccountKey, Succession::Moved, Succession::Moved, Succession::Moved];
    for (known, expected) in known[..last].iter().zip(expected) {
        assert_eq!(known.succession(&list), expected);
    }
    assert_eq!(known[last].succession(&list), Succession::Same);
}

#[test]
fn a_device_whose_statement_is_too_old_is_not_on_the_list_of_a_further_move() {
    let mut account = Account::new(3, 3);
    for to in [2, 1, 2] {
        account.move_to(to);
        assert_eq!(account.numbers(), [1, 2, 3]);
    }
    account.move_to(1);
    assert_eq!(account.numbers(), [1, 2]);
}

#[test]
fn an_old_key_that_goes_on_signing_has_not_moved() {
    let mut account = Account::new(4, 2);
    let stolen = account.next(&[1]);
    let known = KnownDeviceList { version: 6, ..stolen.known() };
    account.move_to(2);
    assert_eq!(known.succession(&account.list), Succession::OtherAccountKey);
}

#[test]
fn only_a_companion_that_is_listed_can_propose_a_move() {
    let mut account = Account::new(5, 3);
    let key = AccountKeyPair::generate(&mut account.rng);
    assert_eq!(account.propose(1, &key).err(), Some(ListError::Primary));
    // A device in the place of another one, or with a number that is not on the list.
    account.devices.swap(1, 2);
    assert_eq!(account.propose(2, &key).err(), Some(ListError::Primary));
    account.devices.push(IdentityKeyPair::generate(&mut account.rng));
    assert_eq!(account.propose(4, &key).err(), Some(ListError::Primary));
    account.devices.swap(1, 2);
    let same = AccountKeyPair::from_bytes(&account.key.to_bytes()).unwrap();
    assert_eq!(account.propose(2, &same).err(), Some(ListError::Move));
    account.move_to(2);
    assert_eq!(account.propose(3, &same).err(), Some(ListError::Move), "a key from before");
}

#[test]
fn a_proposal_has_no_effect_without_the_old_key_and_for_another_list() {
    let mut account = Account::new(6, 3);
    let key = AccountKeyPair::generate(&mut account.rng);
    let proposal = account.propose(2, &key).unwrap();
    let unsigned = [&proposal.serialize()[..], &[0; SIGNATURE_LEN]].concat();
    let unsigned = SignedDeviceList::parse(&unsigned).unwrap();
    assert_eq!(unsigned.verify(&USER).err(), Some(ListError::Move));
    let accept = |list: &VerifiedDeviceList, user, device, key: &AccountKeyPair| {
        proposal.clone().accept(list, user, number(device), key, &mut StdRng::seed_from_u64(1)).err()
    };
    assert_eq!(accept(&account.list, &USER, 2, &account.key), None);
    assert_eq!(accept(&account.list, &USER, 2, &key), Some(ListError::Move));
    assert_eq!(accept(&account.list, &USER, 3, &account.key), Some(ListError::Signature));
    assert_eq!(accept(&account.list, &USER, 1, &account.key), Some(ListError::Primary));
    assert_eq!(accept(&account.list, &USER, 4, &account.key), Some(ListError::Primary));
    assert_eq!(accept(&account.list, &[8; 16], 2, &account.key), Some(ListError::Signature));
    // The list has changed since, or the proposal is for another one of the same account.
    for devices in [&[1, 2, 3][..], &[1, 2]] {
        let next = account.next(devices);
        assert_eq!(accept(&next, &USER, 2, &account.key), Some(ListError::Signature));
    }
}

#[test]
fn a_proposal_cannot_add_or_change_a_device() {
    let mut account = Account::new(7, 3);
    let key = AccountKeyPair::generate(&mut account.rng);
    let honest = account.propose(2, &key).unwrap();
    let Account { list: known, key: old, .. } = &account;
    let refused = |change: &dyn Fn(&mut Vec<DeviceEntry>)| {
        let mut entries = honest.0.devices().to_vec();
        change(&mut entries);
        let list = DeviceList::with_moves(5, entries, honest.0.moves().to_vec()).unwrap();
        let changed = MoveProposal(list.sign(&USER, &key, &mut StdRng::seed_from_u64(2)));
        changed.accept(known, &USER, number(2), old, &mut StdRng::seed_from_u64(1)).err()
    };
    assert_eq!(refused(&|_| ()), None);
    let signature = Some(ListError::Signature);
    assert_eq!(refused(&|entries| entries.truncate(2)), signature);
    let new = IdentityKeyPair::generate(&mut StdRng::seed_from_u64(9));
    let with_new = |entries: &mut Vec<DeviceEntry>| {
        let identity = *new.public();
        let rng = &mut StdRng::seed_from_u64(1);
        let binding = DeviceBinding::sign(&USER, number(4), &new, &key.public(), rng);
        entries.push(DeviceEntry { device: number(4), identity, added_ms: 1, is_primary: false, binding });
    };
    assert_eq!(refused(&with_new), signature);
    assert_eq!(refused(&|entries| entries[2].added_ms = 7), signature);
    assert_eq!(refused(&|entries| entries[2].identity = *new.public()), signature);
}

#[test]
fn the_new_primary_device_must_have_agreed() {
    let mut account = Account::new(8, 3);
    // Both account keys are those of an attacker, who moves the account to a device that has agreed to be a companion only.
    let key = AccountKeyPair::generate(&mut account.rng);
    let proposal = account.propose(2, &key).unwrap();
    let binding = account.list.devices()[1].binding;
    let signature = proposal.0.moves()[0].signature;
    let list = follows(&account.list, &USER, (number(2), binding), signature).unwrap();
    let mallory = MoveProposal(list.sign(&USER, &key, &mut account.rng));
    let accepted = mallory.accept(&account.list, &USER, number(2), &account.key, &mut account.rng);
    assert_eq!(accepted.err(), Some(ListError::Binding));
}

#[test]
fn no_byte_of_a_moved_list_can_be_changed() {
    let mut account = Account::new(9, 2);
    account.move_to(2);
    account.move_to(1);
    let bytes = account.list.serialize();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let verified = SignedDeviceList::parse(&changed).map(|list| list.verify(&USER).is_ok());
        assert_ne!(verified, Ok(true), "byte {at}");
    }
    for end in 0..bytes.len() {
        let verified = SignedDeviceList::parse(&bytes[..end]).map(|list| list.verify(&USER).is_ok());
        assert_ne!(verified, Ok(true), "{end} bytes");
    }
    // Without a move, with the moves in another order, and with the move of another account.
    let mut other = Account::new(10, 2);
    other.move_to(2);
    let (list, moves) = (&account.list, account.list.moves());
    let swapped = [moves[1], moves[0]];
    for moves in [&moves[1..], &moves[..1], &[], &swapped[..], &[moves[0], other.list.moves()[0]]] {
        let head = bytes.len() - 2 * MOVE_LEN;
        let mut bytes = list.serialize();
        bytes.truncate(head);
        moves.iter().for_each(|earlier| earlier.write(&mut bytes));
        let verified = SignedDeviceList::parse(&bytes).map(|list| list.verify(&USER).is_ok());
        assert_ne!(verified, Ok(true));
    }
}

#[test]
fn the_signature_of_another_kind_is_no_move() {
    let mut account = Account::new(11, 2);
    account.move_to(2);
    let list = account.list.serialize();
    let end = list.len() - SIGNATURE_LEN;
    // By the same key: the signature of its list.
    let of_list = account.next(&[1, 2]).serialize();
    let of_list = &of_list[of_list.len() - MOVE_LEN - SIGNATURE_LEN..of_list.len() - MOVE_LEN];
    let swapped = SignedDeviceList::parse(&[&list[..end], of_list].concat()).unwrap();
    assert_eq!(swapped.verify(&USER).err(), Some(ListError::Move));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_have_one_form(
        moves in 1..4_usize, at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()
    ) {
        let mut account = Account::new(12, 2);
        (0..moves).for_each(|at| account.move_to(2 - at % 2));
        let mut bytes = account.list.serialize();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len()));
        if let Ok(list) = SignedDeviceList::parse(&bytes) {
            prop_assert_eq!(list.serialize(), &bytes[..]);
        }
        if let Ok(proposal) = MoveProposal::parse(&bytes) {
            prop_assert_eq!(proposal.serialize(), bytes);
        }
    }
}

/// The statements and the digests were computed a second time with another implementation.
#[test]
fn moves_agree_with_the_vectors() {
    let file = vectors::load("account-move");
    for case in file["cases"].as_array().unwrap() {
        let bytes = |field: &str| vectors::bytes(&case[field]);
        let list = SignedDeviceList::parse(&bytes("list")).unwrap().verify(&USER).unwrap();
        assert_eq!(list.serialize(), bytes("list"));
        assert_eq!(list.digest().as_slice(), bytes("digest"));
        assert_eq!(list.primary().unwrap().device.get(), case["primary"]);
        let before = SignedDeviceList::parse(&bytes("before")).unwrap().verify(&USER).unwrap();
        assert_eq!(before.known().succession(&list), Succession::Moved);
        assert_eq!(list.moved_from(before.account_key()).unwrap(), case["version"]);
        let proposal = MoveProposal::parse(&bytes("proposal")).unwrap();
        assert_eq!(proposal.serialize(), bytes("proposal"));
        let old = AccountKeyPair::from_bytes(&bytes("old_key_pair")).unwrap();
        let device = DeviceId::new(u32::try_from(case["primary"].as_u64().unwrap()).unwrap()).unwrap();
        let rng = &mut StdRng::seed_from_u64(1);
        let accepted = proposal.accept(&before, &USER, device, &old, rng).unwrap();
        assert_eq!(accepted.digest(), list.digest());
        let [.., last] = list.moves() else { panic!("{}", case["name"]) };
        let statement = signed_bytes(&USER, (last.from(), list.account_key()), last.version());
        assert_eq!(statement, bytes("statement"));
    }
    for case in file["failures"].as_array().unwrap() {
        let user = vectors::bytes(&case["user"]).try_into().unwrap();
        let error = match SignedDeviceList::parse(&vectors::bytes(&case["list"])) {
            Err(error) => format!("{error:?}"),
            Ok(list) => format!("{:?}", list.verify(&user).unwrap_err()),
        };
        assert_eq!(error, case["error"], "{}", case["name"]);
    }
}
