//! A relay that lies about a group: each row about groups of the table in `docs/threat-model.md`. The relay is the real one, and each device has a
//! proxy that changes what it is shown.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use prost::Message as _;
use sealpost_core::{Delivery, Event, Events, Folder, ThreadId};
use sealpost_e2e::{
    EntrySigner, entries_of, group_of, group_thread, has_members, hears, is_told, members, said, say,
};
use sealpost_testkit::{Interceptor, Party, PartyDisk, Proxy, World, eventually};
use sealpost_wire::frame::Body;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::roster::{Change, Entry};
use sealpost_wire::{self as wire, Frame};

/// What the relay does to one device.
#[derive(Default)]
struct Deeds {
    /// Entries from this version on are not shown.
    hides_from: Option<u64>,
    /// Other entries that are shown in place of those with their versions.
    shows_instead: HashMap<u64, Vec<u8>>,
    /// What is delivered in groups is kept until it is told otherwise.
    keeps: Option<Vec<Frame>>,
    /// What the device posts in groups is not stored.
    takes: bool,
    /// The posts and the mail of the first user are delivered as those of the second.
    renames: Option<([u8; 16], [u8; 16])>,
    /// Added to the versions of rosters that it states.
    wrong_version: u64,
    /// Names one more device of everybody in the bundles.
    adds_devices: bool,
    /// Answers with garbage to requests whose line contains this.
    spoils: Option<String>,
    /// Everything that was delivered, and everything that the device has sent.
    delivered: Vec<Frame>,
    sent: Vec<Frame>,
}

#[derive(Clone, Default)]
struct Lies(Arc<Mutex<Deeds>>);

impl Lies {
    fn with(&self) -> MutexGuard<'_, Deeds> {
        self.0.lock().unwrap()
    }

    /// The posts in groups that the device has sent.
    fn posts(&self) -> Vec<wire::Send> {
        let sent = self.with().sent.clone();
        sent.into_iter()
            .filter_map(|frame| match frame.body {
                Some(Body::Send(send)) if send.group.is_some() => Some(send),
                _ => None,
            })
            .collect()
    }

    /// The posts in groups that were delivered to the device.
    fn heard(&self) -> Vec<wire::Deliver> {
        let delivered = self.with().delivered.clone();
        delivered
            .into_iter()
            .filter_map(|frame| match frame.body {
                Some(Body::Deliver(deliver)) if kind(&deliver) == wire::envelope::GROUP => Some(deliver),
                _ => None,
            })
            .collect()
    }
}

fn kind(deliver: &wire::Deliver) -> u32 {
    deliver.envelope.as_ref().unwrap().kind
}

impl Deeds {
    /// What is shown in place of an entry.
    fn shown(&self, entry: &[u8]) -> Option<Vec<u8>> {
        let version = Entry::parse(entry).unwrap().version();
        if self.hides_from.is_some_and(|first| version >= first) {
            return None;
        }
        Some(self.shows_instead.get(&version).cloned().unwrap_or_else(|| entry.to_vec()))
    }
}

impl Interceptor for Lies {
    fn up(&self, frame: Frame) -> Vec<Frame> {
        let mut deeds = self.with();
        deeds.sent.push(frame.clone());
        let is_post = matches!(&frame.body, Some(Body::Send(send)) if send.group.is_some());
        if is_post && deeds.takes { Vec::new() } else { vec![frame] }
    }

    fn down(&self, mut frame: Frame) -> Vec<Frame> {
        let mut deeds = self.with();
        let is_kept = match &mut frame.body {
            Some(Body::Deliver(deliver)) => {
                deeds.delivered.push(Frame {
                    v: frame.v,
                    body: Some(Body::Deliver(deliver.clone())),
                    ..Frame::default()
                });
                deliver.roster_version += deeds.wrong_version;
                if let Some((of, to)) = deeds.renames
                    && deliver.sender_user_id == of[..]
                    && kind(deliver) == wire::envelope::GROUP
                {
                    deliver.sender_user_id = to.to_vec().into();
                }
                if kind(deliver) == wire::envelope::ROSTER {
                    let envelope = deliver.envelope.as_mut().unwrap();
                    let Some(shown) = deeds.shown(&envelope.ciphertext) else { return Vec::new() };
                    envelope.ciphertext = shown.into();
                }
                matches!(kind(deliver), wire::envelope::ROSTER | wire::envelope::GROUP)
            }
            Some(Body::DeliverMail(mail)) => {
                let copy = Body::DeliverMail(mail.clone());
                deeds.delivered.push(Frame { v: frame.v, body: Some(copy), ..Frame::default() });
                false
            }
            _ => false,
        };
        match &mut deeds.keeps {
            Some(kept) if is_kept => {
                kept.push(frame);
                Vec::new()
            }
            _ => vec![frame],
        }
    }

