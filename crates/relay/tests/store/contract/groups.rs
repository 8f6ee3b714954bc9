//! The guarantees of `Groups` and `Jobs`.

use futures_util::future::join_all;
use sealpost_relay::address::Address;
use sealpost_relay::store::{
    Appended, Claim, Created, Entered, Fanout, GroupAppend, InboxKey, NewEntry, NewMail, NewThread, Posted,
    Progress, RosterQuery, Row, Store, Stored,
};
use sealpost_wire::Envelope;
use sealpost_wire::id::{ClientMsgId, ThreadId, UserId};
use sealpost_wire::roster::{Change, Entry, Permissions, Refusal, Role, Who};

use crate::entries::{Chain, by, invitation, link, remove};
use crate::world::*;

const JOB: [u8; 16] = [0x0b; 16];

fn new_entry(entry: &Entry) -> NewEntry {
    let author = entry.content().author;
    NewEntry {
        author: Address { user: author.user, device: author.device },
        entry: entry.clone(),
        link: None,
        job: JOB,
        expires_ms: NOW_MS + 30 * 24 * 3_600_000,
        now_ms: NOW_MS,
    }
}

async fn enter(store: &dyn Store, chain: &mut Chain, author: Address, change: Change) -> (Stored, Fanout) {
    let entry = chain.next(by(author.user), change);
    match store.enter(new_entry(&entry)).await.unwrap() {
        Entered::Stored(stored, fanout) => {
            chain.take(&entry);
            (stored, fanout)
        }
        refused => panic!("{refused:?}"),
    }
}

fn seq_of(entered: &(Stored, Fanout)) -> u64 {
    entered.0.server_seq
}

/// A group of users with these numbers, the first of whom has created it.
async fn group(store: &dyn Store, users: &[u8]) -> (Chain, Vec<Address>) {
    let mut members = Vec::new();
    for user in users {
        members.push(register(store, *user, 0..0).await);
    }
    let invited: Vec<UserId> = members[1..].iter().map(|member| member.user).collect();
    let (mut chain, entry) = Chain::create(by(members[0].user), &invited, 1);
    assert!(matches!(store.enter(new_entry(&entry)).await, Ok(Entered::Stored(..))));
    for member in &members[1..] {
        enter(store, &mut chain, *member, Change::Accept).await;
    }
    for member in &members {
        clear(store, *member).await;
    }
    (chain, members)
}

fn post(chain: &Chain, sender: Address, n: u64) -> GroupAppend {
    GroupAppend {
        sender,
        client_msg_id: ClientMsgId::new(NOW_MS + n, &[1; 10]),
        thread: chain.thread,
        roster_version: chain.version,
        body_hash: [1; 32],
        envelope: Envelope { kind: 3, ciphertext: vec![9; 40].into(), ..Envelope::default() },
        expires_ms: NOW_MS + 30 * 24 * 3_600_000,
        job: JOB,
        now_ms: NOW_MS,
    }
}

async fn rows(store: &dyn Store, owner: Address) -> Vec<Row> {
    store.inbox_arrivals(owner, 0, ALL).await.unwrap().rows
}

async fn seqs(store: &dyn Store, owner: Address) -> Vec<u64> {
    rows(store, owner).await.iter().map(|row| row.key.server_seq).collect()
}

/// Acknowledges everything.
async fn clear(store: &dyn Store, owner: Address) {
    let keys = rows(store, owner).await.iter().map(|row| row.key).collect();
    store.inbox_ack(owner, keys).await.unwrap();
}

async fn roster(store: &dyn Store, chain: &Chain, reader: Address, after: u64) -> Option<Vec<u64>> {
    let query =
        RosterQuery { thread: chain.thread, reader: reader.user, link: None, after, bytes: usize::MAX };
    let found = store.roster(query).await.unwrap()?;
    Some(found.rows.iter().map(|(entry, _)| Entry::parse(entry).unwrap().version()).collect())
}

