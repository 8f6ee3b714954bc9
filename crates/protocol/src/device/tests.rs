use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use super::*;
use crate::device::{DeviceBinding, Succession};
use crate::vectors::{self, bytes};
use crate::{DeviceId, IdentityKeyPair};

const USER: AccountId = [7; 16];

struct Account {
    key: AccountKeyPair,
    devices: Vec<DeviceEntry>,
    rng: StdRng,
}

impl Account {
    /// An account with this many devices, the first of which is the primary one.
    fn new(seed: u64, devices: u32) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut account = Self { key: AccountKeyPair::generate(&mut rng), devices: Vec::new(), rng };
        (1..=devices).for_each(|device| account.add(device));
        account
    }

    fn add(&mut self, device: u32) {
        let (device, identity) = (DeviceId::new(device).unwrap(), IdentityKeyPair::generate(&mut self.rng));
        let binding = DeviceBinding::sign(&USER, device, &identity, &self.key.public(), &mut self.rng);
        self.devices.push(DeviceEntry {
            device,
            identity: *identity.public(),
            added_ms: 1_000 + u64::from(device.get()),
            is_primary: self.devices.is_empty(),
            binding,
        });
    }

    fn list(&mut self, version: u64) -> SignedDeviceList {
        let list = DeviceList::new(version, self.devices.clone()).unwrap();
        list.sign(&USER, &self.key, &mut self.rng)
    }
}

fn parse(bytes: &[u8]) -> SignedDeviceList {
    SignedDeviceList::parse(bytes).unwrap()
}

#[test]
fn a_signed_list_is_verified_and_has_one_form() {
    for devices in 1..=5 {
        let signed = Account::new(1, devices).list(9);
        let bytes = signed.serialize();
        assert!(bytes.len() <= 641);
        let verified = parse(&bytes).verify(&USER).unwrap();
        assert_eq!(verified.serialize(), bytes);
        assert_eq!((verified.version(), verified.devices().len()), (9, devices as usize));
        assert_eq!(verified.primary().unwrap().device.get(), 1);
        assert_eq!(verified.account_key(), signed.account_key());
    }
}

#[test]
fn no_byte_of_a_list_can_be_changed() {
    let bytes = Account::new(2, 2).list(1).serialize();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let verified = SignedDeviceList::parse(&changed).map(|list| list.verify(&USER).is_ok());
        assert_ne!(verified, Ok(true), "byte {at}");
    }
    for end in 0..bytes.len() {
        assert!(SignedDeviceList::parse(&bytes[..end]).is_err(), "{end} bytes");
    }
    assert!(SignedDeviceList::parse(&[&bytes[..], &[0]].concat()).is_err());
}

#[test]
fn a_list_is_valid_for_its_user_only() {
    let signed = Account::new(3, 1).list(1);
    assert_eq!(signed.clone().verify(&[8; 16]).err(), Some(ListError::Signature));
    assert!(signed.verify(&USER).is_ok());
}

#[test]
fn a_device_that_has_not_agreed_is_refused() {
    let mut account = Account::new(4, 2);
    let mut other = Account::new(5, 2);
    // The companion belongs to another account, its statement is for another number, or it is that of another device.
    let companion = account.devices[1];
    let moved = DeviceEntry { device: DeviceId::new(3).unwrap(), ..companion };
    let swapped = DeviceEntry { binding: account.devices[0].binding, ..companion };
    for wrong in [other.devices[1], moved, swapped] {
        let devices = vec![account.devices[0], wrong];
        let signed = DeviceList::new(2, devices).unwrap().sign(&USER, &account.key, &mut account.rng);
        assert_eq!(signed.verify(&USER).err(), Some(ListError::Binding));
    }
    // The primary device has to agree as well: somebody with an account key cannot claim the device of another person.
    let stolen = vec![account.devices[0]];
    let signed = DeviceList::new(1, stolen).unwrap().sign(&USER, &other.key, &mut other.rng);
    assert_eq!(signed.verify(&USER).err(), Some(ListError::Binding));
}

#[test]
fn a_signature_of_one_kind_is_not_valid_as_another() {
    let mut account = Account::new(6, 1);
    // The account key of an early account is also an identity key, so both kinds can be by one key.
    let identity = IdentityKeyPair::generate(&mut account.rng);
    let binding = DeviceBinding::sign(
        &USER,
        DeviceId::new(1).unwrap(),
        &identity,
        &AccountKey::from(*identity.public()),
        &mut account.rng,
    );
    let key = AccountKeyPair::from(IdentityKeyPair::from_bytes(&identity.to_bytes()).unwrap());
    let entry = DeviceEntry { identity: *identity.public(), binding, ..account.devices[0] };
    let signed = DeviceList::new(1, vec![entry]).unwrap().sign(&USER, &key, &mut account.rng);
    assert!(signed.clone().verify(&USER).is_ok());
    let mut bytes = signed.serialize();
    let end = bytes.len();
    let (_, of_list) = bytes.split_at_mut(end - 64);
    of_list.copy_from_slice(binding.as_bytes());
    assert_eq!(parse(&bytes).verify(&USER).err(), Some(ListError::Signature));
    let swapped =
        DeviceEntry { binding: DeviceBinding::parse(signed.signature.as_bytes()).unwrap(), ..entry };
    let signed = DeviceList::new(1, vec![swapped]).unwrap().sign(&USER, &key, &mut account.rng);
    assert_eq!(signed.verify(&USER).err(), Some(ListError::Binding));
}