    fn answer(&self, request: &str, body: Vec<u8>) -> Vec<u8> {
        let deeds = self.with();
        if deeds.spoils.as_ref().is_some_and(|part| request.contains(part.as_str())) {
            return b"garbage".to_vec();
        }
        if request.starts_with("GET") && request.contains("/roster?after=") {
            let Ok(mut page) = wire::decode::<wire::RosterPage>(body.clone().into()) else { return body };
            page.rows = page
                .rows
                .into_iter()
                .filter_map(|row| {
                    let entry = deeds.shown(&row.entry)?;
                    Some(wire::RosterRow { entry: entry.into(), ..row })
                })
                .collect();
            return page.encode_to_vec();
        }
        if deeds.adds_devices && request.contains("/prekeys") {
            let Ok(mut bundles) = wire::decode::<wire::Bundles>(body.clone().into()) else { return body };
            let more = bundles.bundles.clone().into_iter();
            bundles.bundles.extend(more.map(|bundle| wire::Bundle { device_id: 2, ..bundle }));
            return bundles.encode_to_vec();
        }
        body
    }
}

/// Somebody whose relay may lie.
struct Someone {
    party: Party,
    lies: Lies,
    proxy: Proxy,
    disk: PartyDisk,
}

impl Someone {
    async fn new(world: &World, name: &str) -> Self {
        let lies = Lies::default();
        let proxy = Proxy::start(world.addr(), lies.clone()).await;
        let disk = world.disk(name).through(&proxy.url());
        Self { party: disk.clone().open_or_register().await, lies, proxy, disk }
    }

    /// Writes into the group, and returns what leaves the device.
    async fn says_and_sends(&self, group: ThreadId, text: &str) -> wire::Envelope {
        let posts = self.lies.posts().len();
        say(&self.party, group, text).await;
        let sent = async || self.lies.posts().get(posts).and_then(|sent| sent.group.clone());
        eventually("it is sent", sent).await
    }

    /// Delivers a post or an entry of somebody in the group, at this place.
    fn is_delivered(&self, group: ThreadId, from: &Self, envelope: wire::Envelope, server_seq: u64) {
        let deliver = wire::Deliver {
            key: Some(wire::InboxKey { thread_id: group.to_wire(), server_seq }),
            hlc: now_ms() << 16,
            epoch: self.lies.heard().first().map_or(1, |deliver| deliver.epoch),
            sender_user_id: from.party.client.user_id().to_wire(),
            sender_device_id: 1,
            client_msg_id: vec![u8::try_from(server_seq % 251).unwrap(); 16].into(),
            roster_version: 1,
            envelope: Some(envelope),
            attempt: 1,
        };
        self.proxy.inject(&frame(Body::Deliver(deliver)));
    }

    /// What was kept is delivered, changed like this.
    fn is_given_what_was_kept(&self, change: impl FnOnce(&mut Vec<Frame>)) {
        let mut kept = self.lies.with().keeps.take().unwrap();
        change(&mut kept);
        kept.iter().for_each(|frame| self.proxy.inject(frame));
    }

    fn is_shown(&self, group: ThreadId, from: &Self, entry: &[u8], server_seq: u64) {
        let ciphertext = entry.to_vec().into();
        let envelope =
            wire::Envelope { kind: wire::envelope::ROSTER, ciphertext, ..wire::Envelope::default() };
        self.is_delivered(group, from, envelope, server_seq);
    }
}

fn frame(body: Body) -> Frame {
    Frame { v: wire::FRAME_VERSION, body: Some(body), ..Frame::default() }
}

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

