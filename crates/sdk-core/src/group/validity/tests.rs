//! Tests of the validity of entries, with keys and signatures.

mod hostile;

use sealpost_protocol::IdentityKeyPair;
use sealpost_wire::roster::{Permissions, Role, Who};

use super::*;
use crate::group::form::{carried, named};
use crate::group::people::{Person, Signing, user};

/// Ada, who has made a group, and Ben, who has accepted.
fn two() -> (Person, Person, Signing) {
    let (ada, ben) = (Person::new(1, 1), Person::new(2, 1));
    let mut group = Signing::created_by(&ada, &[&ben]);
    assert_eq!(group.says(&ben, 1, Change::Accept), Outcome::Valid);
    (ada, ben, group)
}

fn promote(number: u8, role: Role) -> Change {
    Change::Role { user: user(number), role }
}

#[test]
fn what_members_sign_is_valid() {
    let (ada, ben, mut group) = two();
    assert_eq!(group.says(&ada, 1, promote(2, Role::Admin)), Outcome::Valid);
    assert_eq!(group.says(&ben, 1, promote(1, Role::Member)), Outcome::Valid);
    assert_eq!(group.roster.member(user(1)).unwrap().role, Role::Member);
    let again = group.as_a_newcomer();
    assert_eq!((again.roster, again.lists), (group.roster, group.lists));
}

#[test]
fn an_entry_that_its_author_has_not_signed_has_no_effect() {
    let (ada, ben, mut group) = two();
    // Ben signs in the name of Ada, and the relay in the name of anybody.
    let by_ben = group.sign(&ada, 1, promote(2, Role::Admin), ben.identity(1));
    assert_eq!(group.add(&by_ben), Outcome::Invalid(Invalid::Signature));
    let nobody = IdentityKeyPair::from_private(&sealpost_protocol::Secret::new([9; 32]));
    let by_relay = group.sign(&ada, 1, promote(2, Role::Admin), &nobody);
    assert_eq!(group.add(&by_relay), Outcome::Invalid(Invalid::Signature));
    assert_eq!(group.roster.member(user(2)).unwrap().role, Role::Member);
    // The version is used up, and the group goes on.
    assert_eq!(group.roster.state().version, 4);
    assert_eq!(group.says(&ada, 1, promote(2, Role::Admin)), Outcome::Valid);
}

#[test]
fn a_signature_is_for_one_entry_only() {
    let (ada, _, mut group) = two();
    let signed = group.sign(&ada, 1, Change::Timer(5), ada.identity(1));
    let mut other = signed.content().clone();
    other.change = promote(2, Role::Admin);
    let forged = other.with_signature(signed.signature().try_into().unwrap()).unwrap();
    assert_eq!(group.add(&forged), Outcome::Invalid(Invalid::Signature));
}

#[test]
fn a_device_signs_if_it_is_on_the_list_of_its_account() {
    let (_, mut ben, mut group) = two();
    ben.link(2);
    // The relay has not been shown the new list, and Ben's second device is not on the old one.
    let unlisted = group.sign_without_list(&ben, 2, Change::Timer(5), ben.identity(2));
    assert_eq!(group.add(&unlisted), Outcome::Invalid(Invalid::Device));
    assert_eq!(group.says(&ben, 2, Change::Timer(5)), Outcome::Valid, "the entry carries the new list");
    let known = group.sign_without_list(&ben, 2, Change::Timer(6), ben.identity(2));
    assert_eq!(group.add(&known), Outcome::Valid);
}

#[test]
fn a_list_is_signed_by_the_account_that_is_a_member() {
    let (ada, ben, mut group) = two();
    // A list of Ben's devices under another account key, and one of another user.
    let impostor = Person::new(7, 1).named(2);
    let entry = group.sign(&impostor, 1, Change::Timer(1), impostor.identity(1));
    assert_eq!(group.add(&entry), Outcome::Invalid(Invalid::List));
    let mut stolen = group.sign(&ben, 1, Change::Timer(1), ben.identity(1)).content().clone();
    stolen.list = carried(&ada.list());
    let entry = group.signed(&stolen, ben.identity(1));
    assert_eq!(group.add(&entry), Outcome::Invalid(Invalid::List));
    // An admin has to say that the other key is Ben's, too.
    let member = sealpost_wire::roster::Invitation {
        user: user(2),
        account_key: named(impostor.list().account_key()).unwrap(),
    };
    assert_eq!(group.says(&ada, 1, Change::RekeyMember(member)), Outcome::Valid);
    assert_eq!(group.says(&impostor, 1, Change::Timer(1)), Outcome::Valid);
    let late = group.sign(&ben, 1, Change::Timer(2), ben.identity(1));
    assert_eq!(group.add(&late), Outcome::Invalid(Invalid::List));
}

