use super::super::*;
use super::world::*;
use crate::id::ThreadId;
use crate::limits::MAX_GROUP;

fn remove(number: u8) -> Change {
    Change::Remove { users: vec![user(number)], secret: secret(2) }
}

fn demote(number: u8) -> Change {
    Change::Role { user: user(number), role: Role::Member }
}

fn invite(number: u8) -> Change {
    Change::Invite(vec![invitation(user(number))])
}

fn only_admins() -> Permissions {
    Permissions { write: Who::Admins, add: Who::Admins, details: Who::Admins }
}

#[test]
fn a_group_begins_with_its_creator_and_its_invitations() {
    let entry = first(ADA, &[BEN, CLEO]);
    let (roster, effect) = Roster::create(&entry).unwrap();
    assert_eq!(roster.state().thread.as_bytes()[..], entry.hash()[..16]);
    assert_eq!(roster.member(user(ADA)).unwrap().role, Role::Admin);
    assert_eq!((roster.members().len(), roster.invited().len()), (1, 2));
    assert_eq!(effect.came, [user(ADA)]);
    assert_eq!(effect.newly_invited().collect::<Vec<_>>(), [user(BEN), user(CLEO)]);
    assert!(!effect.is_removal() && !effect.raises_floor() && effect.has_new_secret());
}

#[test]
fn an_invitation_gives_nothing_until_it_is_accepted() {
    let mut group = Group::of(&[BEN]);
    assert_eq!(group.role(BEN), None);
    assert!(!group.roster.may_write(user(BEN)));
    assert_eq!(group.says(BEN, invite(CLEO)), Err(Refusal::NotMember));
    let effect = group.accept(user(BEN)).unwrap();
    assert_eq!(effect.came, [user(BEN)]);
    assert_eq!(effect.uninvited().count(), 0);
    assert_eq!(group.role(BEN), Some(Role::Member));
    assert_eq!(group.roster.member(user(BEN)).unwrap().since, 2);
    assert!(!effect.is_removal() && !effect.raises_floor());
}

#[test]
fn who_is_not_invited_cannot_accept_and_who_is_a_member_cannot_again() {
    let mut group = Group::with(&[BEN]);
    assert_eq!(group.accept(user(CLEO)), Err(Refusal::NotInvited));
    assert_eq!(group.accept(user(BEN)), Err(Refusal::AlreadyMember));
    assert_eq!(group.says(ADA, invite(BEN)), Err(Refusal::AlreadyMember));
    group.says(ADA, invite(CLEO)).unwrap();
    assert_eq!(group.says(ADA, invite(CLEO)), Err(Refusal::AlreadyInvited));
}

#[test]
fn only_the_invited_account_key_accepts() {
    let mut group = Group::of(&[BEN]);
    let other = list_of(key(77), 1, &[1], &[]);
    assert_eq!(group.signs(user(BEN), Some(other), Change::Accept), Err(Refusal::List));
    assert_eq!(group.says(BEN, Change::Accept), Err(Refusal::List));
    let elsewhere = list_of(key_of(user(BEN)), 1, &[2], &[]);
    assert_eq!(group.signs(user(BEN), Some(elsewhere), Change::Accept), Err(Refusal::Device));
    let moved = list_of(key(77), 4, &[1], &[key_of(user(BEN))]);
    group.signs(user(BEN), Some(moved), Change::Accept).unwrap();
    assert_eq!(group.roster.member(user(BEN)).unwrap().account_key, key(77));
}

