//! The list of chats as an app shows it, with a real relay.

#![cfg(test)]

use sealpost_core::{
    Client, Delivery, Folder, MessageBody, Profile, ThreadList, ThreadSummary, Threads, TrustState,
};
use sealpost_testkit::{Pair, history, other, within};

/// Follows a list until a thread in it fulfils a condition, and checks that the list equals a fresh page.
async fn list_when(
    client: &Client,
    (view, list): (&mut Threads, &mut ThreadList),
    what: &str,
    found: impl Fn(&[ThreadSummary]) -> bool,
) {
    while !found(list.threads()) {
        list.apply(within(what, view.next()).await.unwrap().unwrap());
    }
    let page = client.folder_page(Folder::Chats, None, 50).await.unwrap();
    // What has changed since then is reported as well.
    while list.threads() != page.threads {
        list.apply(within("a change that the page includes", view.next()).await.unwrap().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_list_shows_messages_settings_and_trust_without_being_read_again() {
    let pair = Pair::new().await;
    let ben = &pair.ben.client;
    let mut view = ben.follow_threads(Folder::Chats, 50);
    let mut list = ThreadList::new(ben.folder_page(Folder::Chats, None, 50).await.unwrap());
    let (_, first) = pair.say("hello").await;
    let has_hello = |threads: &[ThreadSummary]| {
        threads.first().and_then(|thread| thread.newest.as_ref()?.text()) == Some("hello")
    };
    list_when(ben, (&mut view, &mut list), "a new message", has_hello).await;
    assert_eq!((list.threads()[0].unread, list.threads()[0].trust), (1, TrustState::FirstUse));

    pair.his.mark_read(first).await.unwrap();
    let is_read = |threads: &[ThreadSummary]| threads[0].unread == 0;
    list_when(ben, (&mut view, &mut list), "a message that was read", is_read).await;

    let contact = other(&pair.his).await;
    assert!(contact.verify(&contact.safety_number().await.unwrap()).await.unwrap());
    let is_verified = |threads: &[ThreadSummary]| threads[0].trust == TrustState::Verified;
    list_when(ben, (&mut view, &mut list), "a verified contact", is_verified).await;

    pair.his.set_draft("perhaps").await.unwrap();
    pair.his.set_pinned(true).await.unwrap();
    pair.his.set_muted_until(Some(u64::MAX)).await.unwrap();
    let is_set = |threads: &[ThreadSummary]| {
        let thread = &threads[0];
        thread.draft.as_deref() == Some("perhaps") && thread.is_pinned && thread.muted_until_ms.is_some()
    };
    list_when(ben, (&mut view, &mut list), "settings", is_set).await;

    pair.his.set_archived(true).await.unwrap();
    list_when(ben, (&mut view, &mut list), "an empty list", <[_]>::is_empty).await;
    // It is muted, so it stays in the archive.
    pair.say("psst").await;
    assert_eq!(ben.folder_page(Folder::Chats, None, 50).await.unwrap().threads, []);
    let archive = ben.folder_page(Folder::Archive, None, 50).await.unwrap().threads;
    assert_eq!(archive[0].newest.as_ref().unwrap().body, MessageBody::Text("psst".to_owned()));
    assert_eq!(ben.unread_totals().await.unwrap().messages, 0);
    pair.his.set_muted_until(None).await.unwrap();
    assert_eq!(ben.unread_totals().await.unwrap().messages, 1);
    pair.say("hello").await;
    list_when(ben, (&mut view, &mut list), "a chat out of the archive", has_hello).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_and_settings_survive_the_end_of_the_app() {
    let pair = Pair::new().await;
    pair.say("hello").await;
    pair.his.set_draft("to be continued").await.unwrap();
    pair.his.set_marked_unread(true).await.unwrap();
    let id = pair.his.id();
    let Pair { world: _world, ben, his, ada: _ada, hers: _hers } = pair;
    drop(his);
    let ben = ben.close().await.open().await;
    let thread = ben.client.thread(id).await.unwrap();
    let summary = thread.summary().await.unwrap();
    assert_eq!(summary.draft.as_deref(), Some("to be continued"));
    assert!(summary.is_marked_unread);
    let sent = thread.send_text("to be continued").await.unwrap();
    ben.message_reaches(&thread, sent.id, Delivery::Sent).await;
    assert_eq!(thread.draft().await.unwrap(), None);
    thread.mark_read(history(&thread).await[0].id).await.unwrap();
    assert!(!thread.summary().await.unwrap().is_marked_unread);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_shows_the_names_of_others_as_they_can_be_shown() {
    let pair = Pair::new().await;
    pair.say("hello").await;
    let client = &pair.ben.client;
    let mut view = client.follow_threads(Folder::Chats, 50);
    let mut list = ThreadList::new(client.folder_page(Folder::Chats, None, 50).await.unwrap());
    list_when(client, (&mut view, &mut list), "the chat", |threads| !threads.is_empty()).await;
    for (name, shown) in [("Ada\u{202e}  \u{200b}Lovelace\n", "Ada Lovelace"), ("Ada", "Ada")] {
        let profile = Profile { name: name.to_owned(), ..Profile::default() };
        assert_eq!(profile.displayable_name(), shown);
        pair.ada.client.set_profile(profile.clone()).await.unwrap();
        let has_name = |threads: &[ThreadSummary]| threads[0].displayable_name == shown;
        list_when(client, (&mut view, &mut list), "the name", has_name).await;
        assert_eq!(other(&pair.his).await.profile().await.unwrap(), Some(profile));
    }
}
