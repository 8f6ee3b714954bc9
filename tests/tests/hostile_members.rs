//! Members of a group who do what no honest client does, and admins who change a group at once.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use sealpost_core::{Event, ThreadId};
use sealpost_e2e::{
    EntrySigner, entries_of, group_of, has_members, hears, is_told, members, open_database, say, submit_entry,
};
use sealpost_testkit::{Party, PartyDisk, World, eventually};
use sealpost_wire::roster::{Change, NewSecret};

/// Ada, who is the admin, Ben and Cam.
async fn three() -> (World, ThreadId, [Party; 3]) {
    let world = World::start().await;
    let people = [world.party("ada").await, world.party("ben").await, world.party("cam").await];
    let [ada, ben, cam] = &people;
    let group = group_of(ada, &[ben, cam]).await;
    (world, group, people)
}

async fn is_admin(on: &Party, group: ThreadId, user: sealpost_core::UserId, expected: bool) {
    let group = on.client.group(group).await.unwrap();
    eventually("the role", async || {
        let members = group.members().await.unwrap();
        members.iter().any(|member| member.user == user && member.is_admin == expected).then_some(())
    })
    .await;
}

/// The client of this person submits an entry that it has not made.
async fn submits(party: Party, entry: &sealpost_wire::roster::Entry) -> Party {
    let disk: PartyDisk = party.close().await;
    submit_entry(&disk, entry);
    disk.open().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_with_a_wrong_signature_has_no_effect_and_the_group_goes_on() {
    let (world, group, [ada, ben, cam]) = three().await;
    let (user, disk) = (ben.client.user_id(), world.disk("ben"));
    let (mut of_ada, mut of_cam) = (ada.client.events(), cam.client.events());
    // The relay takes it, because it cannot verify it: somebody else has signed in Ben's name.
    let entry = EntrySigner::of(&world.disk("cam")).sign_as(
        &EntrySigner::of(&disk),
        entries_of(&disk, group).last().unwrap(),
        Change::Timer(7),
    );
    let ben = submits(ben, &entry).await;
    for events in [&mut of_ada, &mut of_cam] {
        is_told(events, Event::EntryRefused { thread: group, user }).await;
    }
    let hers = ada.client.group(group).await.unwrap();
    hers.set_timer(5_000).await.unwrap();
    for (party, text) in [(&ada, "one"), (&ben, "two"), (&cam, "three")] {
        let theirs = party.client.group(group).await.unwrap();
        eventually("the timer", async || (theirs.timer().await.unwrap() == 5_000).then_some(())).await;
        say(party, group, text).await;
        for party in [&ada, &ben, &cam] {
            hears(party, group, &[text]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_demoted_admin_signs_afterwards_is_refused() {
    let (world, group, [ada, ben, cam]) = three().await;
    let (user, hers) = (ben.client.user_id(), ada.client.group(group).await.unwrap());
    for expected in [true, false] {
        hers.set_admin(user, expected).await.unwrap();
        for party in [&ada, &ben, &cam] {
            is_admin(party, group, user, expected).await;
        }
    }
    let disk = world.disk("ben");
    let secret =
        NewSecret { commitment: [7; 32], details: sealpost_wire::roster::Details::new(vec![7; 40]).unwrap() };
    let remove = Change::Remove { users: vec![cam.client.user_id()], secret };
    let late = EntrySigner::of(&disk).sign(entries_of(&disk, group).last().unwrap(), remove);
    let disk = ben.close().await;
    submit_entry(&disk, &late);
    let ben = disk.open().await;
    let waits = || open_database(world.disk("ben").database(), &world.disk("ben").key());
    eventually("it was refused", async || {
        let sql = "SELECT count(*) FROM roster_change";
        let left: u32 = waits().query_row(sql, [], |row| row.get(0)).unwrap();
        (left == 0).then_some(())
    })
    .await;
    say(&ben, group, "I tried").await;
    for party in [&ada, &ben, &cam] {
        hears(party, group, &["I tried"]).await;
        assert_eq!(members(party, group).await.len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_names_another_roster_stops_the_group_until_an_admin_removes_them() {
    let (world, group, [ada, ben, cam]) = three().await;
    let mut events = ada.client.events();
    let disk = ben.close().await;
    let forge = "UPDATE thread SET roster_head = randomblob(32) WHERE thread_id = ?1";
    open_database(world.disk("ben").database(), &world.disk("ben").key())
        .execute(forge, [group.as_bytes()])
        .unwrap();
    let ben = disk.open().await;
    say(&ben, group, "another roster").await;
    for party in [&ada, &cam] {
        hears(party, group, &["another roster"]).await;
    }
    is_told(&mut events, Event::RosterContradicted(group)).await;
    say(&ada, group, "this waits").await;
    ada.client.group(group).await.unwrap().remove(&[ben.client.user_id()]).await.unwrap();
    for party in [&ada, &cam] {
        has_members(party, group, 2).await;
    }
    hears(&cam, group, &["this waits"]).await;
    say(&cam, group, "we go on").await;
    hears(&ada, group, &["we go on"]).await;
}

/// Each removes the other: one is removed.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_admins_who_remove_each_other_one_remains() {
    let (_world, group, [ada, ben, cam]) = three().await;
    let [a, b] = [&ada, &ben].map(|party| party.client.user_id());
    ada.client.group(group).await.unwrap().set_admin(b, true).await.unwrap();
    for party in [&ada, &ben, &cam] {
        is_admin(party, group, b, true).await;
    }
    let (hers, his) = (ada.client.group(group).await.unwrap(), ben.client.group(group).await.unwrap());
    let (of_b, of_a) = ([b], [a]);
    let (mut of_ada, mut of_ben) = (ada.client.events(), ben.client.events());
    let (one, other) = tokio::join!(hers.remove(&of_b), his.remove(&of_a));
    for party in [&ada, &ben, &cam] {
        has_members(party, group, 2).await;
    }
    let left = members(&cam, group).await;
    assert!(left.contains(&a) != left.contains(&b));
    // Whose change was overtaken is told, unless it was refused when it was asked for.
    let failed = Event::GroupChangeFailed(group);
    match left.contains(&a) {
        true if other.is_ok() => is_told(&mut of_ben, failed).await,
        false if one.is_ok() => is_told(&mut of_ada, failed).await,
        _ => {}
    }
    let (stays, gone) = if left.contains(&a) { (&ada, &ben) } else { (&ben, &ada) };
    say(stays, group, "one remains").await;
    hears(&cam, group, &["one remains"]).await;
    assert!(!sealpost_e2e::said(gone, group).await.contains(&"one remains".to_owned()));
}