#[test]
fn an_invitation_is_withdrawn_by_an_admin_by_its_author_or_by_the_invited() {
    let mut group = Group::with(&[BEN, CLEO]);
    group
        .says(BEN, Change::Invite(vec![invitation(user(4)), invitation(user(5)), invitation(user(6))]))
        .unwrap();
    let withdraw = |number| Change::Withdraw(vec![user(number)]);
    assert_eq!(group.says(CLEO, withdraw(4)), Err(Refusal::NotAllowed));
    let effect = group.says(ADA, withdraw(4)).unwrap();
    assert_eq!(effect.uninvited().collect::<Vec<_>>(), [user(4)]);
    group.says(BEN, withdraw(5)).unwrap();
    assert_eq!(group.says(6, withdraw(6)), Err(Refusal::List), "whose devices nobody knows yet");
    let own = |number| Some(list_of(key_of(user(number)), 1, &[1], &[]));
    group.says(ADA, invite(7)).unwrap();
    assert_eq!(group.signs(user(6), own(6), withdraw(7)), Err(Refusal::NotAllowed));
    group.signs(user(6), own(6), withdraw(6)).unwrap();
    assert_eq!(group.says(ADA, withdraw(6)), Err(Refusal::NotInvited));
    assert_eq!(group.accept(user(6)), Err(Refusal::NotInvited));
    assert_eq!(group.roster.invited().len(), 1);
}

#[test]
fn permissions_say_who_invites_and_changes_details() {
    let mut group = Group::with(&[BEN]);
    let details = || Change::Details(Details::new(vec![1; 9]).unwrap());
    group.says(BEN, invite(CLEO)).unwrap();
    assert!(group.says(BEN, details()).unwrap().has_new_details());
    group.says(BEN, Change::Timer(60)).unwrap();
    assert_eq!(group.says(BEN, Change::Permissions(only_admins())), Err(Refusal::NotAllowed));
    assert_eq!(group.says(ADA, Change::Permissions(OPEN)), Err(Refusal::NoChange));
    group.says(ADA, Change::Permissions(only_admins())).unwrap();
    for change in [invite(9), details(), Change::Timer(0)] {
        assert_eq!(group.says(BEN, change), Err(Refusal::NotAllowed));
    }
    assert!(!group.roster.may_write(user(BEN)) && group.roster.may_write(user(ADA)));
    group.says(ADA, Change::Timer(0)).unwrap();
    assert_eq!(group.says(ADA, Change::Timer(0)), Err(Refusal::NoChange));
}

#[test]
fn only_what_takes_the_right_to_write_away_refuses_posts_of_before() {
    let mut group = Group::with(&[BEN]);
    let stricter = Permissions { write: Who::Admins, ..OPEN };
    let quiet = Permissions { add: Who::Admins, details: Who::Admins, ..OPEN };
    assert!(!group.says(ADA, Change::Permissions(quiet)).unwrap().raises_floor());
    let effect = group.says(ADA, Change::Permissions(stricter)).unwrap();
    assert!(effect.raises_floor() && !effect.is_removal());
    assert!(!group.says(ADA, Change::Permissions(OPEN)).unwrap().raises_floor());
    assert_eq!(group.roster.state().floor, effect.state.version);
}

#[test]
fn admin_changes_are_refused_to_members() {
    let mut group = Group::with(&[BEN, CLEO]);
    let link = InviteLink { public_key: *key(1).as_bytes(), token_hash: [1; 32] };
    for change in [
        remove(CLEO),
        Change::Role { user: user(BEN), role: Role::Admin },
        Change::Link(Some(link)),
        Change::RekeyMember(Invitation { user: user(CLEO), account_key: key(50) }),
        Change::Dissolve,
    ] {
        assert_eq!(group.says(BEN, change.clone()), Err(Refusal::NotAllowed), "{change:?}");
    }
    assert_eq!(group.says(9, Change::Leave), Err(Refusal::NotMember));
}

