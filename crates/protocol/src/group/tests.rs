//! Tests of what belongs to rosters: signatures, the secret, links and the ids of sender keys.

use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::Value;

use super::*;
use crate::device::{AccountKey, AccountKeyPair, DeviceBinding};
use crate::vectors::{self, bytes};
use crate::{DeviceId, IdentityKey, IdentityKeyPair};

const GROUP: GroupId = [3; 16];
const USER: [u8; 16] = [7; 16];

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn device(value: &Value) -> DeviceId {
    DeviceId::new(value.as_u64().unwrap().try_into().unwrap()).unwrap()
}

#[test]
fn an_entry_is_signed_by_one_device_only() {
    let (ours, theirs) =
        (IdentityKeyPair::generate(&mut rng()), IdentityKeyPair::from_private(&crate::Secret::new([9; 32])));
    let signature = EntrySignature::sign(b"entry", &ours, &mut rng());
    let signature = EntrySignature::parse(signature.as_bytes()).unwrap();
    assert!(signature.is_of(ours.public(), b"entry"));
    assert!(!signature.is_of(theirs.public(), b"entry"));
    assert!(!signature.is_of(ours.public(), b"entrz"));
    assert!(EntrySignature::parse(&[0; 63]).is_err());
}

#[test]
fn nothing_that_a_device_signs_for_another_purpose_is_an_entry() {
    let pair = IdentityKeyPair::generate(&mut rng());
    let account = AccountKey::from(*pair.public());
    let device = DeviceId::new(1).unwrap();
    let binding = DeviceBinding::sign(&USER, device, &pair, &account, &mut rng());
    let bound = [&USER[..], &[1], &pair.public().serialize(), &account.serialize()].concat();
    assert!(!EntrySignature::parse(binding.as_bytes()).unwrap().is_of(pair.public(), &bound));
    // The key of a link is a key like others: what it signs for a joiner is no entry either.
    let link = LinkSecret::generate(&mut rng());
    let joiner = Joiner { user: &USER, device, account: &account };
    let proof = link.prove(&GROUP, &joiner, &mut rng());
    let key = IdentityKey::parse(&link.public_key()).unwrap();
    let proven = [&GROUP[..], &USER, &[1], &account.serialize()].concat();
    assert!(!EntrySignature::parse(proof.as_bytes()).unwrap().is_of(&key, &proven));
}

#[test]
fn details_are_opened_with_the_same_secret_for_the_same_group_and_kind_only() {
    let secret = GroupSecret::generate(&mut rng());
    let sealed = secret.seal_details(&GROUP, 9, b"title", &mut rng()).unwrap();
    let secret = GroupSecret::parse(secret.expose()).unwrap();
    assert_eq!(secret.open_details(&GROUP, 9, &sealed).unwrap().expose(), b"title");
    let other = GroupSecret::parse(&[1; 32]).unwrap();
    assert_eq!(other.open_details(&GROUP, 9, &sealed).err(), Some(OtherDetails));
    assert_eq!(secret.open_details(&[4; 16], 9, &sealed).err(), Some(OtherDetails));
    assert_eq!(secret.open_details(&GROUP, 6, &sealed).err(), Some(OtherDetails));
    for at in 0..sealed.len() {
        let mut wrong = sealed.clone();
        wrong[at] ^= 1;
        assert_eq!(secret.open_details(&GROUP, 9, &wrong).err(), Some(OtherDetails), "{at}");
        assert_eq!(secret.open_details(&GROUP, 9, &sealed[..at]).err(), Some(OtherDetails), "{at}");
    }
    assert!(GroupSecret::parse(&[0; 31]).is_none());
}

#[test]
fn equal_details_look_different() {
    let (secret, rng) = (GroupSecret::generate(&mut rng()), &mut rng());
    let [one, two] = [(); 2].map(|()| secret.seal_details(&GROUP, 9, b"title", rng).unwrap());
    assert_ne!(one[16..], two[16..]);
}

#[test]
fn a_secret_is_known_by_its_commitment() {
    let (one, other) = (GroupSecret::parse(&[1; 32]).unwrap(), GroupSecret::parse(&[2; 32]).unwrap());
    assert!(one.is_meant_by(&one.commitment()) && !other.is_meant_by(&one.commitment()));
}