/// Ada, who is the admin, Ben and Cam, in a group in which everybody has written.
struct Talk {
    world: World,
    group: ThreadId,
    people: [Someone; 3],
}

impl Talk {
    async fn begin() -> Self {
        let world = World::start().await;
        let people = [
            Someone::new(&world, "ada").await,
            Someone::new(&world, "ben").await,
            Someone::new(&world, "cam").await,
        ];
        let [ada, ben, cam] = &people;
        let group = group_of(&ada.party, &[&ben.party, &cam.party]).await;
        let talk = Self { world, group, people };
        for someone in &talk.people {
            talk.everybody_hears(someone, &format!("I am {}", someone.party.name())).await;
        }
        talk
    }

    async fn everybody_hears(&self, from: &Someone, text: &str) {
        say(&from.party, self.group, text).await;
        for someone in &self.people {
            hears(&someone.party, self.group, &[text]).await;
        }
    }

    /// The version of the next entry, as a device knows the roster.
    fn next_version(&self, on: &Someone) -> u64 {
        entries_of(&on.disk, self.group).last().unwrap().version() + 1
    }

    /// Somebody waits, although they have something to say.
    async fn waits(&self, from: &Someone, text: &str) {
        let posts = from.lies.posts().len();
        let waits = say(&from.party, self.group, text).await;
        // What is written afterwards to somebody alone is sent, and nothing has left for the group.
        let other = self.people.iter().find(|other| other.party.name() != from.party.name()).unwrap();
        let alone = from.party.thread_with(&other.party).await;
        let sent = alone.send_text(text).await.unwrap();
        from.party.message_reaches(&alone, sent.id, Delivery::Sent).await;
        let thread = group_thread(&from.party, self.group).await;
        assert!(thread.waiting(waits.id).await.unwrap().is_some());
        assert_eq!(from.lies.posts().len(), posts);
    }

    async fn two_hear(&self, [from, other]: [&Someone; 2], text: &str) {
        say(&from.party, self.group, text).await;
        for someone in [from, other] {
            hears(&someone.party, self.group, &[text]).await;
        }
    }

    async fn lacks(&self, someone: &Someone, text: &str) {
        let said = said(&someone.party, self.group).await;
        assert!(!said.iter().any(|said| said == text), "{}: {said:?}", someone.party.name());
    }
}