#[test]
fn a_removal_takes_the_member_the_link_and_the_old_secret_away() {
    let mut group = Group::with(&[BEN, CLEO]);
    let link = InviteLink { public_key: *key(1).as_bytes(), token_hash: [1; 32] };
    group.says(ADA, Change::Link(Some(link))).unwrap();
    assert_eq!(group.says(ADA, Change::Link(Some(link))), Err(Refusal::NoChange));
    let join = || Change::Join { proof: [1; 64] };
    let list = |number| Some(list_of(key_of(user(number)), 1, &[1], &[]));
    assert_eq!(group.signs(user(7), None, join()), Err(Refusal::List));
    assert_eq!(group.signs(user(7), list(7), join()).unwrap().came, [user(7)]);
    assert_eq!(group.signs(user(7), list(7), join()), Err(Refusal::AlreadyMember));
    let effect = group.says(ADA, remove(BEN)).unwrap();
    assert_eq!(effect.left, [user(BEN)]);
    assert_eq!(effect.members, [(user(BEN), None)].into());
    assert!(effect.is_removal() && effect.raises_floor() && effect.has_new_secret());
    assert_eq!(effect.state.commitment, [2; 32]);
    assert_eq!(group.signs(user(BEN), list(BEN), join()), Err(Refusal::NoLink));
    assert_eq!(group.signs(user(8), list(8), join()), Err(Refusal::NoLink));
    assert_eq!(group.says(BEN, Change::Timer(5)), Err(Refusal::NotMember), "a late entry of theirs");
    assert_eq!(group.says(ADA, remove(BEN)), Err(Refusal::NotMember));
    assert_eq!(group.says(ADA, remove(ADA)), Err(Refusal::Oneself));
}

#[test]
fn an_invited_person_who_joins_by_the_link_is_not_invited_any_more() {
    let mut group = Group::of(&[BEN]);
    let link = InviteLink { public_key: *key(1).as_bytes(), token_hash: [1; 32] };
    group.says(ADA, Change::Link(Some(link))).unwrap();
    let other = list_of(key(60), 1, &[1], &[]);
    let effect = group.signs(user(BEN), Some(other), Change::Join { proof: [1; 64] }).unwrap();
    assert_eq!((group.roster.invited().len(), effect.uninvited().count()), (0, 0));
    assert_eq!(group.roster.member(user(BEN)).unwrap().account_key, key(60));
}

#[test]
fn the_last_admin_neither_leaves_nor_demotes_themself() {
    let mut group = Group::with(&[BEN]);
    assert_eq!(group.says(ADA, Change::Leave), Err(Refusal::LastAdmin));
    assert_eq!(group.says(ADA, demote(ADA)), Err(Refusal::LastAdmin));
    group.promote(BEN);
    let effect = group.says(ADA, demote(ADA)).unwrap();
    assert!(effect.raises_floor() && !effect.is_removal());
    assert_eq!(group.says(BEN, demote(ADA)), Err(Refusal::NoChange));
    let effect = group.says(ADA, Change::Leave).unwrap();
    assert!(effect.is_removal() && !effect.has_new_secret() && effect.left == [user(ADA)]);
    assert!(group.roster.state().is_secret_stale());
}

#[test]
fn the_group_ends_with_its_last_member() {
    let mut group = Group::of(&[BEN]);
    let effect = group.says(ADA, Change::Leave).unwrap();
    assert!(effect.state.is_dissolved);
    assert_eq!(effect.uninvited().collect::<Vec<_>>(), [user(BEN)]);
    assert_eq!(group.accept(user(BEN)), Err(Refusal::Dissolved));
}

#[test]
fn a_demoted_admin_has_no_rights_from_the_next_version_on() {
    let mut group = Group::with(&[BEN, CLEO]);
    group.promote(BEN);
    let late =
        sign(&unsigned(&group.roster, Author { user: user(BEN), device: device(1) }, None, remove(CLEO)));
    assert!(group.roster.judge(&late).is_ok(), "at the version for which it was signed");
    group.says(ADA, demote(BEN)).unwrap();
    assert_eq!(group.roster.judge(&late), Err(Refusal::Chain(ChainError::Version)));
    assert_eq!(group.says(BEN, remove(CLEO)), Err(Refusal::NotAllowed));
}

