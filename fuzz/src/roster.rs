//! Entries of a roster, as a relay receives them from members and clients from the relay.

use sealpost_wire::id::{DeviceId, UserId};
use sealpost_wire::roster::{
    AccountKey, Author, AuthorList, Change, Create, Details, Entry, Invitation, InviteLink, NewSecret,
    Permissions, Role, Roster, UnsignedEntry, Who,
};

use crate::allocation::{Limit, limited};

/// One copy of the bytes, one of what is kept of them, and a list of invitations that exists three times while it grows.
const PARSE: Limit = Limit { factor: 8, constant: 1024 };

pub(crate) fn run(input: &[u8]) {
    let Ok(entry) = limited(PARSE, input, || Entry::parse(input)) else { return };
    assert_eq!(entry.as_bytes(), input);
    let signature = entry.signature().try_into().unwrap();
    assert_eq!(entry.content().with_signature(signature).unwrap(), entry);
    if let Ok((roster, effect)) = Roster::create(&entry) {
        assert_eq!(roster.state().thread, entry.thread());
        assert_eq!(effect.came, [entry.content().author.user]);
    }
    // The same change by somebody in a group that exists.
    let group = group();
    for author in [entry.content().author.user, user(1), user(2), user(3)] {
        let next = next(&group, Author { user: author, device: device(1) }, entry.content());
        let Ok(next) = next.with_signature(&[0; 64]) else { continue };
        let Ok(effect) = group.judge(&next) else { continue };
        let after = group.clone().take(&effect);
        assert_eq!(after.state().version, group.state().version + 1);
        assert!(after.state().is_dissolved || after.members().any(|(_, member)| member.role == Role::Admin));
        let lost = group.members().filter(|(user, _)| after.member(*user).is_none()).count();
        assert_eq!(lost, effect.left.len());
        assert!(lost == 0 || effect.is_removal());
    }
}

/// The change as the next one of the group.
fn next(group: &Roster, author: Author, content: &UnsignedEntry) -> UnsignedEntry {
    UnsignedEntry {
        thread: group.state().thread,
        version: group.state().version + 1,
        previous: group.state().head,
        author,
        ..content.clone()
    }
}

fn user(number: u8) -> UserId {
    UserId::from_bytes([number; 16])
}

fn device(number: u32) -> DeviceId {
    DeviceId::new(number).unwrap()
}

fn key(byte: u8) -> AccountKey {
    AccountKey::from_slice(&[&[5][..], &[byte; 32]].concat()).unwrap()
}

fn list(account: u8, version: u64, devices: &[u8], moved_from: &[u8]) -> AuthorList {
    let mut bytes = [&key(account).as_bytes()[..], &version.to_be_bytes()].concat();
    bytes.push(u8::try_from(devices.len()).unwrap());
    for device in devices {
        bytes.push(*device);
        bytes.extend([7; 106]);
    }
    bytes.extend([8; 64]);
    for earlier in moved_from {
        bytes.extend(key(*earlier).as_bytes());
        bytes.extend([6; 72]);
    }
    AuthorList::parse(&bytes).unwrap()
}

fn secret() -> NewSecret {
    NewSecret { commitment: [1; 32], details: details() }
}

fn details() -> Details {
    Details::new(vec![2; 40]).unwrap()
}

fn link() -> InviteLink {
    InviteLink { public_key: *key(9).as_bytes(), token_hash: [3; 32] }
}

fn invitation(number: u8) -> Invitation {
    Invitation { user: user(number), account_key: key(number) }
}

fn first() -> Entry {
    let permissions = Permissions { write: Who::Members, add: Who::Members, details: Who::Admins };
    let invited = vec![invitation(2), invitation(3)];
    let create = Create { nonce: [1; 16], permissions, timer_s: 60, secret: secret(), invited };
    let author = Author { user: user(1), device: device(1) };
    UnsignedEntry::first(author, list(1, 1, &[1], &[]), create).with_signature(&[0; 64]).unwrap()
}

/// Two members, the first of them the admin; somebody who is invited; and a link.
fn group() -> Roster {
    let (mut group, _) = Roster::create(&first()).unwrap();
    let accepted = (2, Some(list(2, 1, &[1], &[])), Change::Accept);
    for (author, list, change) in [accepted, (1, None, Change::Link(Some(link())))] {
        let author = Author { user: user(author), device: device(1) };
        let content = UnsignedEntry { author, list, change, ..first().content().clone() };
        let entry = next(&group, author, &content).with_signature(&[0; 64]).unwrap();
        let effect = group.judge(&entry).unwrap();
        group = group.take(&effect);
    }
    group
}

/// One entry of each kind.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let group = group();
    let changes = [
        (1, None, Change::Invite(vec![invitation(4), invitation(5)])),
        (3, Some(list(3, 1, &[1], &[])), Change::Accept),
        (3, Some(list(3, 1, &[1], &[])), Change::Withdraw(vec![user(3)])),
        (6, Some(list(6, 1, &[1, 2], &[])), Change::Join { proof: [1; 64] }),
        (1, None, Change::Remove { users: vec![user(2)], secret: secret() }),
        (2, None, Change::Leave),
        (1, None, Change::Role { user: user(2), role: Role::Admin }),
        (1, None, Change::Details(details())),
        (
            1,
            None,
            Change::Permissions(Permissions { write: Who::Admins, add: Who::Admins, details: Who::Members }),
        ),
        (1, None, Change::Timer(3_600)),
        (1, None, Change::Link(None)),
        (2, Some(list(2, 2, &[1, 3], &[])), Change::Devices { is_removal: false }),
        (2, Some(list(7, 2, &[1, 3], &[2])), Change::Devices { is_removal: true }),
        (2, None, Change::Rekey(secret())),
        (1, None, Change::RekeyMember(Invitation { user: user(2), account_key: key(8) })),
        (1, None, Change::Dissolve),
        (1, None, Change::Unknown { kind: 17, bytes: vec![1, 2, 3] }),
    ];
    let later = changes.into_iter().map(|(author, list, change)| {
        let author = Author { user: user(author), device: device(1) };
        let content = UnsignedEntry { author, list, change, ..first().content().clone() };
        next(&group, author, &content).with_signature(&[0; 64]).unwrap().as_bytes().to_vec()
    });
    std::iter::once(first().as_bytes().to_vec()).chain(later).collect()
}
