//! What people do in a conversation, in a group: three or four people, one of them with two devices, and a real relay.

#![cfg(test)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use sealpost_core::{
    ContactCard, Delivery, Direction, EVERYBODY, Error, Event, FailReason, GroupDetails, GroupPermissions,
    InvalidContent, Location, MAX_TIMER_S, Markup, MemberReceipt, Mention, Message, MessageBody,
    NoticeAction, PrivacySetting, Search, TextRange, Thread, ThreadId, Undecryptable, UserId,
};
use sealpost_e2e::know_each_other;
use sealpost_testkit::{
    Interceptor, Party, PartyDisk, Proxy, World, eventually, history, newest, open_database, when, within,
};
use sealpost_wire::frame::Body;
use sealpost_wire::roster::{Change, Entry};
use sealpost_wire::{Frame, Mail};

async fn has_members(device: &Party, id: ThreadId, count: usize) -> Thread {
    eventually("the members are known", async || {
        let group = device.client.group(id).await.ok()?;
        (group.members().await.ok()?.len() == count).then_some(())
    })
    .await;
    device.client.thread(id).await.unwrap()
}

/// Ada, who is the admin, Ben and Cleo in a group, with their threads.
struct Three {
    world: World,
    people: [Party; 3],
    threads: [Thread; 3],
}

impl Three {
    async fn new() -> Self {
        let world = World::start().await;
        let ada = world.party("ada").await;
        Self::with(world, ada).await
    }

    async fn with(world: World, ada: Party) -> Self {
        let people = [ada, world.party("ben").await, world.party("cleo").await];
        let [ada, ben, cleo] = &people;
        know_each_other(ada, ben).await;
        know_each_other(ada, cleo).await;
        let invited = [ben.client.user_id(), cleo.client.user_id()];
        let group = ada.client.create_group(GroupDetails::default(), GroupPermissions::default(), &invited);
        let id = group.await.unwrap().id();
        let threads =
            [has_members(ada, id, 3).await, has_members(ben, id, 3).await, has_members(cleo, id, 3).await];
        Self { world, people, threads }
    }

    fn id(&self) -> ThreadId {
        self.threads[0].id()
    }

    fn users(&self) -> [UserId; 3] {
        [0, 1, 2].map(|n| self.people[n].client.user_id())
    }

    /// Another device of one of them, which knows the group.
    async fn companion(&self, of: usize) -> (Party, Thread) {
        let companion = self.world.companion(&self.people[of], "companion").await;
        let thread = has_members(&companion, self.id(), 3).await;
        (companion, thread)
    }
}

/// Waits until each of these threads has a message like this, and returns them.
async fn each<const N: usize>(
    what: &str,
    threads: [&Thread; N],
    found: impl Fn(&Message) -> bool,
) -> [Message; N] {
    let mut all = Vec::new();
    for (place, thread) in threads.into_iter().enumerate() {
        all.push(when(&format!("{what} at {place}"), thread, &found).await);
    }
    all.try_into().unwrap()
}

async fn each_has_text<const N: usize>(threads: [&Thread; N], text: &str) -> [Message; N] {
    each(text, threads, |message| message.text() == Some(text)).await
}

/// The texts of a thread, the oldest first.
async fn said(thread: &Thread) -> Vec<String> {
    let all = history(thread).await;
    all.iter().filter_map(Message::text).map(str::to_owned).collect()
}

fn reactions(message: &Message) -> Vec<(&str, u32, bool)> {
    let all = message.reactions.iter();
    all.map(|reaction| (reaction.emoji.as_str(), reaction.count, reaction.is_ours)).collect()
}