pub(crate) async fn an_entry_takes_a_place_and_reaches_those_whom_it_concerns(store: &dyn Store) {
    let [a, b, c, d] = [1, 2, 3, 4].map(|user| register(store, user, 0..0));
    let (a, b, c, d) = (a.await, b.await, c.await, d.await);
    let (mut chain, first) = Chain::create(by(a.user), &[b.user, c.user], 1);
    let Ok(Entered::Stored(stored, fanout)) = store.enter(new_entry(&first)).await else { panic!() };
    assert_eq!((stored.server_seq, fanout), (1, Fanout::Inline(vec![b, c])));
    assert_eq!(store.enter(new_entry(&first)).await, Ok(Entered::Repeated(stored)));
    let invited = rows(store, b).await;
    assert_eq!(invited[0].message.envelope.kind, 5);
    assert_eq!(&invited[0].message.envelope.ciphertext[..], first.as_bytes());
    assert_eq!(invited[0].message.client_msg_id.as_bytes(), &first.hash()[..16]);
    assert!(invited[0].message.envelope.urgent);
    // Who is invited gets nothing until they accept.
    assert_eq!(seq_of(&enter(store, &mut chain, a, Change::Timer(60)).await), 2);
    assert_eq!(seqs(store, b).await, [1]);
    assert_eq!(seq_of(&enter(store, &mut chain, b, Change::Accept).await), 3);
    assert_eq!(seqs(store, a).await, [3]);
    assert_eq!(seq_of(&enter(store, &mut chain, b, Change::Invite(vec![invitation(d.user)])).await), 4);
    assert_eq!(seq_of(&enter(store, &mut chain, a, Change::Withdraw(vec![d.user])).await), 5);
    assert_eq!((seqs(store, d).await, seqs(store, b).await), (vec![4, 5], vec![1, 5]));
    assert_eq!(seq_of(&enter(store, &mut chain, c, Change::Withdraw(vec![c.user])).await), 6);
    assert_eq!(seqs(store, c).await, [1]);
    // Who is removed learns it, and nothing that comes after it.
    assert_eq!(seq_of(&enter(store, &mut chain, a, remove(&[b.user])).await), 7);
    assert_eq!(seq_of(&enter(store, &mut chain, a, Change::Timer(0)).await), 8);
    assert_eq!(seqs(store, b).await, [1, 5, 6, 7]);
    assert_eq!(roster(store, &chain, a, 5).await, Some(vec![6, 7, 8]));
    assert_eq!(roster(store, &chain, b, 5).await, Some(vec![6, 7]));
    for stranger in [c, d] {
        assert_eq!(roster(store, &chain, stranger, 0).await, None);
    }
}

pub(crate) async fn of_two_entries_for_one_version_one_is_stored(store: &dyn Store) {
    let (mut chain, members) = group(store, &[1, 2]).await;
    enter(store, &mut chain, members[0], Change::Role { user: members[1].user, role: Role::Admin }).await;
    let change = |member: usize| chain.next(by(members[member].user), Change::Timer(member as u32 + 5));
    let both = [change(0), change(1)].map(|entry| store.enter(new_entry(&entry)));
    let outcomes = join_all(both).await;
    let stored = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Entered::Stored(..)))).count();
    let stale = Ok(Entered::StaleRoster { current: chain.version + 1 });
    assert_eq!((stored, outcomes.contains(&stale)), (1, true), "{outcomes:?}");
    // An entry for another chain of the same length.
    let (other, _) = Chain::create(by(members[0].user), &[], 2);
    let forked = Chain { thread: chain.thread, version: chain.version + 1, ..other };
    let entry = forked.next(by(members[0].user), Change::Timer(9));
    assert_eq!(store.enter(new_entry(&entry)).await, Ok(Entered::StaleRoster { current: chain.version + 1 }));
}

pub(crate) async fn a_refused_entry_changes_nothing(store: &dyn Store) {
    let (chain, members) = group(store, &[1, 2]).await;
    let stranger = register(store, 3, 0..0).await;
    let (unknown, first) = Chain::create(by(address(0x44).user), &[], 3);
    for (entry, expected) in [
        (chain.next(by(members[1].user), Change::Timer(5)), Entered::NotAllowed(Refusal::NotAllowed)),
        (chain.next(by(members[0].user), Change::Leave), Entered::NotAllowed(Refusal::LastAdmin)),
        (chain.next(by(stranger.user), Change::Accept), Entered::NotFound),
        (chain.next(by(stranger.user), Change::Join { proof: [1; 64] }), Entered::NotFound),
        (unknown.next(by(members[0].user), Change::Timer(5)), Entered::NotFound),
        (first, Entered::AuthorRevoked),
    ] {
        assert_eq!(store.enter(new_entry(&entry)).await, Ok(expected));
    }
    let seen = store.thread(chain.thread, members[0].user).await.unwrap().unwrap();
    assert_eq!((seen.roster_version, seen.last_seq, seen.members.len()), (2, 2, 2));
    assert_eq!(store.thread(unknown.thread, members[0].user).await, Ok(None));
}

