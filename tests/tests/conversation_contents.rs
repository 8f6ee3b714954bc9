//! What people send besides texts, and what belongs to it: two clients and a real relay.

#![cfg(test)]

use sealpost_core::{
    ChangeKind, Client, ContactCard, Error, Event, FailReason, History, InvalidContent, LinkPreview,
    Location, Markup, Mention, Message, MessageBody, MessageId, Profile, StyledRange, TextRange, TextStyle,
    Thread,
};
use sealpost_testkit::{Pair, eventually, history, when, within};

#[tokio::test(flavor = "multi_thread")]
async fn contact_cards_and_locations_are_sent_forwarded_and_replied_to() {
    let pair = Pair::new().await;
    let card = ContactCard {
        name: "Cyd".to_owned(),
        user: Some(pair.ada.client.user_id()),
        phone: "+1 555 0100".to_owned(),
        email: String::new(),
    };
    let place = Location {
        latitude_e7: -337_568_000,
        longitude_e7: 1_511_540_000,
        accuracy_m: 25,
        name: String::new(),
    };
    pair.hers.send_contact(card.clone()).await.unwrap();
    pair.hers.send_location(place.clone()).await.unwrap();
    let is_place = |message: &Message| message.body == MessageBody::Location(Box::new(place.clone()));
    let received = when("the place", &pair.his, is_place).await;
    let all = history(&pair.his).await;
    assert_eq!(all[0].body, MessageBody::Contact(Box::new(card.clone())));
    let reply = pair.his.reply(all[0].id, "thanks").await.unwrap();
    assert_eq!(reply.quote.unwrap().text, "Cyd");
    let forwarded = pair.his.forward(received.id).await.unwrap();
    assert!(forwarded.is_forwarded && is_place(&forwarded));
    when("the forwarded place", &pair.hers, |message| message.is_forwarded && is_place(message)).await;
    let both = |message: &Message| matches!(message.body, MessageBody::Contact(_) | MessageBody::Location(_));
    assert_eq!(history(&pair.hers).await.iter().filter(|message| both(message)).count(), 3);

    let nameless = ContactCard { name: " ".to_owned(), ..card.clone() };
    assert!(matches!(pair.hers.send_contact(nameless).await, Err(Error::InvalidContent(_))));
    let long = ContactCard { email: "a".repeat(257), ..card };
    assert!(matches!(pair.hers.send_contact(long).await, Err(Error::InvalidContent(_))));
    let nowhere = Location { latitude_e7: 900_000_001, ..place };
    assert!(matches!(pair.hers.send_location(nowhere).await, Err(Error::InvalidContent(_))));
}