#[test]
fn of_two_admins_who_change_one_version_one_wins() {
    let mut group = Group::with(&[BEN]);
    group.promote(BEN);
    let before = group.roster.clone();
    group.says(ADA, Change::Timer(7)).unwrap();
    let author = Author { user: user(BEN), device: device(1) };
    let mut second = unsigned(&before, author, None, Change::Timer(9));
    assert_eq!(group.roster.judge(&sign(&second)), Err(Refusal::Chain(ChainError::Version)));
    second.version = second.version.checked_add(1).unwrap();
    assert_eq!(group.roster.judge(&sign(&second)), Err(Refusal::Chain(ChainError::Previous)));
    second.previous = group.roster.state().head;
    let effect = group.roster.judge(&sign(&second)).unwrap();
    assert_eq!(effect.state.timer_s, 9, "signed anew");
}

/// The chain makes a replay impossible, whatever the entry was: also an addition that would be allowed again.
#[test]
fn no_entry_is_taken_twice_or_in_another_group() {
    let mut group = Group::with(&[BEN]);
    group.says(ADA, remove(BEN)).unwrap();
    for entry in &group.entries {
        assert!(matches!(group.roster.judge(entry), Err(Refusal::Chain(_))), "{entry:?}");
    }
    let mut other = group.clone();
    other.roster.state.thread = ThreadId::from_bytes([9; 16]);
    let author = Author { user: user(ADA), device: device(1) };
    let entry = sign(&unsigned(&other.roster, author, None, Change::Timer(3)));
    assert_eq!(group.roster.judge(&entry), Err(Refusal::Chain(ChainError::Thread)));
    assert!(other.roster.judge(&entry).is_ok());
}

#[test]
fn a_forked_and_a_shortened_chain_do_not_fit() {
    let mut group = Group::with(&[BEN, CLEO]);
    let mut fork = group.clone();
    group.says(ADA, Change::Timer(1)).unwrap();
    fork.says(ADA, Change::Timer(2)).unwrap();
    fork.says(ADA, Change::Timer(3)).unwrap();
    let next = fork.entries.last().unwrap();
    assert_eq!(group.roster.judge(next), Err(Refusal::Chain(ChainError::Previous)));

    let (mut shortened, _) = Roster::create(group.entries.first().unwrap()).unwrap();
    for entry in group.entries.iter().skip(2) {
        assert!(matches!(shortened.judge(entry), Err(Refusal::Chain(ChainError::Version))));
    }
    for entry in group.entries.iter().skip(1) {
        let effect = shortened.judge(entry).unwrap();
        shortened = shortened.take(&effect);
    }
    assert_eq!(shortened, group.roster, "the whole chain fits");
}

#[test]
fn a_group_begins_with_a_creation_only_and_has_one() {
    let group = Group::with(&[BEN]);
    for entry in group.entries.iter().skip(1) {
        assert!(Roster::create(entry).is_err());
    }
    assert!(matches!(group.roster.judge(&first(ADA, &[])), Err(Refusal::Chain(_))));
}

#[test]
fn there_are_at_most_1024_members_and_invited_people() {
    let many: Vec<Invitation> = (0..1_023).map(|at| invitation(nth(at))).collect();
    let author = Author { user: user(ADA), device: device(1) };
    let list = list_of(key_of(author.user), 1, &[1, 2, 3, 4, 5], &[key(4), key(5), key(6)]);
    let mut create = creation(many);
    create.secret.details = Details::new(vec![1; 4_096]).unwrap();
    let entry = sign(&UnsignedEntry::first(author, list, create));
    let (roster, _) = Roster::create(&entry).unwrap();
    assert_eq!(roster.members().len() + roster.invited().len(), MAX_GROUP);
    let mut group = Group { roster, entries: vec![entry] };
    group.accept(nth(0)).unwrap();
    assert_eq!(group.says(ADA, invite(BEN)), Err(Refusal::TooMany));
    let link = InviteLink { public_key: *key(1).as_bytes(), token_hash: [1; 32] };
    group.says(ADA, Change::Link(Some(link))).unwrap();
    let list = list_of(key_of(user(BEN)), 1, &[1], &[]);
    let join = || Change::Join { proof: [1; 64] };
    assert_eq!(group.signs(user(BEN), Some(list.clone()), join()), Err(Refusal::TooMany));
    group.says(ADA, Change::Withdraw(vec![nth(9)])).unwrap();
    group.signs(user(BEN), Some(list), join()).unwrap();
}