pub(crate) async fn whoever_has_the_link_reads_the_roster_and_joins(store: &dyn Store) {
    let (mut chain, members) = group(store, &[1, 2]).await;
    let guest = register(store, 3, 0..0).await;
    let hash = [0x55; 32];
    enter(store, &mut chain, members[0], link(hash)).await;
    let query = |link| RosterQuery { thread: chain.thread, reader: guest.user, link, after: 0, bytes: 1 };
    for wrong in [None, Some([0x56; 32])] {
        assert_eq!(store.roster(query(wrong)).await, Ok(None));
    }
    let page = store.roster(query(Some(hash))).await.unwrap().unwrap();
    assert_eq!((page.rows.len(), page.more), (1, true), "at least one");
    let join = chain.next(by(guest.user), Change::Join { proof: [1; 64] });
    assert_eq!(store.enter(new_entry(&join)).await, Ok(Entered::NotFound));
    let with_link = NewEntry { link: Some(hash), ..new_entry(&join) };
    let Ok(Entered::Stored(stored, _)) = store.enter(with_link).await else { panic!() };
    chain.take(&join);
    let sent = store.append_to_group(post(&chain, members[0], 1)).await.unwrap();
    assert_eq!(seqs(store, guest).await, [stored.server_seq + 1], "{sent:?}");
    // The link ends with a removal.
    enter(store, &mut chain, members[0], remove(&[guest.user])).await;
    let removed = chain.version;
    enter(store, &mut chain, members[0], Change::Timer(7)).await;
    assert_eq!(roster(store, &chain, guest, removed - 1).await, Some(vec![removed]), "no further than that");
    let again = chain.next(by(guest.user), Change::Join { proof: [1; 64] });
    let with_link = NewEntry { link: Some(hash), ..new_entry(&again) };
    assert_eq!(store.enter(with_link).await, Ok(Entered::NotFound));
}

pub(crate) async fn a_message_of_a_group_is_stored_once_for_all_members(store: &dyn Store) {
    let (chain, members) = group(store, &[1, 2, 3]).await;
    let [a, b, c] = members[..] else { panic!() };
    let first = store.append_to_group(post(&chain, a, 1)).await.unwrap();
    let Appended::ForGroup(stored, fanout) = &first else { panic!("{first:?}") };
    assert_eq!((stored.server_seq, fanout), (4, &Fanout::Inline(vec![b, c])));
    for member in [b, c] {
        let [row] = &rows(store, member).await[..] else { panic!() };
        let message = &row.message;
        assert_eq!((message.envelope.kind, &message.envelope.ciphertext[..]), (3, &[9; 40][..]));
        assert_eq!((message.sender, message.roster_version, message.hlc), (a, 3, stored.hlc));
    }
    assert_eq!(store.append_to_group(post(&chain, a, 1)).await, Ok(Appended::Duplicate(*stored)));
    let other = GroupAppend { body_hash: [2; 32], ..post(&chain, a, 1) };
    assert_eq!(store.append_to_group(other).await, Ok(Appended::MsgIdReuse));
    assert_eq!(seqs(store, a).await, Vec::<u64>::new(), "not for the sending device");
    // Each device acknowledges its own row.
    let key = InboxKey { thread: chain.thread, server_seq: 4 };
    assert_eq!(store.inbox_ack(b, vec![key]).await, Ok(1));
    assert_eq!(seqs(store, c).await, [4]);
    assert_eq!(store.revoke_device(c).await, Ok(true));
    assert!(matches!(store.append_to_group(post(&chain, b, 2)).await, Ok(Appended::ForGroup(..))));
    assert_eq!(seqs(store, a).await, [5]);
}

