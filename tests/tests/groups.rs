//! Rosters of groups, with real clients and a real relay.

#![cfg(test)]

use sealpost_core::{
    Error, Event, Folder, Group, GroupDetails, GroupLink, GroupPermissions, GroupStanding, PrivacySetting,
    ThreadId, UserId,
};
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

/// The link of the group as somebody else gets it, once this device has it and the roster names it.
async fn link(group: &Group, other_than: Option<&str>) -> (GroupLink, String) {
    eventually("the link", async || {
        let text = group.link().await.unwrap()?.to_text();
        (other_than != Some(text.as_str())).then(|| (text.parse().unwrap(), text.to_string()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn people_join_by_a_link_that_changes_with_a_removal() {
    let world = World::start().await;
    let (ada, ben, cleo) = (world.party("ada").await, world.party("ben").await, world.party("cleo").await);
    let [a, b, c] = [&ada, &ben, &cleo].map(|party| party.client.user_id());
    let hers = ada.client.create_group(title("Choir"), GroupPermissions::default(), &[]).await.unwrap();
    let thread = hers.id();
    when_members(&ada, thread, &[a]).await;
    assert!(hers.link().await.unwrap().is_none());
    assert_eq!(hers.switch_link_off().await, Err(Error::WrongState));
    hers.reset_link().await.unwrap();
    let (first, text) = link(&hers, None).await;

    // Strangers see where it leads before they join, and nothing of it is on their device yet.
    let shown = ben.client.group_behind(&first).await.unwrap();
    assert_eq!((shown.thread, shown.members, shown.is_member), (thread, 1, false));
    assert_eq!(shown.details, Some(title("Choir")));
    assert!(ben.client.group(thread).await.is_err());
    let bens = ben.client.join_group(&first).await.unwrap();
    when_members(&ben, thread, &[a, b]).await;
    when_members(&ada, thread, &[a, b]).await;
    assert_eq!(bens.standing().await, Ok(GroupStanding::Member));
    assert_eq!(bens.details().await.unwrap(), Some(title("Choir")));
    // He knows it, and may not change it. It may be used again.
    assert_eq!(link(&bens, None).await.1, text);
    assert_eq!(bens.reset_link().await, Err(Error::WrongState));
    ben.client.join_group(&first).await.unwrap();
    assert!(ben.client.group_behind(&first).await.unwrap().is_member);
    cleo.client.join_group(&first).await.unwrap();
    when_members(&ada, thread, &[a, b, c]).await;

    // Ben is removed, and his link leads nowhere. The new one is not his.
    hers.remove(&[b]).await.unwrap();
    when_members(&ada, thread, &[a, c]).await;
    when_members(&ben, thread, &[a, c]).await;
    let (second, _) = link(&hers, Some(&text)).await;
    assert_eq!(bens.standing().await, Ok(GroupStanding::Outside));
    assert_eq!(ben.client.join_group(&first).await.unwrap_err(), Error::NotFound);
    assert_eq!(cleo.client.group_behind(&first).await.unwrap_err(), Error::NotFound);
    assert!(ben.client.join_group(&second).await.is_ok(), "an admin has given it to him again");
    when_members(&ada, thread, &[a, b, c]).await;
    hers.switch_link_off().await.unwrap();
    eventually("no link", async || (!hers.has_link().await.unwrap()).then_some(())).await;
    assert!(hers.link().await.unwrap().is_none());
    assert_eq!(ada.client.group_behind(&second).await.unwrap_err(), Error::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_of_a_contact_is_a_request_if_the_person_wants_to_be_asked() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let [a, b] = [&ada, &ben].map(|party| party.client.user_id());
    acquainted(&ada, &ben).await;
    ben.client.set_privacy(PrivacySetting::Invitations, false).await.unwrap();
    let hers = ada.client.create_group(title("x"), GroupPermissions::default(), &[b]).await.unwrap();
    let his = group(&ben, hers.id()).await;
    let requests = async || {
        let page = ben.client.folder_page(Folder::Requests, None, 9).await.unwrap();
        page.threads.iter().any(|listed| listed.id == hers.id()).then_some(())
    };
    eventually("the request", requests).await;
    assert_eq!(his.standing().await, Ok(GroupStanding::Invited { by: a }));
    // What was accepted by itself would be queued in the commit that shows the request.
    assert_eq!(hers.invited().await.unwrap(), [b]);
    his.accept().await.unwrap();
    when_members(&ada, hers.id(), &[a, b]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_with_another_key_is_the_same_member_when_an_admin_says_so() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let [a, b] = [&ada, &ben].map(|party| party.client.user_id());
    acquainted(&ada, &ben).await;
    let hers = ada.client.create_group(title("x"), GroupPermissions::default(), &[b]).await.unwrap();
    let id = hers.id();
    when_members(&ada, id, &[a, b]).await;
    when_members(&ben, id, &[a, b]).await;
    assert_eq!(hers.take_new_key(b).await, Err(Error::WrongState), "it is the one that is known");

    // Ben loses his phone, and the next one has another account key, of which Ada's device learns.
    let old = ben.close().await;
    let new = world.party("ben again").await;
    let ben = sealpost_e2e::start_over(&world, b, &old, new).await.open().await;
    let (to_her, to_him) = (ben.thread_with(&ada).await, ada.thread_with(&ben).await);
    to_her.send_text("it is me").await.unwrap();
    ada.texts_when(&to_him, 2).await;
    let has_other_key = async || {
        let members = hers.members().await.unwrap();
        members.iter().any(|member| member.user == b && member.has_other_key)
    };
    eventually("another key", async || has_other_key().await.then_some(())).await;
    hers.thread().await.unwrap().send_text("not for this key").await.unwrap();

    hers.take_new_key(b).await.unwrap();
    eventually("the key", async || (!has_other_key().await).then_some(())).await;
    when_members(&ben, id, &[a, b]).await;
    let (hers, his) = (hers.thread().await.unwrap(), ben.client.thread(id).await.unwrap());
    hers.send_text("welcome back").await.unwrap();
    let has = async |party: &Party, thread, text: &str| {
        let texts =
            async || sealpost_testkit::texts(thread).await.iter().any(|said| said == text).then_some(());
        eventually(party.name(), texts).await;
    };
    has(&ben, &his, "welcome back").await;
    his.send_text("thank you").await.unwrap();
    has(&ada, &hers, "thank you").await;
    assert!(!sealpost_testkit::texts(&his).await.contains(&"not for this key".to_owned()));
}

async fn when_called(party: &Party, thread: ThreadId, details: &GroupDetails) {
    eventually("the title", async || {
        let known = party.client.group(thread).await.ok()?.details().await.ok()?;
        (known.as_ref() == Some(details)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_learn_the_title_from_whoever_writes_and_the_removed_learn_no_later_one() {
    let world = World::start().await;
    let (ada, ben, cleo) = (world.party("ada").await, world.party("ben").await, world.party("cleo").await);
    let [a, b, c] = [&ada, &ben, &cleo].map(|party| party.client.user_id());
    acquainted(&ada, &ben).await;
    acquainted(&ada, &cleo).await;
    let choir = title("Choir");
    let hers = ada.client.create_group(choir.clone(), GroupPermissions::default(), &[b, c]).await.unwrap();
    let thread = hers.id();
    for party in [&ada, &ben, &cleo] {
        when_members(party, thread, &[a, b, c]).await;
    }
    assert_eq!(group(&ben, thread).await.details().await.unwrap(), None, "nobody has told him");
    let writes = async |text| {
        let group = ada.client.thread(thread).await.unwrap();
        group.send_text(text).await.unwrap();
    };
    writes("hello").await;
    when_called(&ben, thread, &choir).await;
    when_called(&cleo, thread, &choir).await;
    // Whoever knows it can change it, and tells others.
    let chorus = title("Chorus");
    group(&cleo, thread).await.set_details(&chorus).await.unwrap();
    for party in [&ada, &ben] {
        when_called(party, thread, &chorus).await;
    }
    hers.remove(&[b]).await.unwrap();
    when_members(&ben, thread, &[a, c]).await;
    when_members(&cleo, thread, &[a, c]).await;
    writes("without Ben").await;
    when_called(&cleo, thread, &chorus).await;
    let quartet = title("Quartet");
    hers.set_details(&quartet).await.unwrap();
    when_called(&cleo, thread, &quartet).await;
    assert_ne!(group(&ben, thread).await.details().await.unwrap(), Some(quartet));
}