#[test]
fn an_entry_comes_from_a_device_on_the_newest_list_of_its_author() {
    let mut group = Group::with(&[BEN]);
    let second = Author { user: user(BEN), device: device(2) };
    let list = |version, devices: &[u8]| Some(list_of(key_of(user(BEN)), version, devices, &[]));
    assert_eq!(group.signs_with(second, None, Change::Timer(1)), Err(Refusal::Device));
    assert_eq!(group.signs_with(second, list(2, &[1]), Change::Timer(1)), Err(Refusal::Device));
    group.signs_with(second, list(2, &[1, 2]), Change::Timer(1)).unwrap();
    assert_eq!(group.roster.member(user(BEN)).unwrap().list_version, 2);
    group.signs_with(second, None, Change::Timer(2)).unwrap();
    let stale = list(1, &[1, 2]);
    assert_eq!(group.signs_with(second, stale, Change::Timer(3)), Err(Refusal::List));
    let other = Some(list_of(key(70), 3, &[1, 2], &[key_of(user(BEN))]));
    assert_eq!(group.signs_with(second, other, Change::Timer(3)), Err(Refusal::List));
}

#[test]
fn a_device_that_is_gone_is_stated_and_counts_as_a_removal() {
    let mut group = Group::with(&[BEN]);
    let list = |version, devices: &[u8]| Some(list_of(key_of(user(BEN)), version, devices, &[]));
    let devices = |is_removal| Change::Devices { is_removal };
    let effect = group.signs(user(BEN), list(2, &[1, 2]), devices(false)).unwrap();
    assert!(!effect.is_removal() && effect.came.is_empty() && effect.members.len() == 1);
    assert_eq!(group.signs(user(BEN), list(2, &[1, 2]), devices(false)), Err(Refusal::NoChange));
    assert_eq!(group.signs(user(BEN), list(1, &[1, 2]), devices(false)), Err(Refusal::List));
    assert_eq!(group.signs(user(BEN), list(3, &[1]), Change::Timer(1)), Err(Refusal::DeviceGone));
    assert_eq!(group.signs(user(BEN), list(3, &[1]), devices(false)), Err(Refusal::DeviceGone));
    assert_eq!(group.signs(user(BEN), list(3, &[1, 2]), devices(true)), Err(Refusal::DeviceGone));
    assert_eq!(group.says(BEN, devices(true)), Err(Refusal::List));
    let effect = group.signs(user(BEN), list(3, &[1]), devices(true)).unwrap();
    assert!(effect.is_removal() && effect.raises_floor() && effect.left.is_empty());
    let gone = Author { user: user(BEN), device: device(2) };
    assert_eq!(group.signs_with(gone, None, Change::Timer(1)), Err(Refusal::Device));
}

#[test]
fn a_moved_account_states_its_new_key() {
    let mut group = Group::with(&[BEN]);
    let moved = |from| Some(list_of(key(70), 5, &[1, 2], &[from]));
    let devices = |is_removal| Change::Devices { is_removal };
    assert_eq!(group.signs(user(BEN), moved(key(71)), devices(true)), Err(Refusal::List));
    assert_eq!(group.signs(user(BEN), moved(key_of(user(BEN))), devices(false)), Err(Refusal::DeviceGone));
    assert!(group.signs(user(BEN), moved(key_of(user(BEN))), devices(true)).unwrap().is_removal());
    assert_eq!(group.roster.member(user(BEN)).unwrap().account_key, key(70));
}