pub(crate) async fn a_message_of_a_group_needs_a_roster_from_which_nothing_was_taken_since(
    store: &dyn Store,
) {
    let (mut chain, members) = group(store, &[1, 2, 3]).await;
    let [a, b, c] = members[..] else { panic!() };
    let stranger = register(store, 4, 0..0).await;
    let before = chain.version;
    let at = |version, sender, n| GroupAppend { roster_version: version, ..post(&chain, sender, n) };
    let is_stored = |appended: Result<Appended, _>| matches!(appended, Ok(Appended::ForGroup(..)));
    let (thread, version) = (chain.thread, chain.version);
    assert_eq!(
        store.append_to_group(at(version + 1, a, 1)).await,
        Ok(Appended::StaleRoster { current: version })
    );
    assert_eq!(store.append_to_group(at(0, a, 1)).await, Ok(Appended::StaleRoster { current: version }));
    assert_eq!(store.append_to_group(at(version, stranger, 1)).await, Ok(Appended::NotMember));
    let unknown = GroupAppend { thread: ThreadId::from_bytes([7; 16]), ..at(version, a, 1) };
    assert_eq!(store.append_to_group(unknown).await, Ok(Appended::NotMember));
    // What only adds refuses nothing.
    enter(store, &mut chain, a, Change::Invite(vec![invitation(stranger.user)])).await;
    enter(store, &mut chain, stranger, Change::Accept).await;
    let old = |n, sender| GroupAppend { thread, roster_version: before, ..post(&chain, sender, n) };
    let early = old(1, b);
    assert!(is_stored(store.append_to_group(early.clone()).await));
    enter(store, &mut chain, a, remove(&[c.user])).await;
    let late = GroupAppend { roster_version: before, ..post(&chain, b, 2) };
    let refused = Ok(Appended::StaleRoster { current: chain.version });
    assert_eq!(store.append_to_group(late).await, refused);
    assert!(matches!(store.append_to_group(early).await, Ok(Appended::Duplicate(_))), "stored before");
    assert_eq!(store.append_to_group(post(&chain, c, 3)).await, Ok(Appended::NotMember));
    assert!(is_stored(store.append_to_group(post(&chain, b, 2)).await));
    // Write permission.
    let admins = Permissions { write: Who::Admins, add: Who::Members, details: Who::Admins };
    enter(store, &mut chain, a, Change::Permissions(admins)).await;
    assert_eq!(store.append_to_group(post(&chain, b, 4)).await, Ok(Appended::MayNotWrite));
    assert!(is_stored(store.append_to_group(post(&chain, a, 4)).await));
    enter(store, &mut chain, a, Change::Dissolve).await;
    assert_eq!(store.append_to_group(post(&chain, a, 5)).await, Ok(Appended::MayNotWrite));
}

pub(crate) async fn members_get_what_was_posted_while_they_were_members(store: &dyn Store) {
    let (mut chain, members) = group(store, &[1, 2]).await;
    let (a, b) = (members[0], members[1]);
    store.append_to_group(post(&chain, a, 1)).await.unwrap();
    enter(store, &mut chain, a, remove(&[b.user])).await;
    store.append_to_group(post(&chain, a, 2)).await.unwrap();
    enter(store, &mut chain, a, Change::Invite(vec![invitation(b.user)])).await;
    store.append_to_group(post(&chain, a, 3)).await.unwrap();
    enter(store, &mut chain, b, Change::Accept).await;
    store.append_to_group(post(&chain, a, 4)).await.unwrap();
    // The message, the removal, the invitation, and the message after the acceptance.
    assert_eq!(seqs(store, b).await, [3, 4, 6, 9]);
}

pub(crate) async fn mail_in_a_group_goes_to_any_members_and_little_to_the_invited(store: &dyn Store) {
    let (mut chain, members) = group(store, &[1, 2, 3]).await;
    let [a, b, c] = members[..] else { panic!() };
    let (guest, stranger) = (register(store, 4, 0..0).await, register(store, 5, 0..0).await);
    enter(store, &mut chain, a, Change::Invite(vec![invitation(guest.user)])).await;
    let thread = chain.thread;
    let mail = |n, sender, to: &[Address]| NewMail {
        sender,
        client_msg_id: ClientMsgId::new(NOW_MS + n, &[2; 10]),
        thread,
        body_hash: [1; 32],
        copies: to.iter().map(|to| copy(*to, b"for one")).collect(),
        now_ms: NOW_MS,
    };
    assert_eq!(store.post_mail(mail(1, a, &[b, c])).await, Ok(Posted::Stored));
    assert_eq!(store.post_mail(mail(1, a, &[b, c])).await, Ok(Posted::Duplicate));
    for outsider in [guest, stranger] {
        assert_eq!(store.post_mail(mail(2, outsider, &[a])).await, Ok(Posted::NotMember));
    }
    assert!(matches!(store.post_mail(mail(3, a, &[b, stranger])).await, Ok(Posted::Misaddressed(_))));
    // The invitation was the first of sixteen.
    for n in 10..25 {
        assert_eq!(store.post_mail(mail(n, a, &[guest])).await, Ok(Posted::Stored), "{n}");
    }
    assert_eq!(store.post_mail(mail(25, b, &[c, guest])).await, Ok(Posted::NotAccepted));
    assert_eq!(store.post_mail(mail(25, b, &[c])).await, Ok(Posted::Stored));
    enter(store, &mut chain, guest, Change::Accept).await;
    assert_eq!(store.post_mail(mail(26, b, &[guest])).await, Ok(Posted::Stored));
    assert!(store.are_fellows(chain.thread, a.user, guest.user).await.unwrap());
    for (one, other) in [(a, stranger), (stranger, a)] {
        assert!(!store.are_fellows(chain.thread, one.user, other.user).await.unwrap());
    }
}

