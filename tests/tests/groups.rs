//! Rosters of groups, with real clients and a real relay.

#![cfg(test)]

use sealpost_core::{Error, Event, Folder, Group, GroupDetails, GroupPermissions, ThreadId, UserId};
use sealpost_testkit::{Party, World, eventually, within};

fn title(title: &str) -> GroupDetails {
    GroupDetails { title: title.to_owned(), about: String::new() }
}

/// The group, once it is here.
async fn group(party: &Party, thread: ThreadId) -> Group {
    eventually("the group", async || party.client.group(thread).await.ok()).await
}

/// The members and those of them who are admins, in the order of their ids.
async fn members(group: &Group) -> (Vec<UserId>, Vec<UserId>) {
    let members = group.members().await.unwrap();
    let admins = members.iter().filter(|member| member.is_admin).map(|member| member.user);
    (members.iter().map(|member| member.user).collect(), admins.collect())
}

/// Waits until these are the members for this party.
async fn when_members(party: &Party, thread: ThreadId, users: &[UserId]) {
    let group = group(party, thread).await;
    let mut expected = users.to_vec();
    expected.sort();
    eventually("the members", async || (members(&group).await.0 == expected).then_some(())).await;
}

/// Two people who talk to each other.
async fn acquainted(one: &Party, other: &Party) {
    let thread = one.thread_with(other).await;
    let sent = thread.send_text("hello").await.unwrap();
    one.message_reaches(&thread, sent.id, sealpost_core::Delivery::Delivered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_invited_become_members_and_are_removed() {
    let world = World::start().await;
    let (ada, ben, cleo) = (world.party("ada").await, world.party("ben").await, world.party("cleo").await);
    let [a, b, c] = [&ada, &ben, &cleo].map(|party| party.client.user_id());
    acquainted(&ada, &ben).await;
    let hers =
        ada.client.create_group(title("Book club"), GroupPermissions::default(), &[b, c]).await.unwrap();
    let thread = hers.id();

    // Ben talks to Ada, so he becomes a member by himself. Cleo is asked.
    when_members(&ada, thread, &[a, b]).await;
    when_members(&ben, thread, &[a, b]).await;
    assert_eq!(hers.invited().await.unwrap(), [c]);
    assert_eq!(hers.details().await.unwrap(), Some(title("Book club")));
    let cleos = group(&cleo, thread).await;
    let requests = cleo.client.folder_page(Folder::Requests, None, 9).await.unwrap().threads;
    assert_eq!(requests.iter().map(|listed| listed.id).collect::<Vec<_>>(), [thread]);
    cleos.accept().await.unwrap();
    for party in [&ada, &ben, &cleo] {
        when_members(party, thread, &[a, b, c]).await;
        assert_eq!(members(&group(party, thread).await).await.1, [a]);
    }
    let chats = cleo.client.folder_page(Folder::Chats, None, 9).await.unwrap().threads;
    assert!(chats.iter().any(|listed| listed.id == thread));

    // Only an admin removes somebody, and the last one cannot leave.
    let bens = group(&ben, thread).await;
    assert_eq!(bens.remove(&[c]).await, Err(Error::WrongState));
    assert_eq!(hers.leave().await, Err(Error::WrongState));
    hers.remove(&[c]).await.unwrap();
    when_members(&ada, thread, &[a, b]).await;
    when_members(&ben, thread, &[a, b]).await;
    when_members(&cleo, thread, &[a, b]).await;
    assert_eq!(cleos.set_timer(5).await, Err(Error::WrongState));
    assert_eq!(hers.details().await.unwrap(), Some(title("Book club")), "under another secret");

    // She hands over, and leaves.
    hers.set_admin(b, true).await.unwrap();
    eventually("ben is an admin", async || (members(&bens).await.1.len() == 2).then_some(())).await;
    hers.leave().await.unwrap();
    when_members(&ben, thread, &[b]).await;
    bens.dissolve().await.unwrap();
    eventually("the end", async || bens.is_dissolved().await.unwrap().then_some(())).await;
}

/// Both change the same version. One wins, and the other's change is signed anew.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_admins_who_change_a_group_at_once_both_have_their_way_if_they_may() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let [a, b] = [&ada, &ben].map(|party| party.client.user_id());
    acquainted(&ada, &ben).await;
    let hers = ada.client.create_group(title("x"), GroupPermissions::default(), &[b]).await.unwrap();
    when_members(&ada, hers.id(), &[a, b]).await;
    let his = group(&ben, hers.id()).await;
    hers.set_admin(b, true).await.unwrap();
    eventually("two admins", async || (members(&his).await.1.len() == 2).then_some(())).await;
    for round in 1..6 {
        let strict = GroupPermissions { members_invite: round % 2 == 0, ..GroupPermissions::default() };
        let strict = GroupPermissions { members_change_details: round % 2 == 1, ..strict };
        let (one, other) = tokio::join!(hers.set_permissions(strict), his.set_timer(round));
        one.unwrap();
        other.unwrap();
        for one in [&hers, &his] {
            eventually("both changes", async || {
                let permissions = one.permissions().await.unwrap() == strict;
                (permissions && one.timer().await.unwrap() == round).then_some(())
            })
            .await;
        }
    }
}

/// What is not allowed any more when it comes to the relay is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_overtaken_is_told() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let [a, b] = [&ada, &ben].map(|party| party.client.user_id());
    acquainted(&ada, &ben).await;
    let hers = ada.client.create_group(title("x"), GroupPermissions::default(), &[b]).await.unwrap();
    when_members(&ada, hers.id(), &[a, b]).await;
    let his = group(&ben, hers.id()).await;
    when_members(&ben, hers.id(), &[a, b]).await;
    let mut events = ben.client.events();
    ben.client.suspend().await.unwrap();
    let strict = GroupPermissions { members_change_details: false, ..GroupPermissions::default() };
    hers.set_permissions(strict).await.unwrap();
    eventually("admins only", async || (hers.permissions().await.unwrap() == strict).then_some(())).await;
    ben.client.resume().await.unwrap();
    // Allowed as far as he knows, unless he has heard of it already.
    if his.set_timer(9).await.is_ok() {
        within("the event", async {
            while events.next().await.unwrap().unwrap() != Event::GroupChangeFailed(hers.id()) {}
        })
        .await;
    }
    eventually("he knows it", async || (his.permissions().await.unwrap() == strict).then_some(())).await;
    assert_eq!(hers.timer().await.unwrap(), 0);
}

/// Each of them signs for the same version at first.
#[tokio::test(flavor = "multi_thread")]
async fn all_who_accept_at_once_become_members() {
    let world = World::start().await;
    let ada = world.party("ada").await;
    let mut others = Vec::new();
    for n in 0..8 {
        others.push(world.party(&format!("other-{n}")).await);
    }
    let invited: Vec<_> = others.iter().map(|other| other.client.user_id()).collect();
    let hers = eventually("a group", async || {
        ada.client.create_group(title("x"), GroupPermissions::default(), &invited).await.ok()
    })
    .await;
    let mut invitations = Vec::new();
    for other in &others {
        invitations.push(group(other, hers.id()).await);
    }
    for invitation in &invitations {
        invitation.accept().await.unwrap();
    }
    let mut all = invited;
    all.push(ada.client.user_id());
    when_members(&ada, hers.id(), &all).await;
}