fn mentioning(user: UserId) -> Markup {
    Markup { mentions: vec![Mention { range: TextRange { start: 0, length: 4 }, user }], ..Markup::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_reactions_edits_and_deletions_are_the_same_for_all_members() {
    let group = Three::new().await;
    let [hers, his, cleos] = &group.threads;
    let [_, ben, cleo] = group.users();
    let (_companion, his_other) = group.companion(1).await;
    let all = [hers, his, cleos, &his_other];
    // Behind the entry that says that Ben has another device.
    his_other.send_text("here").await.unwrap();
    each_has_text(all, "here").await;
    hers.send_text("where do we meet?").await.unwrap();
    let question = each_has_text(all, "where do we meet?").await;

    let answer = cleos.reply(question[2].id, "at the pier").await.unwrap();
    for (message, asked) in each_has_text(all, "at the pier").await.iter().zip(&question) {
        let quote = message.quote.as_ref().unwrap();
        assert_eq!((quote.message, quote.text.as_str()), (Some(asked.id), "where do we meet?"));
    }

    // Two people react, one of them on another device than before.
    cleos.react(question[2].id, "👍").await.unwrap();
    his.react(question[1].id, "👍").await.unwrap();
    each("two thumbs", [hers], |message| reactions(message) == [("👍", 2, false)]).await;
    each("two thumbs", [his, &his_other], |message| reactions(message) == [("👍", 2, true)]).await;
    his_other.react(question[3].id, "🎈").await.unwrap();
    each("a balloon", [hers], |message| reactions(message) == [("🎈", 1, false), ("👍", 1, false)]).await;
    each("a balloon", [his], |message| reactions(message) == [("🎈", 1, true), ("👍", 1, false)]).await;
    let by_name = hers.reactions(question[0].id, None, 9).await.unwrap();
    let by_name: BTreeSet<_> = by_name.iter().map(|one| (one.author, one.emoji.as_str())).collect();
    assert_eq!(by_name, BTreeSet::from([(ben, "🎈"), (cleo, "👍")]));
    cleos.remove_reaction(question[2].id).await.unwrap();
    each("the balloon alone", all, |message| reactions(message).len() == 1).await;

    // Only its author changes a text.
    let at_ben = each_has_text([his], "at the pier").await[0].clone();
    assert_eq!(his.edit(at_ben.id, "at mine").await, Err(Error::WrongState));
    cleos.edit(answer.id, "at the old pier").await.unwrap();
    for message in each_has_text(all, "at the old pier").await {
        assert!(message.edited_ms.is_some());
    }

    // Its author and admins delete it.
    assert_eq!(his.delete_for_everyone(at_ben.id).await, Err(Error::WrongState));
    let at_ada = each_has_text([hers], "at the old pier").await[0].id;
    hers.delete_for_everyone(at_ada).await.unwrap();
    each("the admin's deletion", all, |message| message.body == MessageBody::Deleted).await;
    let own = his.send_text("never mind").await.unwrap();
    each_has_text(all, "never mind").await;
    his.delete_for_everyone(own.id).await.unwrap();
    for thread in all {
        eventually("two are deleted", async || {
            let deleted = |message: &&Message| message.body == MessageBody::Deleted;
            (history(thread).await.iter().filter(deleted).count() == 2).then_some(())
        })
        .await;
    }
    hers.delete_for_me(question[0].id).await.unwrap();
    assert!(!said(hers).await.contains(&"where do we meet?".to_owned()));
    assert!(said(his).await.contains(&"where do we meet?".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_pins_places_and_cards_are_the_same_for_all_members() {
    let group = Three::new().await;
    let [hers, his, cleos] = &group.threads;
    let all = [hers, his, cleos];
    // A poll is the first message: the group has begun with its roster.
    let options = vec!["pizza".to_owned(), "soup".to_owned()];
    hers.send_poll("What do we eat?", options, false).await.unwrap();
    let polls = each("the poll", all, |message| matches!(message.body, MessageBody::Poll(_))).await;
    his.vote(polls[1].id, vec![0]).await.unwrap();
    cleos.vote(polls[2].id, vec![1]).await.unwrap();
    hers.vote(polls[0].id, vec![1]).await.unwrap();
    let counts = |message: &Message| match &message.body {
        MessageBody::Poll(poll) => poll.options.iter().map(|option| option.votes).collect(),
        _ => Vec::new(),
    };
    each("three votes", all, |message| counts(message) == [1, 2]).await;
    his.vote(polls[1].id, vec![1]).await.unwrap();
    each("another vote", all, |message| counts(message) == [0, 3]).await;
    assert_eq!(cleos.votes(polls[2].id, None, 9).await.unwrap().len(), 3);

    // Any member pins.
    cleos.pin(polls[2].id).await.unwrap();
    let place = Location {
        latitude_e7: 525_200_000,
        longitude_e7: 134_050_000,
        accuracy_m: 20,
        name: "the pier".to_owned(),
    };
    his.send_location(place.clone()).await.unwrap();
    let places =
        each("the place", all, |message| message.body == MessageBody::Location(Box::new(place.clone())))
            .await;
    hers.pin(places[0].id).await.unwrap();
    for (thread, expected) in all.into_iter().zip(places.iter().zip(&polls)) {
        eventually("both are pinned", async || {
            let pinned: Vec<_> = thread.pinned().await.unwrap().iter().map(|message| message.id).collect();
            (pinned == [expected.0.id, expected.1.id]).then_some(())
        })
        .await;
    }
    his.unpin(places[1].id).await.unwrap();
    eventually("one is left", async || (cleos.pinned().await.unwrap().len() == 1).then_some(())).await;

    let card = ContactCard { name: "Dee".to_owned(), ..ContactCard::default() };
    cleos.send_contact(card.clone()).await.unwrap();
    let cards =
        each("the card", all, |message| message.body == MessageBody::Contact(Box::new(card.clone()))).await;
    // What was written in a group is passed on to somebody alone, and back.
    let direct = group.people[0].thread_with(&group.people[1]).await;
    assert!(direct.forward(cards[0].id).await.unwrap().is_forwarded);
    let back = group.people[1].thread_with(&group.people[0]).await;
    let received = when("the card", &back, |message| message.is_forwarded).await;
    his.forward(received.id).await.unwrap();
    each("the card again", all, |message| message.is_forwarded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_mentioned_in_a_muted_group_is_notified_and_nobody_else() {
    let group = Three::new().await;
    let [hers, his, cleos] = &group.threads;
    let [_, ben, cleo] = group.users();
    let mut notices = [1, 2].map(|n: usize| group.people[n].client.notices());
    for thread in [his, cleos] {
        thread.set_muted_until(Some(u64::MAX)).await.unwrap();
    }
    hers.send_text("quiet").await.unwrap();
    hers.send_with("@ben look", mentioning(ben)).await.unwrap();
    hers.send_with("@all look", mentioning(EVERYBODY)).await.unwrap();
    hers.send_with("@cle look", mentioning(cleo)).await.unwrap();
    // A reply to what somebody has written mentions them.
    let own = cleos.send_text("who?").await.unwrap();
    let asked = each_has_text([his], "who?").await[0].id;
    his.reply(asked, "you").await.unwrap();
    each_has_text([cleos], "you").await;
    for (notices, expected) in
        notices.iter_mut().zip([&["@ben look", "@all look"][..], &["@all look", "@cle look", "you"]])
    {
        let mut shown = Vec::new();
        while shown.len() < expected.len() {
            for notice in within("a notice", notices.next_batch(9)).await.unwrap().unwrap() {
                let NoticeAction::Show(message) = notice.action else { continue };
                if message.thread == hers.id() {
                    shown.push(message.text().unwrap().to_owned());
                }
            }
            notices.confirm().await.unwrap();
        }
        assert_eq!(shown, expected);
    }
    let summary = cleos.summary().await.unwrap();
    assert_eq!((summary.mentions, own.thread), (3, summary.id));
    cleos.mark_read(newest(cleos).await.id).await.unwrap();
    let summary = cleos.summary().await.unwrap();
    assert_eq!((summary.mentions, summary.unread), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timer_of_a_group_is_in_its_roster_and_messages_disappear_for_all() {
    let group = Three::new().await;
    let [hers, his, cleos] = &group.threads;
    let all = [hers, his, cleos];
    // Also before anything was written.
    his.set_timer(1).await.unwrap();
    for (thread, party) in all.into_iter().zip(&group.people) {
        eventually("the timer", async || (thread.timer().await.unwrap() == 1).then_some(())).await;
        let roster = party.client.group(group.id()).await.unwrap();
        assert_eq!(roster.timer().await.unwrap(), 1);
    }
    let too_long = Err(Error::InvalidContent(InvalidContent::Timer));
    assert_eq!(his.set_timer(MAX_TIMER_S + 1).await, too_long);
    hers.send_text("secret").await.unwrap();
    let read = each_has_text([his, cleos], "secret").await;
    assert!(read.iter().all(|message| message.timer_s == 1 && message.expires_ms.is_none()));
    his.mark_read(read[0].id).await.unwrap();
    for thread in [hers, his] {
        eventually("it is gone", async || (!said(thread).await.contains(&"secret".to_owned())).then_some(()))
            .await;
    }
    assert!(said(cleos).await.contains(&"secret".to_owned()), "unread");
    cleos.mark_read(read[1].id).await.unwrap();
    eventually("it is gone", async || (!said(cleos).await.contains(&"secret".to_owned())).then_some(()))
        .await;
    his.set_timer(0).await.unwrap();
    for thread in all {
        eventually("no timer", async || (thread.timer().await.unwrap() == 0).then_some(())).await;
    }
    assert_eq!(cleos.send_text("stays").await.unwrap().timer_s, 0);
    // Who may not change the group does not change its timer.
    let strict = GroupPermissions { members_change_details: false, ..GroupPermissions::default() };
    group.people[0].client.group(group.id()).await.unwrap().set_permissions(strict).await.unwrap();
    let bens = group.people[1].client.group(group.id()).await.unwrap();
    eventually("it is strict", async || (bens.permissions().await.unwrap() == strict).then_some(())).await;
    assert_eq!(his.set_timer(9).await, Err(Error::WrongState));
    assert_eq!(his.timer().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_in_a_group_is_found_by_its_words_its_author_and_the_group() {
    let group = Three::new().await;
    let [hers, his, cleos] = &group.threads;
    his.send_text("the café by the pier").await.unwrap();
    cleos.send_text("another cafe").await.unwrap();
    group.people[0].thread_with(&group.people[1]).await.send_text("a café elsewhere").await.unwrap();
    each_has_text([hers], "another cafe").await;
    each_has_text([hers], "the café by the pier").await;
    let ada = &group.people[0].client;
    let found = async |set: &dyn Fn(&mut Search), count: usize| {
        let mut search = Search::new("cafe");
        set(&mut search);
        eventually("the words are found", async || {
            let hits = ada.find(search.clone(), 9).await.unwrap().hits;
            let mut texts: Vec<_> = hits.iter().map(|hit| hit.message.text().unwrap().to_owned()).collect();
            texts.sort();
            (texts.len() == count).then_some(texts)
        })
        .await
    };
    found(&|_| {}, 3).await;
    let in_group = found(&|search| search.thread = Some(group.id()), 2).await;
    assert_eq!(in_group, ["another cafe", "the café by the pier"]);
    let of_cleo = found(&|search| search.sender = Some(group.users()[2]), 1).await;
    assert_eq!(of_cleo, ["another cafe"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_message_and_who_has_read_it_is_told_by_name() {
    let group = Three::new().await;
    let [hers, his, cleos] = &group.threads;
    let [ada, ben, cleo] = group.users();
    let (_companion, her_other) = group.companion(0).await;
    // Somebody who is there but tells nothing, and somebody who comes later.
    cleos.set_privacy(PrivacySetting::ReadReceipts, false).await.unwrap();
    let sent = her_other.send_text("from her other device").await.unwrap();
    let [here, at_ben, at_cleo] = each_has_text([hers, his, cleos], "from her other device").await;
    let told = async |thread: &Thread, id, expected: &[(UserId, bool, bool)]| {
        eventually("it is told", async || {
            let receipts = thread.receipts(id).await.unwrap();
            let members = receipts.members.iter();
            let told: Vec<_> = members
                .map(|MemberReceipt { user, is_delivered, is_read, .. }| (*user, *is_delivered, *is_read))
                .collect();
            let mut expected = expected.to_vec();
            expected.sort();
            (told == expected).then_some(receipts)
        })
        .await
    };
    let both = [(ben, true, false), (cleo, true, false)];
    for (thread, id) in [(&her_other, sent.id), (hers, here.id)] {
        let receipts = told(thread, id, &both).await;
        assert_eq!((receipts.recipients, receipts.delivered(), receipts.read()), (2, 2, 0));
    }
    his.mark_read(at_ben.id).await.unwrap();
    cleos.mark_read(at_cleo.id).await.unwrap();
    let one_has_read = [(ben, true, true), (cleo, true, false)];
    for (thread, id) in [(&her_other, sent.id), (hers, here.id)] {
        told(thread, id, &one_has_read).await;
    }
    group.people[0].message_reaches(hers, here.id, Delivery::Delivered).await;

    // Dee is added. Nothing waits for Dee that was written before, on either device.
    let dee = group.world.party("dee").await;
    know_each_other(&group.people[0], &dee).await;
    let roster = group.people[0].client.group(group.id()).await.unwrap();
    let before = his.send_text("before Dee").await.unwrap();
    each_has_text([hers, cleos, &her_other], "before Dee").await;
    roster.invite(&[dee.client.user_id()]).await.unwrap();
    let dees = has_members(&dee, group.id(), 4).await;
    for party in &group.people {
        has_members(party, group.id(), 4).await;
    }
    told(his, before.id, &[(ada, true, false), (cleo, true, false)]).await;
    told(hers, here.id, &one_has_read).await;
    // What the other device sends now is sealed for Dee, too, and this device knows it.
    has_members(&_companion, group.id(), 4).await;
    let dee_id = dee.client.user_id();
    let later = her_other.send_text("after Dee").await.unwrap();
    let here = each_has_text([hers], "after Dee").await[0].id;
    each_has_text([&dees], "after Dee").await;
    for (thread, id) in [(&her_other, later.id), (hers, here)] {
        told(thread, id, &[(ben, true, false), (cleo, true, false), (dee_id, true, false)]).await;
    }
    // Dee is removed again, and counts for nothing any more.
    roster.remove(&[dee_id]).await.unwrap();
    has_members(&group.people[0], group.id(), 3).await;
    told(hers, here, &both).await;
    let elsewhere = group.people[0].thread_with(&group.people[1]).await;
    assert_eq!(elsewhere.receipts(here).await, Err(Error::NotFound));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_writing_is_told_to_the_others_and_ends_with_the_message() {
    let group = Three::new().await;
    let [hers, his, cleos] = &group.threads;
    let [ada, ben, _] = group.users();
    // They have the keys of each other when each has written.
    for thread in [hers, his, cleos] {
        thread.send_text("here").await.unwrap();
    }
    for thread in [hers, his, cleos] {
        eventually("all are here", async || (said(thread).await.len() == 3).then_some(())).await;
    }
    let mut events = group.people[2].client.events();
    hers.set_typing(true).await.unwrap();
    his.set_typing(true).await.unwrap();
    eventually("two are writing", async || {
        let mut expected = vec![ada, ben];
        expected.sort();
        (cleos.typing() == expected).then_some(())
    })
    .await;
    his.send_text("done").await.unwrap();
    within("the end", async {
        loop {
            let event = events.next().await.unwrap().unwrap();
            if event == (Event::TypingChanged { thread: group.id(), user: ben, is_typing: false }) {
                return;
            }
        }
    })
    .await;
    assert!(!cleos.typing().contains(&ben));
}

/// Nobody else has accepted yet. What is written has its place at the relay nevertheless.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_before_anybody_else_is_there_has_a_place_before_the_rest() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let invited = [ben.client.user_id()];
    let group = ada.client.create_group(GroupDetails::default(), GroupPermissions::default(), &invited);
    let group = group.await.unwrap();
    let hers = has_members(&ada, group.id(), 1).await;
    for n in 0..5 {
        let sent = hers.send_text(&format!("alone {n}")).await.unwrap();
        let sent = ada.message_reaches(&hers, sent.id, Delivery::Sent).await;
        assert_eq!(sent.direction, Direction::Outgoing(Delivery::Sent));
    }
    let invited = eventually("the invitation", async || ben.client.group(group.id()).await.ok()).await;
    invited.accept().await.unwrap();
    let his = has_members(&ben, group.id(), 2).await;
    has_members(&ada, group.id(), 2).await;
    his.send_text("here I am").await.unwrap();
    each_has_text([&hers], "here I am").await;
    hers.send_text("welcome").await.unwrap();
    each_has_text([&his], "welcome").await;
    assert_eq!(said(&his).await, ["here I am", "welcome"]);
    let expected: Vec<_> =
        (0..5).map(|n| format!("alone {n}")).chain(["here I am".into(), "welcome".into()]).collect();
    assert_eq!(said(&hers).await, expected);
    assert_eq!(hers.summary().await.unwrap().unread, 1);
    hers.mark_read(newest(&hers).await.id).await.unwrap();
    assert_eq!(hers.summary().await.unwrap().unread, 0);
}

/// Records the mail of a client, and lets the relay refuse the first piece to several people, because one of them seems to have registered
/// anew.
#[derive(Clone, Default)]
struct Refusing(Arc<Mutex<(Option<UserId>, Vec<Mail>)>>);

impl Interceptor for Refusing {
    fn up(&self, mut frame: Frame) -> Vec<Frame> {
        if let Some(Body::Mail(mail)) = &mut frame.body {
            let (refused, seen) = &mut *self.0.lock().unwrap();
            let people: BTreeSet<_> = mail.copies.iter().map(|copy| copy.user_id.clone()).collect();
            if people.len() > 1
                && let Some(user) = refused.take()
            {
                let theirs = mail.copies.iter_mut().filter(|copy| copy.user_id[..] == user.as_bytes()[..]);
                theirs.for_each(|copy| copy.registration_id ^= 1);
            }
            seen.push(mail.clone());
        }
        vec![frame]
    }
}

/// The ids and ciphertexts of distributions for somebody.
fn distributions(mails: &[Mail], to: UserId) -> Vec<(Vec<u8>, Vec<u8>)> {
    let copies = mails.iter().flat_map(|mail| mail.copies.iter().map(|copy| (&mail.client_msg_id, copy)));
    let theirs = copies.filter(|(_, copy)| copy.user_id[..] == to.as_bytes()[..]);
    let urgent = theirs.filter_map(|(id, copy)| {
        let envelope = copy.envelope.as_ref()?;
        envelope.urgent.then(|| (id.to_vec(), envelope.ciphertext.to_vec()))
    });
    urgent.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refused_device_makes_nobody_elses_chain_be_sealed_again() {
    let world = World::start().await;
    let refusing = Refusing::default();
    let proxy = Proxy::start(world.addr(), refusing.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
    let group = Three::with(world, ada).await;
    let [hers, his, cleos] = &group.threads;
    let [_, ben, cleo] = group.users();
    refusing.0.lock().unwrap().0 = Some(cleo);
    hers.send_text("hello").await.unwrap();
    each_has_text([his, cleos], "hello").await;
    let mails = refusing.0.lock().unwrap().1.clone();
    let of_ben = distributions(&mails, ben);
    let [(first, ciphertext), (second, again)] = &of_ben[..] else { panic!("{} for Ben", of_ben.len()) };
    assert!(first != second && ciphertext == again);
    let of_cleo = distributions(&mails, cleo);
    assert!(of_cleo.len() > 1 && of_cleo[0].0 == *first && of_cleo[1].1 != of_cleo[0].1, "sealed anew");
    // Nobody lacks it any more.
    hers.send_text("again").await.unwrap();
    each_has_text([his, cleos], "again").await;
    assert_eq!(distributions(&refusing.0.lock().unwrap().1, ben).len(), 2);
}

/// Keeps back the urgent mail to a client while it is set.
#[derive(Clone, Default)]
struct Holding(Arc<Mutex<Option<Vec<Frame>>>>);

impl Interceptor for Holding {
    fn down(&self, frame: Frame) -> Vec<Frame> {
        let is_urgent = matches!(&frame.body, Some(Body::DeliverMail(mail)) if mail.envelope.as_ref().is_some_and(|envelope| envelope.urgent));
        match &mut *self.0.lock().unwrap() {
            Some(held) if is_urgent => {
                held.push(frame);
                Vec::new()
            }
            _ => vec![frame],
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_chain_is_late_is_shown_as_such_and_heals_after_a_restart() {
    let world = World::start().await;
    let holding = Holding::default();
    let proxy = Proxy::start(world.addr(), holding.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
    let Three { world: _world, people: [ada, _ben, _cleo], threads: [hers, his, cleos] } =
        Three::with(world, ada).await;
    *holding.0.lock().unwrap() = Some(Vec::new());
    his.send_text("first").await.unwrap();
    his.send_text("second").await.unwrap();
    each_has_text([&cleos], "second").await;
    let is_waiting =
        |message: &Message| message.body == MessageBody::Undecryptable(Undecryptable::AwaitsSenderKey);
    // They are shown in the end, although their chain does not come.
    eventually("both are shown", async || {
        (history(&hers).await.iter().filter(|message| is_waiting(message)).count() == 2).then_some(())
    })
    .await;
    let id = hers.id();
    let places: Vec<_> =
        history(&hers).await.into_iter().filter(is_waiting).map(|message| message.id).collect();
    drop(hers);
    let disk = ada.close().await;
    *holding.0.lock().unwrap() = None;
    let ada = disk.open().await;
    let hers = ada.client.thread(id).await.unwrap();
    let [first] = each_has_text([&hers], "first").await;
    let [second] = each_has_text([&hers], "second").await;
    assert_eq!([first.id, second.id], places[..]);
    // The relay has forgotten the next one when the client ends, perhaps before it is shown.
    *holding.0.lock().unwrap() = Some(Vec::new());
    cleos.send_text("third").await.unwrap();
    let kept = |disk: &PartyDisk| {
        let database = open_database(disk.database(), &disk.key());
        database.query_row("SELECT count(*) FROM deferred", [], |row| row.get::<_, u32>(0)).unwrap()
    };
    eventually("it is kept", async || (kept(ada.disk()) == 1).then_some(())).await;
    drop(hers);
    let disk = ada.close().await;
    assert_eq!(kept(&disk), 1);
    *holding.0.lock().unwrap() = None;
    let ada = disk.open().await;
    let hers = ada.client.thread(id).await.unwrap();
    each_has_text([&hers], "third").await;
    assert_eq!(said(&hers).await, ["first", "second", "third"]);
    assert_eq!(kept(ada.disk()), 0);
    // What comes in time is never shown as something else.
    let mut arrivals = hers.arrivals();
    cleos.send_text("fourth").await.unwrap();
    let arrived = within("the fourth", arrivals.next()).await.unwrap().unwrap();
    assert_eq!(arrived.text(), Some("fourth"));
}

/// The lists of an account in the roster, and whether a device of the former list is gone.
fn device_entries(world: &World, id: ThreadId) -> Vec<(UserId, bool)> {
    let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    let mut statement =
        relay.prepare("SELECT entry FROM roster_entry WHERE thread_id = ?1 ORDER BY version").unwrap();
    let entries = statement.query_map([id.as_bytes()], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    let entries = entries.map(|entry| Entry::parse(&entry.unwrap()).unwrap());
    let said = entries.filter_map(|entry| match entry.content().change {
        Change::Devices { is_removal } => Some((entry.content().author.user, is_removal)),
        _ => None,
    });
    said.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_says_in_the_group_which_devices_they_have_and_who_was_removed_reads_nothing_later() {
    let group = Three::new().await;
    let [hers, his, cleos] = &group.threads;
    let ben = group.users()[1];
    let (companion, his_other) = group.companion(1).await;
    eventually("the new list", async || {
        (device_entries(&group.world, group.id()) == [(ben, false)]).then_some(())
    })
    .await;
    his_other.send_text("from both").await.unwrap();
    each_has_text([hers, his, cleos], "from both").await;
    for thread in [hers, cleos] {
        thread.send_text("to both").await.unwrap();
    }
    eventually("both have both", async || {
        let to_both = |said: Vec<String>| said.iter().filter(|text| *text == "to both").count() == 2;
        (to_both(said(his).await) && to_both(said(&his_other).await)).then_some(())
    })
    .await;
    let chains = |name: &Party| {
        let database = open_database(name.disk().database(), &name.disk().key());
        let sql = "SELECT count(*) FROM chain_holder WHERE user_id = ?1";
        database.query_row(sql, [ben.as_bytes()], |row| row.get::<_, u32>(0)).unwrap()
    };
    assert_eq!([chains(&group.people[0]), chains(&group.people[2])], [2, 2]);
    let device = companion.client.device_id();
    group.people[1].client.remove_device(device).await.unwrap();
    let expected = [(ben, false), (ben, true)];
    eventually("the removal", async || (device_entries(&group.world, group.id()) == expected).then_some(()))
        .await;
    his.send_text("gone").await.unwrap();
    each_has_text([hers, cleos], "gone").await;
    hers.send_text("to one").await.unwrap();
    each_has_text([his, cleos], "to one").await;
    assert_eq!(chains(&group.people[0]), 1);
    assert!(!said(&his_other).await.contains(&"to one".to_owned()));
    assert_eq!(device_entries(&group.world, group.id()), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_of_admins_others_read_and_a_refused_message_is_sent_when_they_may_write_again() {
    let group = Three::new().await;
    let [hers, his, cleos] = &group.threads;
    let roster = async |party: &Party| party.client.group(group.id()).await.unwrap();
    let set = async |members_write| {
        let permissions = GroupPermissions { members_write, ..GroupPermissions::default() };
        roster(&group.people[0]).await.set_permissions(permissions).await.unwrap();
        for party in &group.people {
            let theirs = roster(party).await;
            eventually("who may write", async || {
                (theirs.permissions().await.unwrap() == permissions).then_some(())
            })
            .await;
        }
    };
    set(false).await;
    hers.send_text("for your information").await.unwrap();
    let at = each_has_text([his, cleos], "for your information").await;
    let refused = his.send_text("but").await.unwrap();
    let failed = Delivery::Failed(FailReason::Refused);
    group.people[1].message_reaches(his, refused.id, failed).await;
    // Nor do they react.
    cleos.react(at[1].id, "👍").await.unwrap();
    eventually("it is taken back", async || {
        let shown = history(cleos).await.into_iter().find(|message| message.id == at[1].id)?;
        shown.reactions.is_empty().then_some(())
    })
    .await;
    // They still confirm what they have.
    let sent = history(hers)
        .await
        .into_iter()
        .find(|message| message.text() == Some("for your information"))
        .unwrap();
    group.people[0].message_reaches(hers, sent.id, Delivery::Delivered).await;
    set(true).await;
    his.retry(refused.id).await.unwrap();
    each_has_text([hers, cleos], "but").await;
}