pub(crate) async fn an_invitation_is_delivered_like_a_request(store: &dyn Store) {
    let (mut chain, members) = group(store, &[1, 2]).await;
    let (friend, blocking) = (register(store, 3, 0..0).await, register(store, 4, 0..0).await);
    thread(store, friend, members[0], 9).await;
    let stranger = register(store, 5, 0..0).await;
    assert_eq!(store.block(blocking.user, members[0].user).await, Ok(true));
    let everybody = [friend, blocking, stranger].map(|one| invitation(one.user)).to_vec();
    for round in 0..10 {
        enter(store, &mut chain, members[0], Change::Invite(everybody.clone())).await;
        let all = everybody.iter().map(|one| one.user).collect();
        enter(store, &mut chain, members[0], Change::Withdraw(all)).await;
        let expected = [2 * (round + 1), 0, (2 * (round + 1)).min(16)];
        for (owner, expected) in [friend, blocking, stranger].into_iter().zip(expected) {
            assert_eq!(rows(store, owner).await.len(), expected, "{round}");
        }
    }
}

/// Claims all jobs.
async fn claims(store: &dyn Store, now_ms: u64) -> Vec<Claim> {
    store.claim_jobs(10, now_ms, now_ms + 1_000).await.unwrap()
}

/// A group with more devices than are written at once. Its members are in the chain, so that this takes few entries.
async fn large_group(store: &dyn Store) -> (Chain, Vec<Address>) {
    let members = many(store).await;
    (invite_all(store, &members, 1).await, members)
}

async fn many(store: &dyn Store) -> Vec<Address> {
    let mut members = Vec::new();
    for user in 1..=2_u8 {
        members.push(register(store, user, 0..0).await);
    }
    for n in 0..300_u16 {
        let mut id = [0x80; 16];
        id[..2].copy_from_slice(&(0x8000 + n).to_be_bytes());
        let address = Address { user: UserId::from_bytes(id), ..members[0] };
        let mut account = new_account(0, 0..0);
        account.address = address;
        account.family.id = sealpost_relay::store::FamilyId(id);
        store.create_account(account).await.unwrap();
        members.push(address);
    }
    members
}

/// A group to which the first one has invited the others, which is a job.
async fn invite_all(store: &dyn Store, members: &[Address], number: u8) -> Chain {
    let users: Vec<UserId> = members[1..].iter().map(|member| member.user).collect();
    let (chain, entry) = Chain::create(by(members[0].user), &users, number);
    let Ok(Entered::Stored(_, Fanout::Background(job))) = store.enter(new_entry(&entry)).await else {
        panic!("not a job")
    };
    assert_eq!(job, JOB);
    chain
}

pub(crate) async fn each_group_with_jobs_has_its_turn(store: &dyn Store) {
    let (mut busy, members) = large_group(store).await;
    for n in 1..=5 {
        let posted = store.append_to_group(post(&busy, members[0], n)).await;
        assert!(matches!(posted, Ok(Appended::ForGroup(_, Fanout::Background(_)))));
    }
    let other = invite_all(store, &members, 2).await;
    let claimed: Vec<_> =
        claims(store, NOW_MS).await.iter().map(|claim| (claim.thread, claim.server_seq)).collect();
    assert_eq!(claimed, [(busy.thread, 1), (other.thread, 1)]);
    assert_eq!(store.claim_jobs(10, NOW_MS, NOW_MS).await, Ok(vec![]), "one job of a group at a time");
    enter(store, &mut busy, members[0], Change::Timer(5)).await;
    assert_eq!(store.claim_jobs(1, NOW_MS + 1_000, NOW_MS).await.unwrap().len(), 1, "no more than that");
}