/// None of the events about rosters was told.
fn is_quiet(events: &mut Events) {
    while let Some(Some(Ok(event))) = futures_util::FutureExt::now_or_never(events.next()) {
        let is_about_rosters = matches!(
            event,
            Event::RosterContradicted(_) | Event::EntryRefused { .. } | Event::GroupChangeFailed(_)
        );
        assert!(!is_about_rosters, "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_the_relay_hides_is_noticed_with_the_next_message_and_sending_waits_for_it() {
    let talk = Talk::begin().await;
    let ([ada, ben, cam], group) = (&talk.people, talk.group);
    let mut events = cam.party.client.events();
    cam.lies.with().hides_from = Some(talk.next_version(cam));
    let removed = ben.party.client.user_id();
    ada.party.client.group(group).await.unwrap().remove(&[removed]).await.unwrap();
    has_members(&ada.party, group, 2).await;
    say(&ada.party, group, "without Ben").await;
    hears(&cam.party, group, &["without Ben"]).await;
    is_told(&mut events, Event::RosterContradicted(group)).await;
    assert_eq!(members(&cam.party, group).await.len(), 3, "what was shown first remains");
    talk.waits(cam, "is Ben still there?").await;
    // The relay shows it again: the message goes to those who are members.
    cam.lies.with().hides_from = None;
    hears(&ada.party, group, &["is Ben still there?"]).await;
    has_members(&cam.party, group, 2).await;
    talk.lacks(ben, "without Ben").await;
    talk.lacks(ben, "is Ben still there?").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_removed_reads_what_those_send_from_whom_the_relay_withholds_it_and_nothing_else() {
    let talk = Talk::begin().await;
    let ([ada, ben, cam], group) = (&talk.people, talk.group);
    let next = talk.next_version(ada);
    for someone in [ben, cam] {
        someone.lies.with().hides_from = Some(next);
    }
    cam.lies.with().takes = true;
    let removed = ben.party.client.user_id();
    ada.party.client.group(group).await.unwrap().remove(&[removed]).await.unwrap();
    has_members(&ada.party, group, 2).await;
    // Cam knows nothing of it, and the relay is on Ben's side.
    let of_cam = cam.says_and_sends(group, "for all three").await;
    ben.is_delivered(group, cam, of_cam, 50);
    hears(&ben.party, group, &["for all three"]).await;
    // Ada knows it.
    let of_ada = ada.says_and_sends(group, "without Ben").await;
    ben.is_delivered(group, ada, of_ada, 51);
    hears(&ben.party, group, &["Undecryptable(AwaitsSenderKey)"]).await;
    talk.lacks(ben, "without Ben").await;
    // From Ada's message, Cam learns that something is hidden, and nothing more is sealed for Ben.
    hears(&cam.party, group, &["without Ben"]).await;
    talk.waits(cam, "not for Ben").await;
    let sent = cam.lies.posts().len();
    cam.lies.with().takes = false;
    cam.lies.with().hides_from = None;
    hears(&ada.party, group, &["for all three", "not for Ben"]).await;
    for post in cam.lies.posts().split_off(sent) {
        ben.is_delivered(group, cam, post.group.unwrap(), 52);
    }
    hears(&ben.party, group, &["Undecryptable(AwaitsSenderKey)"]).await;
    talk.lacks(ben, "not for Ben").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_removed_member_still_sends_is_not_shown_to_those_who_know_it() {
    let talk = Talk::begin().await;
    let ([ada, ben, cam], group) = (&talk.people, talk.group);
    {
        let mut deeds = ben.lies.with();
        (deeds.hides_from, deeds.takes) = (Some(entries_of(&ben.disk, group).len() as u64 + 1), true);
    }
    let removed = ben.party.client.user_id();
    ada.party.client.group(group).await.unwrap().remove(&[removed]).await.unwrap();
    for someone in [ada, cam] {
        has_members(&someone.party, group, 2).await;
    }
    let of_ben = ben.says_and_sends(group, "I am still here").await;
    for someone in [ada, cam] {
        someone.is_delivered(group, ben, of_ben.clone(), 50);
        hears(&someone.party, group, &["Undecryptable(Misrouted)"]).await;
        talk.lacks(someone, "I am still here").await;
    }
    say(&ada.party, group, "we go on").await;
    say(&cam.party, group, "yes").await;
    for someone in [ada, cam] {
        hears(&someone.party, group, &["we go on", "yes"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_members_who_are_shown_different_chains_notice_with_the_next_message() {
    let talk = Talk::begin().await;
    let ([ada, ben, cam], group) = (&talk.people, talk.group);
    // Ada's device has signed two entries with one version, as one would that was stolen.
    let last = entries_of(&ada.disk, group).pop().unwrap();
    let other = EntrySigner::of(&ada.disk).sign(&last, Change::Timer(7));
    cam.lies.with().shows_instead.insert(other.version(), other.as_bytes().to_vec());
    let (mut of_ben, mut of_cam) = (ben.party.client.events(), cam.party.client.events());
    ada.party.client.group(group).await.unwrap().set_timer(5_000).await.unwrap();
    for (someone, timer) in [(ben, 5_000), (cam, 7)] {
        let shown = someone.party.client.group(group).await.unwrap();
        eventually("the timer", async || (shown.timer().await.unwrap() == timer).then_some(())).await;
    }
    // Cam's device gets nothing for a while, so both sides write before they notice.
    cam.lies.with().keeps = Some(Vec::new());
    say(&ada.party, group, "five thousand seconds").await;
    hears(&ben.party, group, &["five thousand seconds"]).await;
    say(&cam.party, group, "seven seconds").await;
    hears(&ben.party, group, &["seven seconds"]).await;
    is_told(&mut of_ben, Event::RosterContradicted(group)).await;
    talk.waits(ben, "which timer?").await;
    cam.is_given_what_was_kept(|_| {});
    hears(&cam.party, group, &["five thousand seconds"]).await;
    is_told(&mut of_cam, Event::RosterContradicted(group)).await;
    talk.waits(cam, "yes, which?").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_that_the_relay_shows_again_has_no_effect() {
    let talk = Talk::begin().await;
    let ([ada, ben, cam], group) = (&talk.people, talk.group);
    let removed = ben.party.client.user_id();
    ada.party.client.group(group).await.unwrap().remove(&[removed]).await.unwrap();
    for someone in [ada, cam] {
        has_members(&someone.party, group, 2).await;
    }
    let mut events = cam.party.client.events();
    let chain = entries_of(&cam.disk, group);
    for (number, entry) in chain.iter().enumerate() {
        cam.is_shown(group, ada, entry.as_bytes(), 50 + number as u64);
    }
    for someone in [ada, cam] {
        say(&someone.party, group, "without Ben").await;
    }
    for someone in [ada, cam] {
        hears(&someone.party, group, &["without Ben"]).await;
    }
    assert_eq!(entries_of(&cam.disk, group), chain);
    assert!(!members(&cam.party, group).await.contains(&removed));
    is_quiet(&mut events);
    talk.lacks(ben, "without Ben").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_the_relay_makes_up_is_none() {
    let talk = Talk::begin().await;
    let ([ada, ben, cam], group) = (&talk.people, talk.group);
    let eve = talk.world.party("eve").await;
    let (of_eve, user) = (EntrySigner::of(&talk.world.disk("eve")), eve.client.user_id());
    let mut events = cam.party.client.events();
    let last = entries_of(&cam.disk, group).pop().unwrap();
    let account_key = of_eve.account_key();
    let invite = Change::Invite(vec![sealpost_wire::roster::Invitation { user, account_key }]);
    // In the name of Ada, and in Eve's own.
    let in_her_name = of_eve.sign_as(&EntrySigner::of(&ada.disk), &last, invite);
    cam.is_shown(group, ada, in_her_name.as_bytes(), 50);
    let refused = Event::EntryRefused { thread: group, user: ada.party.client.user_id() };
    is_told(&mut events, refused).await;
    let joins = of_eve.sign(&in_her_name, Change::Accept);
    cam.is_shown(group, ada, joins.as_bytes(), 51);
    is_told(&mut events, Event::EntryRefused { thread: group, user }).await;
    assert_eq!(members(&cam.party, group).await.len(), 3);
    // One that follows from nothing, and one that is none.
    let elsewhere = EntrySigner::of(&ada.disk).sign(&in_her_name, Change::Timer(5));
    cam.is_shown(group, ada, elsewhere.as_bytes(), 52);
    is_told(&mut events, Event::RosterContradicted(group)).await;
    cam.is_shown(group, ada, b"garbage", 53);
    // The others go on, and Cam reads them.
    say(&ada.party, group, "who is Eve?").await;
    say(&ben.party, group, "nobody").await;
    for someone in &talk.people {
        hears(&someone.party, group, &["who is Eve?", "nobody"]).await;
    }
    assert_eq!(members(&cam.party, group).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_has_nothing_to_do_with_us_is_in_no_list() {
    let talk = Talk::begin().await;
    let ([ada, _, cam], group) = (&talk.people, talk.group);
    let eve = talk.world.party("eve").await;
    let of_eve = group_of(&eve, &[&ada.party]).await;
    let lists = async || {
        let page = async |folder| cam.party.client.folder_page(folder, None, 99).await.unwrap().threads;
        [page(Folder::Chats).await, page(Folder::Requests).await].concat()
    };
    let before: Vec<_> = lists().await.into_iter().map(|listed| listed.id).collect();
    assert!(before.contains(&group));
    for (number, entry) in entries_of(&ada.disk, of_eve).iter().enumerate() {
        cam.is_shown(of_eve, ada, entry.as_bytes(), 1 + number as u64);
    }
    eventually("it was taken", async || {
        (entries_of(&cam.disk, of_eve).len() == entries_of(&ada.disk, of_eve).len()).then_some(())
    })
    .await;
    let mut after: Vec<_> = lists().await.into_iter().map(|listed| listed.id).collect();
    after.retain(|id| !before.contains(id));
    assert_eq!(after, []);
    // Once Cam is invited, it is: as a request, because Cam does not know Eve.
    eve.client.group(of_eve).await.unwrap().invite(&[cam.party.client.user_id()]).await.unwrap();
    eventually("the request", async || {
        let requests = cam.party.client.folder_page(Folder::Requests, None, 99).await.unwrap().threads;
        requests.iter().any(|listed| listed.id == of_eve).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_and_entries_that_come_in_another_order_are_all_shown() {
    let talk = Talk::begin().await;
    let ([ada, ben, cam], group) = (&talk.people, talk.group);
    let mut events = cam.party.client.events();
    cam.lies.with().keeps = Some(Vec::new());
    let hers = ada.party.client.group(group).await.unwrap();
    for round in 1..4 {
        hers.set_timer(round * 1_000).await.unwrap();
        eventually("the timer", async || (hers.timer().await.unwrap() == round * 1_000).then_some(())).await;
        talk.two_hear([ada, ben], &format!("round {round}")).await;
    }
    cam.is_given_what_was_kept(|kept| kept.reverse());
    hears(&cam.party, group, &["round 1", "round 2", "round 3"]).await;
    let shown: Vec<_> =
        said(&cam.party, group).await.into_iter().filter(|text| text.starts_with("round")).collect();
    assert_eq!(shown, ["round 1", "round 2", "round 3"]);
    let his = cam.party.client.group(group).await.unwrap();
    eventually("the timer", async || (his.timer().await.unwrap() == 3_000).then_some(())).await;
    talk.everybody_hears(cam, "in order").await;
    is_quiet(&mut events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_version_beside_a_post_or_an_entry_has_no_effect() {
    let talk = Talk::begin().await;
    let ([ada, _, cam], group) = (&talk.people, talk.group);
    let mut events = cam.party.client.events();
    cam.lies.with().wrong_version = 1_000;
    ada.party.client.group(group).await.unwrap().set_timer(5_000).await.unwrap();
    talk.everybody_hears(ada, "which version?").await;
    let his = cam.party.client.group(group).await.unwrap();
    eventually("the timer", async || (his.timer().await.unwrap() == 5_000).then_some(())).await;
    talk.everybody_hears(cam, "the next one").await;
    is_quiet(&mut events);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_before_a_removal_is_nothing_new_after_it() {
    let talk = Talk::begin().await;
    let ([ada, ben, cam], group) = (&talk.people, talk.group);
    talk.everybody_hears(ada, "before").await;
    let removed = ben.party.client.user_id();
    ada.party.client.group(group).await.unwrap().remove(&[removed]).await.unwrap();
    for someone in [ada, cam] {
        has_members(&someone.party, group, 2).await;
    }
    for (from, to) in [(ada, cam), (cam, ada)] {
        say(&from.party, group, &format!("after, by {}", from.party.name())).await;
        hears(&to.party, group, &[&format!("after, by {}", from.party.name())]).await;
    }
    let shown = said(&cam.party, group).await;
    let mut events = cam.party.client.events();
    let all = cam.lies.with().delivered.clone();
    assert!(all.iter().any(|frame| matches!(frame.body, Some(Body::DeliverMail(_)))));
    for frame in all {
        cam.proxy.inject(&frame);
    }
    for (from, to) in [(ada, cam), (cam, ada)] {
        say(&from.party, group, &format!("again, by {}", from.party.name())).await;
        hears(&to.party, group, &[&format!("again, by {}", from.party.name())]).await;
    }
    let mut now = said(&cam.party, group).await;
    now.retain(|text| !text.starts_with("again"));
    assert_eq!(now, shown);
    is_quiet(&mut events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_of_one_member_is_not_shown_as_that_of_another() {
    let talk = Talk::begin().await;
    let ([ada, ben, cam], group) = (&talk.people, talk.group);
    let [of_ben, of_ada] = [ben, ada].map(|someone| *someone.party.client.user_id().as_bytes());
    cam.lies.with().renames = Some((of_ben, of_ada));
    say(&ben.party, group, "I am Ben").await;
    hears(&cam.party, group, &["Undecryptable(AwaitsSenderKey)"]).await;
    talk.lacks(cam, "I am Ben").await;
    // With the right name, it is shown.
    cam.lies.with().renames = None;
    let genuine = cam.lies.heard().into_iter().rfind(|deliver| deliver.sender_user_id == of_ben[..]).unwrap();
    let place = wire::InboxKey { server_seq: 50, ..genuine.key.clone().unwrap() };
    cam.proxy.inject(&frame(Body::Deliver(wire::Deliver { key: Some(place), ..genuine })));
    hears(&cam.party, group, &["I am Ben"]).await;
    let thread = group_thread(&cam.party, group).await;
    let shown = sealpost_testkit::history(&thread).await;
    let text = |message: &&sealpost_core::Message| {
        message.body == sealpost_core::MessageBody::Text("I am Ben".into())
    };
    assert_eq!(shown.iter().find(text).unwrap().sender.as_bytes(), &of_ben);
    talk.everybody_hears(ben, "again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_the_relay_adds_to_a_member_gets_no_chain() {
    let talk = Talk::begin().await;
    let ([ada, ben, cam], group) = (&talk.people, talk.group);
    // Ben and Cam have never met Dee, and fetch keys. The relay names two devices.
    for someone in [ben, cam] {
        someone.lies.with().adds_devices = true;
    }
    let dee = Someone::new(&talk.world, "dee").await;
    sealpost_e2e::know_each_other(&ada.party, &dee.party).await;
    let user = dee.party.client.user_id();
    ada.party.client.group(group).await.unwrap().invite(&[user]).await.unwrap();
    for party in [&ada.party, &ben.party, &cam.party, &dee.party] {
        has_members(party, group, 4).await;
    }
    for someone in [ben, cam] {
        let text = format!("welcome, says {}", someone.party.name());
        talk.everybody_hears(someone, &text).await;
        hears(&dee.party, group, &[&text]).await;
        let sent = someone.lies.with().sent.clone();
        let mut copies = sent.into_iter().filter_map(|frame| match frame.body {
            Some(Body::Mail(mail)) => Some(mail.copies),
            _ => None,
        });
        assert!(copies.all(|copies| copies.iter().all(|copy| copy.device_id == 1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_who_is_shown_a_shortened_chain_notices_with_the_first_message() {
    let talk = Talk::begin().await;
    let ([ada, ben, _], group) = (&talk.people, talk.group);
    let dee = Someone::new(&talk.world, "dee").await;
    sealpost_e2e::know_each_other(&ada.party, &dee.party).await;
    let mut events = dee.party.client.events();
    let (hers, user) = (ada.party.client.group(group).await.unwrap(), dee.party.client.user_id());
    hers.invite(&[user]).await.unwrap();
    has_members(&dee.party, group, 4).await;
    dee.lies.with().hides_from = Some(talk.next_version(&dee));
    hers.remove(&[ben.party.client.user_id()]).await.unwrap();
    has_members(&ada.party, group, 3).await;
    say(&ada.party, group, "welcome").await;
    hears(&dee.party, group, &["welcome"]).await;
    is_told(&mut events, Event::RosterContradicted(group)).await;
    talk.waits(&dee, "thank you").await;
    dee.lies.with().hides_from = None;
    hears(&ada.party, group, &["thank you"]).await;
    talk.lacks(ben, "thank you").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_relay_spoils_in_one_group_keeps_no_other_group_waiting() {
    let talk = Talk::begin().await;
    let ([ada, ben, _], group) = (&talk.people, talk.group);
    // Groups are dealt with in the order of their ids: it spoils the first one.
    let other = group_of(&ada.party, &[&ben.party]).await;
    let (first, second) = (group.min(other), group.max(other));
    ada.lies.with().spoils = Some(first.to_string());
    let change = async |group: ThreadId| {
        ada.party.client.group(group).await.unwrap().set_timer(5_000).await.unwrap();
    };
    change(first).await;
    change(second).await;
    let timer = async |group: ThreadId| ben.party.client.group(group).await.unwrap().timer().await.unwrap();
    eventually("the other change", async || (timer(second).await == 5_000).then_some(())).await;
    ada.lies.with().spoils = None;
    eventually("both changes", async || (timer(first).await == 5_000).then_some(())).await;
}