#[test]
fn a_proof_is_for_one_link_group_device_and_account() {
    let link = LinkSecret::generate(&mut rng());
    let account = AccountKeyPair::generate(&mut rng()).public();
    let joiner = Joiner { user: &USER, device: DeviceId::new(1).unwrap(), account: &account };
    let proof = link.prove(&GROUP, &joiner, &mut rng());
    let proof = JoinProof::parse(proof.as_bytes()).unwrap();
    let key = LinkSecret::parse(link.expose()).unwrap().public_key();
    assert!(proof.is_valid(&key, &GROUP, &joiner));
    let other = LinkSecret::parse(&[1; 32]).unwrap();
    assert!(!proof.is_valid(&other.public_key(), &GROUP, &joiner));
    assert!(!proof.is_valid(&key, &[4; 16], &joiner));
    assert!(!proof.is_valid(&key, &GROUP, &Joiner { user: &[8; 16], ..joiner }));
    assert!(!proof.is_valid(&key, &GROUP, &Joiner { device: DeviceId::new(2).unwrap(), ..joiner }));
    let account = AccountKeyPair::from(IdentityKeyPair::from_private(&crate::Secret::new([5; 32]))).public();
    assert!(!proof.is_valid(&key, &GROUP, &Joiner { account: &account, ..joiner }));
    let zero = [&[5][..], &[0; 32]].concat().try_into().unwrap();
    assert!(!proof.is_valid(&zero, &GROUP, &joiner) && !proof.is_valid(&[0; 33], &GROUP, &joiner));
    assert!(JoinProof::parse(&[0; 65]).is_err() && LinkSecret::parse(&[0; 31]).is_none());
}

#[test]
fn the_parts_of_a_link_do_not_give_each_other_away() {
    let link = LinkSecret::generate(&mut rng());
    assert_ne!(link.access_token().expose(), link.expose());
    assert_ne!(link.access_token().expose(), &link.public_key()[1..]);
}

proptest! {
    #[test]
    fn each_device_has_another_sender_key_after_every_removal(
        group: [u8; 16], user: [u8; 16], number in 1_u32..=126, removal: u64, which in 0..5,
    ) {
        let identity = *IdentityKeyPair::generate(&mut rng()).public();
        let other = *IdentityKeyPair::from_private(&crate::Secret::new([9; 32])).public();
        let device = |number| DeviceId::new(number).unwrap();
        let id = distribution_id(&group, (&user, device(number)), &identity, removal);
        let flipped = |mut id: [u8; 16]| { id[3] ^= 1; id };
        let different = match which {
            0 => distribution_id(&flipped(group), (&user, device(number)), &identity, removal),
            1 => distribution_id(&group, (&flipped(user), device(number)), &identity, removal),
            2 => distribution_id(&group, (&user, device(127)), &identity, removal),
            3 => distribution_id(&group, (&user, device(number)), &other, removal),
            _ => distribution_id(&group, (&user, device(number)), &identity, removal ^ 1),
        };
        prop_assert_ne!(id, different);
    }
}

/// The hashes and HKDF outputs were computed a second time with another implementation.
#[test]
fn rosters_agree_with_the_vectors() {
    let file = vectors::load("group");
    for case in file["distribution_ids"].as_array().unwrap() {
        let identity = IdentityKey::parse(&bytes(&case["identity"])).unwrap();
        let (user, device) = (array(&case["user"]), device(&case["device"]));
        let version = case["removal_version"].as_u64().unwrap();
        let id = distribution_id(&array(&case["group"]), (&user, device), &identity, version);
        assert_eq!(id.as_bytes().as_slice(), bytes(&case["id"]));
    }
    for case in file["secrets"].as_array().unwrap() {
        let secret = GroupSecret::parse(&bytes(&case["secret"])).unwrap();
        assert_eq!(secret.commitment().as_slice(), bytes(&case["commitment"]));
        let kind = case["kind"].as_u64().unwrap().try_into().unwrap();
        let opened = secret.open_details(&array(&case["group"]), kind, &bytes(&case["details"]));
        match case.get("plaintext") {
            Some(plaintext) => assert_eq!(opened.unwrap().expose(), bytes(plaintext)),
            None => assert_eq!(opened.err(), Some(OtherDetails), "{}", case["name"]),
        }
    }
    for case in file["links"].as_array().unwrap() {
        let link = LinkSecret::parse(&bytes(&case["secret"])).unwrap();
        assert_eq!(link.access_token().expose().as_slice(), bytes(&case["access_token"]));
        assert_eq!(link.public_key().as_slice(), bytes(&case["public_key"]));
        let (user, account) = (array(&case["user"]), AccountKey::parse(&bytes(&case["account"])).unwrap());
        let joiner = Joiner { user: &user, device: device(&case["device"]), account: &account };
        let proof = JoinProof::parse(&bytes(&case["proof"])).unwrap();
        let is_valid = proof.is_valid(&link.public_key(), &array(&case["group"]), &joiner);
        assert_eq!(is_valid, case["valid"].as_bool().unwrap(), "{}", case["name"]);
    }
    for case in file["entries"].as_array().unwrap() {
        let identity = IdentityKey::parse(&bytes(&case["identity"])).unwrap();
        let signature = EntrySignature::parse(&bytes(&case["signature"])).unwrap();
        let is_valid = signature.is_of(&identity, &bytes(&case["unsigned"]));
        assert_eq!(is_valid, case["valid"].as_bool().unwrap(), "{}", case["name"]);
    }
}