pub(crate) async fn a_post_for_many_devices_is_a_job_that_goes_on_where_it_was(store: &dyn Store) {
    let (mut chain, members) = large_group(store).await;
    let joining = members[1];
    let accept = chain.next(by(joining.user), Change::Accept);
    let entered = store.enter(new_entry(&accept)).await.unwrap();
    assert!(matches!(entered, Entered::Stored(_, Fanout::Background(_))), "it waits behind the invitations");
    chain.take(&accept);
    assert!(matches!(
        store.append_to_group(post(&chain, members[0], 1)).await,
        Ok(Appended::ForGroup(_, Fanout::Background(_)))
    ));
    // Somebody who comes after it does not get it, although its rows are written later.
    let newcomer = members[2];
    enter(store, &mut chain, newcomer, Change::Accept).await;
    assert_eq!(seqs(store, joining).await, Vec::<u64>::new());
    let [claim] = claims(store, NOW_MS).await[..] else { panic!("one job of a group at a time") };
    assert_eq!(claim.server_seq, 1);
    assert_eq!(claims(store, NOW_MS).await, [], "it is claimed");
    let Ok(Progress::More(reached)) = store.run_job(claim, 100, NOW_MS + 1_000).await else { panic!() };
    assert_eq!(reached.len(), 100);
    // Somebody else claims it once the claim has ended, and the late one is stopped.
    let [second] = claims(store, NOW_MS + 1_000).await[..] else { panic!() };
    assert_eq!((second.server_seq, second.fence), (1, claim.fence + 1));
    assert_eq!(store.run_job(claim, 100, NOW_MS).await, Ok(Progress::Fenced));
    let Ok(Progress::More(_)) = store.run_job(second, 200, NOW_MS + 2_000).await else { panic!() };
    let Ok(Progress::Done { devices, job, total }) = store.run_job(second, 200, NOW_MS + 2_000).await else {
        panic!()
    };
    assert_eq!((devices.len(), job, total), (1, JOB, 301));
    assert_eq!(store.run_job(second, 100, NOW_MS).await, Ok(Progress::Fenced), "it is done");
    // The next ones, in their order.
    for (seq, expected) in [(2, vec![members[0]]), (3, vec![joining]), (4, vec![members[0], joining])] {
        let [claim] = claims(store, NOW_MS + 9_000).await[..] else { panic!() };
        assert_eq!(claim.server_seq, seq);
        let Ok(Progress::Done { devices, .. }) = store.run_job(claim, 100, NOW_MS).await else { panic!() };
        assert_eq!(devices, expected);
    }
    assert_eq!(claims(store, NOW_MS + 20_000).await, []);
    for member in &members[2..] {
        assert_eq!(seqs(store, *member).await, [1]);
    }
    assert_eq!((seqs(store, joining).await, seqs(store, members[0]).await), (vec![1, 3, 4], vec![2, 4]));
    // With fewer devices than are written at once, and no job before it, it is written at once.
    assert!(matches!(
        store.append_to_group(post(&chain, joining, 2)).await,
        Ok(Appended::ForGroup(_, Fanout::Inline(_)))
    ));
}

pub(crate) async fn a_thread_with_one_user_is_not_taken_for_a_group(store: &dyn Store) {
    let (chain, members) = group(store, &[1, 2]).await;
    let friends = thread(store, members[0], members[1], 9).await;
    let wrong = GroupAppend { thread: friends, ..post(&chain, members[0], 1) };
    assert_eq!(store.append_to_group(wrong).await, Ok(Appended::NotMember));
    let pair = Pair { a: members[0], b: members[1], thread: chain.thread };
    assert_eq!(store.append(append(&pair, 1)).await, Ok(Appended::NotMember));
    let named =
        NewThread { id: chain.thread, creator: members[0].user, peer: members[0].user, now_ms: NOW_MS };
    assert_eq!(
        store.create_thread(NewThread { peer: register(store, 3, 0..0).await.user, ..named }).await,
        Ok(Created::IdTaken)
    );
}
