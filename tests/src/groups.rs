//! People who talk in a group.

#![expect(clippy::expect_used, reason = "a failure here fails the test with a message")]

use sealpost_core::{
    Event, Events, GroupDetails, GroupPermissions, Message, MessageBody, Thread, ThreadId, UserId,
};
use sealpost_testkit::{Party, eventually, history, within};

/// Creates a group, in which everybody is as soon as the first one knows it. They write to each other before, so that the others accept the invitation.
pub async fn group_of(creator: &Party, others: &[&Party]) -> ThreadId {
    for other in others {
        know_each_other(creator, other).await;
    }
    let invited: Vec<_> = others.iter().map(|other| other.client.user_id()).collect();
    let created = creator.client.create_group(GroupDetails::default(), GroupPermissions::default(), &invited);
    let group = created.await.expect("a group").id();
    for party in others.iter().chain([&creator]) {
        has_members(party, group, others.len().saturating_add(1)).await;
    }
    group
}

/// They have written to each other, so each accepts to be added by the other.
pub async fn know_each_other(one: &Party, other: &Party) {
    let (there, back) = (one.thread_with(other).await, other.thread_with(one).await);
    there.send_text("hello").await.expect("it is queued");
    other.texts_when(&back, 1).await;
    back.send_text("hello").await.expect("it is queued");
    one.texts_when(&there, 2).await;
}

/// Waits until the group has so many members for this party.
pub async fn has_members(party: &Party, group: ThreadId, count: usize) {
    let what = format!("{} knows of {count} members", party.name());
    eventually(&what, async || (members(party, group).await.len() == count).then_some(())).await;
}

/// The members of a group, as this party knows them; none if the group is not here.
pub async fn members(party: &Party, group: ThreadId) -> Vec<UserId> {
    let Ok(group) = party.client.group(group).await else { return Vec::new() };
    group.members().await.expect("members").into_iter().map(|member| member.user).collect()
}

/// The thread of the group on this device, once it is there.
pub async fn group_thread(party: &Party, group: ThreadId) -> Thread {
    eventually("the group is there", async || party.client.thread(group).await.ok()).await
}

/// Writes into the group.
pub async fn say(party: &Party, group: ThreadId, text: &str) -> Message {
    group_thread(party, group).await.send_text(text).await.expect("it is queued")
}

/// The texts of the group on this device, the oldest first; other messages as they are.
pub async fn said(party: &Party, group: ThreadId) -> Vec<String> {
    let Ok(thread) = party.client.thread(group).await else { return Vec::new() };
    let all = history(&thread).await.into_iter();
    let body = |message: Message| match message.body {
        MessageBody::Text(text) => text,
        other => format!("{other:?}"),
    };
    all.map(body).collect()
}

/// Waits until this device shows these texts.
pub async fn hears(party: &Party, group: ThreadId, expected: &[&str]) {
    let what = format!("{} hears {expected:?}", party.name());
    eventually(&what, async || {
        let said = said(party, group).await;
        (expected.iter().all(|text| said.iter().any(|said| said == text))).then_some(())
    })
    .await;
}

/// Waits for an event.
pub async fn is_told(events: &mut Events, event: Event) {
    let what = format!("{event:?}");
    within(&what, async { while events.next().await.expect("the client is open").as_ref() != Ok(&event) {} })
        .await;
}