#[test]
fn another_account_key_of_a_member_needs_an_admin() {
    let mut group = Group::with(&[BEN]);
    let rekey = |number, key| Change::RekeyMember(Invitation { user: user(number), account_key: key });
    let new = Some(list_of(key(70), 1, &[1], &[]));
    assert_eq!(group.signs(user(BEN), new.clone(), Change::Timer(1)), Err(Refusal::List));
    assert_eq!(group.says(ADA, rekey(ADA, key(70))), Err(Refusal::Oneself));
    assert_eq!(group.says(ADA, rekey(BEN, key_of(user(BEN)))), Err(Refusal::NoChange));
    assert_eq!(group.says(ADA, rekey(9, key(70))), Err(Refusal::NotMember));
    let effect = group.says(ADA, rekey(BEN, key(70))).unwrap();
    assert!(effect.is_removal() && group.roster.state().is_secret_stale());
    assert_eq!(group.says(BEN, Change::Timer(1)), Err(Refusal::Device));
    group.signs(user(BEN), new, Change::Timer(1)).unwrap();
}

#[test]
fn the_secret_is_replaced_only_when_somebody_who_knows_it_is_gone() {
    let mut group = Group::with(&[BEN, CLEO]);
    assert_eq!(group.says(BEN, Change::Rekey(secret(5))), Err(Refusal::SecretIsCurrent));
    group.says(CLEO, Change::Leave).unwrap();
    let effect = group.says(BEN, Change::Rekey(secret(5))).unwrap();
    assert!(effect.has_new_secret() && effect.has_new_details() && !effect.is_removal());
    assert_eq!(effect.state.commitment, [5; 32]);
    assert_eq!(group.says(ADA, Change::Rekey(secret(6))), Err(Refusal::SecretIsCurrent));
    group.says(ADA, remove(BEN)).unwrap();
    assert_eq!(group.says(ADA, Change::Rekey(secret(6))), Err(Refusal::SecretIsCurrent));
}

#[test]
fn nothing_follows_when_the_group_was_dissolved() {
    let mut group = Group::of(&[BEN, CLEO]);
    group.accept(user(BEN)).unwrap();
    let effect = group.says(ADA, Change::Dissolve).unwrap();
    assert!(effect.state.is_dissolved && effect.raises_floor() && effect.left.is_empty());
    assert_eq!(effect.uninvited().collect::<Vec<_>>(), [user(CLEO)]);
    assert!(!group.roster.may_write(user(ADA)));
    for change in [Change::Leave, Change::Timer(1), Change::Dissolve, invite(9)] {
        assert_eq!(group.says(ADA, change), Err(Refusal::Dissolved));
    }
}

#[test]
fn an_entry_without_effect_takes_its_version_and_nothing_else() {
    let mut group = Group::with(&[BEN, CLEO]);
    let author = Author { user: user(BEN), device: device(1) };
    let entry = sign(&unsigned(&group.roster, author, None, remove(CLEO)));
    let before = group.roster.clone();
    let effect = group.roster.without_effect(&entry).unwrap();
    group.roster = group.roster.take(&effect);
    assert_eq!(group.roster.without_effect(&entry), Err(ChainError::Version));
    let expected = State { version: entry.version(), head: *entry.hash(), ..before.state().clone() };
    assert_eq!(*group.roster.state(), expected);
    assert!(before.members().eq(group.roster.members()));
    group.says(ADA, Change::Timer(1)).unwrap();
}

#[test]
fn an_entry_that_is_not_understood_is_remembered() {
    let mut group = Group::with(&[BEN]);
    let author = Author { user: user(ADA), device: device(1) };
    let unknown = || Change::Unknown { kind: 200, bytes: vec![1, 2] };
    let entry = sign(&unsigned(&group.roster, author, None, unknown()));
    assert_eq!(group.roster.judge(&entry), Err(Refusal::UnknownKind));
    let effect = group.roster.not_understood(&entry).unwrap();
    group.roster = group.roster.take(&effect);
    let since = entry.version();
    assert_eq!(group.roster.state().unknown_since, since);
    let entry = sign(&unsigned(&group.roster, author, None, unknown()));
    let effect = group.roster.not_understood(&entry).unwrap();
    assert_eq!(effect.state.unknown_since, since);
}