/// The votes for each option of a poll, and whether they contain ours.
fn tally(message: &Message) -> Vec<(u32, bool)> {
    match &message.body {
        MessageBody::Poll(poll) => poll.options.iter().map(|option| (option.votes, option.is_ours)).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_counts_the_votes_of_both_sides() {
    let pair = Pair::new().await;
    let options = || ["here", "there", "nowhere"].map(str::to_owned).to_vec();
    // It cannot begin a thread: the recipient would drop it.
    assert_eq!(pair.hers.send_poll("where?", options(), true).await.unwrap_err(), Error::WrongState);
    pair.say("first").await;
    let hers = pair.hers.send_poll("where?", options(), true).await.unwrap().id;
    let is_poll =
        |message: &Message| matches!(&message.body, MessageBody::Poll(poll) if poll.question == "where?");
    let his = when("the poll", &pair.his, is_poll).await.id;
    pair.his.vote(his, vec![2, 0]).await.unwrap();
    pair.hers.vote(hers, vec![0]).await.unwrap();
    let (at_ada, at_ben) = (vec![(2, true), (0, false), (1, false)], vec![(2, true), (0, false), (1, true)]);
    when("both votes", &pair.hers, |message| tally(message) == at_ada).await;
    when("both votes", &pair.his, |message| tally(message) == at_ben).await;
    let votes = pair.hers.votes(hers, None, 10).await.unwrap();
    assert!(votes.iter().any(|vote| vote.author == pair.ben.client.user_id() && vote.choices == [0, 2]));
    // A vote can be replaced and withdrawn, and a poll can be replied to.
    pair.hers.vote(hers, vec![1]).await.unwrap();
    pair.his.vote(his, Vec::new()).await.unwrap();
    when("the new votes", &pair.his, |message| tally(message) == [(0, false), (1, false), (0, false)]).await;
    when("the new votes", &pair.hers, |message| tally(message) == [(0, false), (1, true), (0, false)]).await;
    assert_eq!(pair.his.reply(his, "no idea").await.unwrap().quote.unwrap().text, "where?");
    assert_eq!(pair.his.forward(his).await.unwrap_err(), Error::WrongState);

    let invalid = |error: Error| matches!(error, Error::InvalidContent(_));
    for choices in [vec![3], vec![0, 0], vec![32], vec![u32::MAX]] {
        assert!(invalid(pair.his.vote(his, choices).await.unwrap_err()));
    }
    let single = pair.hers.send_poll("when?", options(), false).await.unwrap().id;
    assert!(invalid(pair.hers.vote(single, vec![0, 1]).await.unwrap_err()));
    let many = (0..1000).map(|number| number.to_string()).collect();
    assert!(invalid(pair.hers.send_poll("which?", many, true).await.unwrap_err()));
    let text = history(&pair.hers).await[0].id;
    assert_eq!(pair.hers.vote(text, vec![0]).await.unwrap_err(), Error::WrongState);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_is_deleted_for_everyone_loses_its_votes() {
    let pair = Pair::new().await;
    pair.say("first").await;
    let hers = pair.hers.send_poll("where?", vec!["a".to_owned(), "b".to_owned()], false).await.unwrap().id;
    let his = when("the poll", &pair.his, |message| !tally(message).is_empty()).await.id;
    pair.his.vote(his, vec![1]).await.unwrap();
    when("the vote", &pair.hers, |message| tally(message) == [(0, false), (1, false)]).await;
    pair.hers.delete_for_everyone(hers).await.unwrap();
    when("the deletion", &pair.his, |message| message.body == MessageBody::Deleted).await;
    assert!(pair.his.votes(his, None, 10).await.unwrap().is_empty());
    assert_eq!(pair.his.vote(his, vec![0]).await.unwrap_err(), Error::WrongState);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_pinned_and_unpinned_for_both_sides() {
    let pair = Pair::new().await;
    let (hers, his) = pair.say("the address").await;
    let (second, _) = pair.say("the time").await;
    let pinned = async |thread: &Thread| -> Vec<String> {
        let pinned = thread.pinned().await.unwrap();
        pinned.iter().map(|message| message.text().unwrap().to_owned()).collect()
    };
    let both = async |expected: &[&str]| {
        for thread in [&pair.hers, &pair.his] {
            eventually("the pins", async || (pinned(thread).await == expected).then_some(())).await;
        }
    };
    let mut events = pair.ben.client.events();
    pair.hers.pin(hers).await.unwrap();
    assert_eq!(pinned(&pair.hers).await, ["the address"]);
    both(&["the address"]).await;
    let is_pins = |event: Event| event == Event::PinsChanged(pair.his.id());
    within("the event", async { while !is_pins(events.next().await.unwrap().unwrap()) {} }).await;
    pair.hers.pin(second).await.unwrap();
    both(&["the time", "the address"]).await;
    pair.his.unpin(his).await.unwrap();
    both(&["the time"]).await;
    pair.hers.delete_for_everyone(second).await.unwrap();
    both(&[]).await;
    assert_eq!(pair.hers.pin(second).await.unwrap_err(), Error::WrongState);
    assert_eq!(pair.hers.pin(MessageId(44_444)).await.unwrap_err(), Error::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_has_at_most_32_pinned_messages() {
    let pair = Pair::new().await;
    for number in 0..33 {
        let id = pair.hers.send_text(&number.to_string()).await.unwrap().id;
        match pair.hers.pin(id).await {
            Ok(()) if number < 32 => {}
            Err(Error::InvalidContent(InvalidContent::TooManyPinned)) if number == 32 => {}
            other => panic!("{number}: {other:?}"),
        }
    }
    eventually("all pins", async || (pair.his.pinned().await.unwrap().len() == 32).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_that_is_refused_for_good_is_taken_back_and_reported() {
    let pair = Pair::new().await;
    let (hers, _) = pair.say("hello").await;
    let mut events = pair.ada.client.events();
    pair.ben.client.delete_account(History::Keep).await.unwrap();
    pair.hers.react(hers, "👍").await.unwrap();
    let failed = Event::ChangeFailed {
        thread: pair.hers.id(),
        message: Some(hers),
        change: ChangeKind::Reaction,
        reason: FailReason::RecipientDeleted,
    };
    within("the event", async { while events.next().await.unwrap().unwrap() != failed {} }).await;
    assert_eq!(history(&pair.hers).await[0].reactions, [], "it is taken back");
}

#[tokio::test(flavor = "multi_thread")]
async fn styles_mentions_and_a_link_preview_arrive_with_the_text() {
    let pair = Pair::new().await;
    let ben = pair.ben.client.user_id();
    let text = "🎈 @ben see https://example.org";
    // What an app counts in UTF-16.
    let name = TextRange::from_utf16(text, 3, 4).unwrap();
    assert_eq!(name.of(text), Some("@ben"));
    assert_eq!(TextRange::from_utf16(text, 1, 2), None, "inside of the balloon");
    let markup = Markup {
        styles: vec![StyledRange { range: name, style: TextStyle::Bold }],
        mentions: vec![Mention { range: name, user: ben }],
        preview: Some(Box::new(LinkPreview {
            url: "https://example.org".to_owned(),
            title: "Example".to_owned(),
            thumbnail: vec![7; 1000],
            ..LinkPreview::default()
        })),
    };
    let sent = pair.hers.send_with(text, markup.clone()).await.unwrap();
    assert_eq!(sent.markup.as_deref(), Some(&markup));
    let received = when("the text", &pair.his, |message| message.text() == Some(text)).await;
    assert_eq!(received.markup.as_deref(), Some(&markup));
    assert_eq!(name.to_utf16(received.text().unwrap()), Some((3, 4)));

    // An edit replaces all of it, and a forwarded text mentions nobody.
    let forwarded = pair.his.forward(received.id).await.unwrap().markup.unwrap();
    assert!(forwarded.mentions.is_empty() && forwarded.preview.is_some() && forwarded.styles.len() == 1);
    let spoiler = StyledRange { range: TextRange { start: 0, length: 6 }, style: TextStyle::Spoiler };
    let edited = Markup { styles: vec![spoiler], ..Markup::default() };
    pair.hers.edit_with(sent.id, "secret", edited.clone()).await.unwrap();
    let received = when("the edit", &pair.his, |message| message.text() == Some("secret")).await;
    assert_eq!(received.markup.as_deref(), Some(&edited));
    let reply = pair.his.reply_with(received.id, "secret", edited.clone()).await.unwrap();
    assert!(reply.quote.is_some() && reply.markup.as_deref() == Some(&edited));
    pair.hers.edit(sent.id, "plain").await.unwrap();
    let received = when("the second edit", &pair.his, |message| message.text() == Some("plain")).await;
    assert_eq!(received.markup, None);

    let refused = Error::InvalidContent(InvalidContent::Markup);
    assert_eq!(pair.hers.send_with("short", edited.clone()).await.unwrap_err(), refused);
    assert_eq!(pair.hers.edit_with(sent.id, "short", edited).await.unwrap_err(), refused);
    assert_eq!(
        pair.hers.send_with("no link", Markup { styles: Vec::new(), ..markup }).await.unwrap_err(),
        refused
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_sent_to_those_with_whom_we_talk() {
    let pair = Pair::new().await;
    let ada = Profile { name: "Ada".to_owned(), about: "busy".to_owned(), avatar: vec![1; 100] };
    pair.ada.client.set_profile(ada.clone()).await.unwrap();
    assert_eq!(pair.ada.client.profile().await.unwrap(), ada);
    let (at_ben, of_ada) = (&pair.ben.client, pair.ada.client.user_id());
    let shown = async |client: &Client| client.contact(of_ada).profile().await.unwrap();
    // Nothing was said yet, so nobody gets it.
    assert_eq!(shown(at_ben).await, None);
    let mut events = at_ben.events();
    pair.say("hello").await;
    eventually("the profile", async || (shown(at_ben).await.as_ref() == Some(&ada)).then_some(())).await;
    let changed = Event::ProfileChanged(of_ada);
    within("the event", async { while events.next().await.unwrap().unwrap() != changed {} }).await;
    // A change follows, and a thread that begins later gets the newest one.
    let renamed = Profile { name: "Ada L.".to_owned(), ..Profile::default() };
    pair.ada.client.set_profile(renamed.clone()).await.unwrap();
    eventually("the change", async || (shown(at_ben).await.as_ref() == Some(&renamed)).then_some(())).await;
    let cyd = pair.world.party("cyd").await;
    let from_cyd = cyd.thread_with(&pair.ada).await;
    from_cyd.send_text("hello").await.unwrap();
    eventually("the profile", async || (shown(&cyd.client).await.as_ref() == Some(&renamed)).then_some(()))
        .await;
    assert_eq!(history(&pair.his).await.len(), 1, "it shows nothing");

    let long = Profile { name: "a".repeat(257), ..Profile::default() };
    let refused = Error::InvalidContent(InvalidContent::Profile);
    assert_eq!(pair.ada.client.set_profile(long).await.unwrap_err(), refused);
    // It is there after a restart.
    let ben = pair.ben.close().await.open().await;
    assert_eq!(shown(&ben.client).await, Some(renamed));
}