#[test]
fn impossible_lists_are_refused() {
    let account = Account::new(7, 6);
    let all = &account.devices;
    let five = || all[..5].to_vec();
    assert!(DeviceList::new(1, five()).is_ok());
    let error = |version, devices| DeviceList::new(version, devices).err();
    assert_eq!(error(0, five()), Some(ListError::Version));
    assert_eq!(error(1 << 63, five()), Some(ListError::Version));
    assert_eq!(error(1, Vec::new()), Some(ListError::Count));
    assert_eq!(error(1, all.clone()), Some(ListError::Count));
    assert_eq!(error(1, vec![all[1], all[0]]), Some(ListError::Order));
    assert_eq!(error(1, vec![all[0], all[0]]), Some(ListError::Order));
    assert_eq!(error(1, vec![all[1], all[2]]), Some(ListError::Primary));
    let second = DeviceEntry { is_primary: true, ..all[1] };
    assert_eq!(error(1, vec![all[0], second]), Some(ListError::Primary));
    let same_key = DeviceEntry { identity: all[0].identity, ..all[1] };
    assert_eq!(error(1, vec![all[0], same_key]), Some(ListError::IdentityKey));
    let zero = IdentityKey::parse(&[&[5][..], &[0; 32]].concat()).unwrap();
    let low_order = DeviceEntry { identity: zero, ..all[1] };
    assert_eq!(error(1, vec![all[0], low_order]), Some(ListError::IdentityKey));
}

#[test]
fn the_newer_of_two_lists_is_known() {
    let mut account = Account::new(8, 1);
    let first = account.list(3).verify(&USER).unwrap();
    account.add(2);
    let second = account.list(4).verify(&USER).unwrap();
    let fork = account.list(3).verify(&USER).unwrap();
    let other = Account::new(9, 1).list(99).verify(&USER).unwrap();
    let of_first = |list| first.known().succession(list);
    assert_eq!(of_first(&first), Succession::Same);
    assert_eq!(of_first(&second), Succession::Newer);
    assert_eq!(second.known().succession(&first), Succession::Older);
    assert_eq!(of_first(&fork), Succession::Contradicts);
    assert_eq!(of_first(&other), Succession::OtherAccountKey);
    let half = |list: &VerifiedDeviceList| *list.digest().first_chunk().unwrap();
    assert_eq!(first.known().succession_of(3, &half(&first)), Succession::Same);
    assert_eq!(first.known().succession_of(3, &half(&fork)), Succession::Contradicts);
    assert_eq!(first.known().succession_of(4, &half(&second)), Succession::Newer);
    assert_eq!(second.known().succession_of(3, &half(&first)), Succession::Older);
}

#[test]
fn the_same_list_has_the_same_digest_whoever_signed_it_when() {
    let mut account = Account::new(10, 3);
    let [one, two] = [(); 2].map(|()| account.list(5).verify(&USER).unwrap());
    assert_ne!(one.serialize(), two.serialize());
    assert_eq!(one.digest(), two.digest());
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_have_one_form(
        seed in 0..4_u64, at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()
    ) {
        let mut bytes = Account::new(seed, 2).list(1).serialize();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len()));
        if let Ok(list) = SignedDeviceList::parse(&bytes) {
            prop_assert_eq!(list.serialize(), bytes);
        }
    }
}

/// The digests were computed a second time with another implementation.
#[test]
fn lists_agree_with_the_vectors() {
    let file = vectors::load("device-list");
    for case in file["cases"].as_array().unwrap() {
        let bytes = bytes(&case["list"]);
        let verified = parse(&bytes).verify(&USER).unwrap();
        assert_eq!(verified.serialize(), bytes);
        assert_eq!(verified.version(), case["version"]);
        assert_eq!(verified.digest().as_slice(), vectors::bytes(&case["digest"]));
        assert_eq!(verified.account_key().serialize().as_slice(), vectors::bytes(&case["account_key"]));
        let devices = verified.devices().iter().map(|entry| {
            json!({
                "device": entry.device.get(),
                "identity": hex::encode(entry.identity.serialize()),
                "added_ms": entry.added_ms,
                "primary": entry.is_primary,
            })
        });
        assert_eq!(devices.collect::<Value>(), case["devices"]);
    }
}

#[test]
fn every_invalid_list_is_refused_for_its_reason() {
    let file = vectors::load("device-list");
    for case in file["failures"].as_array().unwrap() {
        let user = bytes(&case["user"]).try_into().unwrap();
        let error = match SignedDeviceList::parse(&bytes(&case["list"])) {
            Err(error) => format!("{error:?}"),
            Ok(list) => format!("{:?}", list.verify(&user).unwrap_err()),
        };
        assert_eq!(error, case["error"], "{}", case["name"]);
    }
}
