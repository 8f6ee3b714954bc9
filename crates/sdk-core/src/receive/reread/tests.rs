//! Tests of contents that an earlier version did not understand.

use sealpost_protocol::IdentityKeyPair;

use super::*;
use crate::config::DatabaseKey;
use crate::content::{EmojiSequence, Markup, Mention, Reaction, Target, Text, TextRange};
use crate::event::EventBus;
use crate::id::{ClientMsgId, DeviceId, MessageId, ThreadId, UserId};
use crate::message::{Message, MessageBody, Undecryptable};
use crate::store::{Arrived, Footprint, NewIncoming, Origin, Registered, Store, Thread, Tokens, WaitsFor};

const US: UserId = UserId::from_bytes([1; 16]);
const PEER: UserId = UserId::from_bytes([2; 16]);
const THREAD: ThreadId = ThreadId::from_bytes([3; 16]);

fn id(number: u8) -> ClientMsgId {
    ClientMsgId::from_bytes([number; 16])
}

/// The bytes of a content of a later version: a field that this version does not know, then those of another body.
fn later(body: &Body) -> Vec<u8> {
    [&[0xfa, 0x03, 0x01, 0x2a], body.to_bytes().as_slice()].concat()
}

/// A store with a thread in which contents of a later version have arrived, and their messages.
async fn store() -> (tempfile::TempDir, Store, [MessageId; 3]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let store = Store::open(path, DatabaseKey::new([9; 32]), EventBus::new(), Footprint::Full).unwrap();
    let work = store.write(|tx| {
        tx.insert_account(&IdentityKeyPair::generate(&mut rand::rng()), 7)?;
        let us = Registered { user: US, device: DeviceId::PRIMARY };
        tx.set_registered(us, &Tokens::new("access".into(), 1, "refresh".into()))?;
        tx.put_thread(Thread { id: THREAD, peer: Some(PEER), roster_version: 1 }, 1)?;
        let unknown = Body::from_bytes(&[0xfa, 0x03, 0x01, 0x2a]).unwrap();
        let mut messages = [MessageId(0); 3];
        for (message, number) in messages.iter_mut().zip(1..) {
            *message = tx.insert_incoming(&NewIncoming {
                timer: crate::content::Timer::default(),
                thread: THREAD,
                author: PEER,
                device: DeviceId::PRIMARY,
                is_ours: false,
                what: Arrived::Content(id(number), unknown.clone()),
                sent_ms: 1,
                server_ms: 1,
                epoch: 1,
                server_seq: u64::from(number),
                number: None,
                after: None,
                roster: None,
            })?;
        }
        Ok(messages)
    });
    let messages = work.await.unwrap();
    (dir, store, messages)
}

async fn message(store: &Store, id: MessageId) -> Option<Message> {
    store.read(move |rows| rows.message(id)).await.unwrap()
}

/// Reads again as a later version does, which understands these bodies.
async fn upgrade(store: &Store, bodies: Vec<(MessageId, Vec<u8>)>) {
    let work = store.write(move |tx| {
        for (message, body) in bodies {
            tx.replace_body(message, &body)?;
        }
        assert!(tx.has_unknown_of_other_versions("later")?);
        reread(tx, "later", (5, ChangeLimits::default()))?;
        assert!(!tx.has_unknown_of_other_versions("later")?);
        Ok(())
    });
    work.await.unwrap();
}

#[tokio::test]
async fn a_content_of_a_later_version_is_shown_as_not_understood_and_read_after_an_upgrade() {
    let (_dir, store, [first, second, third]) = store().await;
    assert!(!store.read(|rows| rows.has_unknown_of_other_versions(VERSION)).await.unwrap());
    for message_id in [first, second, third] {
        assert_eq!(message(&store, message_id).await.unwrap().body, MessageBody::NotUnderstood);
    }
    let markup = Markup {
        mentions: vec![Mention { range: TextRange { start: 0, length: 3 }, user: US }],
        ..Markup::default()
    };
    let text = "@us: readable at https://example.org".to_owned();
    let text = later(&Body::Text(Text { text, markup, quote: None, is_forwarded: false }));
    let empty = later(&Body::text(""))[..4].to_vec();
    upgrade(&store, vec![(first, text), (second, empty), (third, vec![0xff])]).await;
    assert_eq!(message(&store, first).await.unwrap().text(), Some("@us: readable at https://example.org"));
    assert_eq!(message(&store, second).await.unwrap().body, MessageBody::NotUnderstood);
    let malformed = MessageBody::Undecryptable(Undecryptable::Malformed);
    assert_eq!(message(&store, third).await.unwrap().body, malformed);
    let read = store.read(|rows| Ok((rows.listed_thread(THREAD)?, rows.links(THREAD, None, 5)?)));
    let (listed, links) = read.await.unwrap();
    assert_eq!((listed.unwrap().mentions, links.messages.len()), (1, 1));
    // It can be found, although the search index had passed it.
    let work = store.write(|tx| tx.feed_index(100));
    work.await.unwrap();
    assert_eq!(store.read(|rows| rows.search("readable", 5)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_content_that_turns_out_to_be_a_reaction_is_applied_and_its_message_removed() {
    let (_dir, store, [first, second, third]) = store().await;
    let thumb = |target| {
        let emoji = EmojiSequence::new("👍".to_owned());
        Body::Reaction(Reaction { target: Target { author: PEER, id: target }, emoji })
    };
    let hidden = thumb(id(1)).to_bytes();
    let work = store.write(move |tx| {
        let origin = Origin { thread: THREAD, author: US, content_id: id(9), sent_ms: 1, order: 9 };
        tx.keep_waiting(&origin, WaitsFor::Version(VERSION), &hidden, 1)
    });
    work.await.unwrap();
    let text = later(&Body::text("hello"));
    upgrade(&store, vec![(first, text), (second, later(&thumb(id(1)))), (third, later(&thumb(id(44))))])
        .await;
    let shown = message(&store, first).await.unwrap();
    assert_eq!(shown.text(), Some("hello"));
    assert_eq!((shown.reactions[0].emoji.as_str(), shown.reactions[0].count), ("👍", 2));
    assert_eq!((message(&store, second).await, message(&store, third).await), (None, None));
    // The one for a message that is not here waits for it.
    let target = Target { author: PEER, id: id(44) };
    assert_eq!(store.write(move |tx| tx.take_waiting(target)).await.unwrap().len(), 1);
}

#[test]
fn a_version_that_reads_another_kind_counts_as_another_one() {
    let (read, _) = crate::content::of_the_proto_file();
    let numbers: Vec<_> = read.iter().map(u32::to_string).collect();
    let (_, kinds) = VERSION.split_once('+').unwrap();
    assert_eq!(kinds, numbers.join(","), "what was kept before the kind was added would not be read again");
}