#[test]
fn lists_of_a_member_never_go_back_and_never_contradict() {
    let (_, mut ben, mut group) = two();
    let first = ben.list();
    ben.link(2);
    let fork = ben.list();
    ben.unlink(2);
    ben.link(3);
    assert_eq!(group.says(&ben, 3, Change::Timer(1)), Outcome::Valid);
    for old in [&first, &fork] {
        let mut entry = group.sign(&ben, 1, Change::Timer(2), ben.identity(1)).content().clone();
        entry.list = carried(old);
        let entry = group.signed(&entry, ben.identity(1));
        assert_eq!(group.add(&entry), Outcome::Invalid(Invalid::List));
    }
    // The same version with other devices.
    let mut twin = ben.clone_with_version(ben.list().version());
    twin.link_at_version(4, ben.list().version());
    let entry = group.sign(&twin, 1, Change::Timer(2), ben.identity(1));
    assert_eq!(group.add(&entry), Outcome::Invalid(Invalid::List));
}

#[test]
fn a_device_does_not_get_another_key() {
    let (_, mut ben, mut group) = two();
    ben.link(2);
    assert_eq!(group.says(&ben, 2, Change::Timer(1)), Outcome::Valid);
    ben.replace(2);
    let entry = group.sign(&ben, 2, Change::Timer(2), ben.identity(2));
    assert_eq!(group.add(&entry), Outcome::Invalid(Invalid::List));
}

#[test]
fn a_device_that_is_gone_is_stated_truly() {
    let (_, mut ben, mut group) = two();
    ben.link(2);
    assert_eq!(group.says(&ben, 2, Change::Devices { is_removal: false }), Outcome::Valid);
    ben.unlink(2);
    let gone = Outcome::Invalid(Invalid::Rule(Refusal::DeviceGone));
    assert_eq!(group.says(&ben, 1, Change::Timer(1)), gone);
    assert_eq!(group.says(&ben, 1, Change::Devices { is_removal: false }), gone);
    assert_eq!(group.says(&ben, 1, Change::Devices { is_removal: true }), Outcome::Valid);
    assert_eq!(group.roster.state().removal_version, group.roster.state().version);
}

#[test]
fn somebody_joins_who_has_the_link() {
    use sealpost_protocol::group::LinkSecret;
    use sealpost_wire::roster::InviteLink;

    let (ada, ben, mut group) = two();
    let cleo = Person::new(3, 1);
    let secret = |byte| LinkSecret::parse(&[byte; 32]).unwrap();
    let link = InviteLink { public_key: secret(1).public_key(), token_hash: [0; 32] };
    assert_eq!(group.says(&ada, 1, Change::Link(Some(link))), Outcome::Valid);
    let join = |group: &Signing, person: &Person, secret: &LinkSecret| {
        let device = ProtocolDevice::new(1).unwrap();
        let list = person.list();
        let user = person.user();
        let joiner = Joiner { user: user.as_bytes(), device, account: list.account_key() };
        let thread = group.roster.state().thread;
        let proof = secret.prove(thread.as_bytes(), &joiner, &mut rand::rng());
        Change::Join { proof: *proof.as_bytes() }
    };
    let wrong = join(&group, &cleo, &secret(2));
    assert_eq!(group.says(&cleo, 1, wrong), Outcome::Invalid(Invalid::Proof));
    let of_ben = join(&group, &ben, &secret(1));
    assert_eq!(group.says(&cleo, 1, of_ben), Outcome::Invalid(Invalid::Proof));
    let right = join(&group, &cleo, &secret(1));
    assert_eq!(group.says(&cleo, 1, right), Outcome::Valid);
    assert!(group.roster.member(user(3)).is_some());
}

#[test]
fn a_group_begins_with_what_its_creator_has_signed() {
    let ada = Person::new(1, 1);
    let ben = Person::new(2, 1);
    let first = Signing::first_entry(&ada, &[&ben], ada.identity(1));
    assert!(begin(&first).is_ok());
    let forged = Signing::first_entry(&ada, &[&ben], ben.identity(1));
    assert_eq!(begin(&forged).err(), Some(Invalid::Signature));
    let mut content = first.content().clone();
    content.list = carried(&ben.list());
    let signature = first.signature().try_into().unwrap();
    assert_eq!(begin(&content.with_signature(signature).unwrap()).err(), Some(Invalid::List));
}

#[test]
fn what_is_not_understood_is_known_to_be_signed() {
    let (ada, _, mut group) = two();
    let unknown = || Change::Unknown { kind: 99, bytes: vec![1] };
    let forged = group.sign(&ada, 1, unknown(), &IdentityKeyPair::generate(&mut rand::rng()));
    assert_eq!(group.add(&forged), Outcome::Invalid(Invalid::Signature));
    assert_eq!(group.roster.state().unknown_since, 0);
    assert_eq!(group.says(&ada, 1, unknown()), Outcome::NotUnderstood);
    assert_eq!(group.roster.state().unknown_since, 4);
}

#[test]
fn what_the_rules_refuse_has_no_effect() {
    let (_, ben, mut group) = two();
    let strict = Permissions { write: Who::Admins, add: Who::Admins, details: Who::Admins };
    let refused = Outcome::Invalid(Invalid::Rule(Refusal::NotAllowed));
    assert_eq!(group.says(&ben, 1, Change::Permissions(strict)), refused);
    assert_eq!(group.says(&ben, 1, Change::Dissolve), refused);
}
