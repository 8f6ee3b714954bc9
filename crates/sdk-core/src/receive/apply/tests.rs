//! Walks the table of bad input, `tests/data/contents.txt`: each content arrives from the other person of a thread that contains a few
//! messages, and its treatment is compared with what the table says.

use bytes::Bytes;
use sealpost_protocol::IdentityKeyPair;
use sealpost_wire as wire;
use sealpost_wire::id::ToWire as _;

use super::*;
use crate::config::DatabaseKey;
use crate::content::{EmojiSequence, Poll, Reaction};
use crate::event::EventBus;
use crate::id::{ClientMsgId, DeviceId, ThreadId, UserId};
use crate::message::MessageBody;
use crate::store::{Footprint, NewOutgoing, Store, Thread, Tokens};
use crate::transport::EnvelopeId;

const US: UserId = UserId::from_bytes([1; 16]);
const PEER: UserId = UserId::from_bytes([2; 16]);
const THREAD: ThreadId = ThreadId::from_bytes([3; 16]);
/// When the messages of the thread were written, and when everything arrives.
const NOW: u64 = 1000;

/// The content ids of the messages of the thread, by name; the last one does not exist.
const NAMES: [(&str, UserId, u8); 5] =
    [("text", PEER, 11), ("poll", PEER, 12), ("single", PEER, 13), ("ours", US, 14), ("missing", PEER, 15)];

fn us() -> Registered {
    Registered { user: US, device: DeviceId::PRIMARY }
}

fn envelope(server_seq: u64) -> Envelope {
    let deliver = wire::Deliver {
        sender_user_id: PEER.to_wire(),
        sender_device_id: 1,
        client_msg_id: Bytes::copy_from_slice(ClientMsgId::from_bytes([9; 16]).as_bytes()),
        ..wire::Deliver::default()
    };
    Envelope::parse(EnvelopeId { thread: THREAD, server_seq }, deliver, NOW).unwrap()
}

/// A store with a thread that contains a text, two polls, and a text of ours.
async fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let store = Store::open(path, DatabaseKey::new([9; 32]), EventBus::new(), Footprint::Full).unwrap();
    let work = store.write(|tx| {
        tx.insert_account(&IdentityKeyPair::generate(&mut rand::rng()), 7)?;
        tx.set_registered(us(), &Tokens::new("access".into(), 1, "refresh".into()))?;
        tx.put_thread(Thread { id: THREAD, peer: Some(PEER), roster_version: 1 }, 1)?;
        let poll = |is_multiple| {
            let options = ["a", "b", "c"].map(str::to_owned).to_vec();
            Body::Poll(Poll::new("where?".to_owned(), options, is_multiple).unwrap())
        };
        for (number, body) in (11_u8..).zip([Body::text("hello"), poll(true), poll(false)]) {
            let id = ClientMsgId::from_bytes([number; 16]);
            let content = Content {
                thread: THREAD,
                id,
                sent_ms: NOW,
                timer: crate::content::Timer::default(),
                header: crate::content::Header::default(),
                body,
            };
            apply(tx, &envelope(number.into()), content, (us(), false), (NOW, ChangeLimits::default()))?;
        }
        let content_id = ClientMsgId::from_bytes([14; 16]);
        let ours = (US, DeviceId::PRIMARY);
        let body = Body::text("ours");
        tx.enqueue(NewOutgoing { thread: THREAD, us: ours, content_id, sent_ms: NOW, body }).map(drop)
    });
    work.await.unwrap();
    (dir, store)
}

/// The fields of a content, as the table writes them.
struct Fields<'f>(&'f str);

impl Fields<'_> {
    fn skip(&mut self, expected: &str) -> bool {
        let rest = self.0.trim_start().strip_prefix(expected);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn word(&mut self, is_part: impl Fn(char) -> bool) -> String {
        let end = self.0.find(|c| !is_part(c)).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word.to_owned()
    }

    /// Encodes fields up to the end, or to a closing brace.
    fn encode(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            self.0 = self.0.trim_start();
            if self.0.is_empty() || self.0.starts_with('}') {
                return bytes;
            }
            // Bytes that are no field.
            if self.skip("x") {
                bytes.extend(hex::decode(self.word(|c| c.is_ascii_hexdigit())).unwrap());
                continue;
            }
            let number: u64 = self.word(|c| c.is_ascii_digit()).parse().unwrap();
            assert!(self.skip(":"), "{}", self.0);
            match self.value() {
                Value::Number(value) => {
                    varint(&mut bytes, number << 3);
                    varint(&mut bytes, value);
                }
                Value::Bytes(value) => {
                    varint(&mut bytes, number << 3 | 2);
                    varint(&mut bytes, u64::try_from(value.len()).unwrap());
                    bytes.extend(value);
                }
            }
        }
    }

    fn value(&mut self) -> Value {
        if self.skip("{") {
            let inner = self.encode();
            assert!(self.skip("}"));
            return Value::Bytes(inner);
        }
        if self.skip("@id.") {
            let name = self.word(char::is_alphabetic);
            return Value::Bytes(vec![named(&name).1; 16]);
        }
        if self.skip("@") {
            let (author, id) = named(&self.word(char::is_alphabetic));
            let target = [&[0x0a, 16], author.as_bytes().as_slice(), &[0x12, 16], &[id; 16]].concat();
            return Value::Bytes(target);
        }
        if self.skip("-") {
            let value: u64 = self.word(|c| c.is_ascii_digit()).parse().unwrap();
            return Value::Number(value.checked_mul(2).unwrap().checked_sub(1).unwrap());
        }
        if self.skip("options*") {
            let count: u32 = self.word(|c| c.is_ascii_digit()).parse().unwrap();
            return Value::Bytes(
                (1000..).take(count as usize).flat_map(|n: u32| format!("\u{4}{n}").into_bytes()).collect(),
            );
        }
        let part = if self.skip("\"") {
            let text = self.word(|c| c != '"');
            assert!(self.skip("\""));
            text.into_bytes()
        } else if self.skip("x") {
            hex::decode(self.word(|c| c.is_ascii_hexdigit())).unwrap()
        } else {
            return Value::Number(self.word(|c| c.is_ascii_digit()).parse().unwrap());
        };
        let times = if self.0.starts_with('*') && self.skip("*") {
            self.word(|c| c.is_ascii_digit()).parse().unwrap()
        } else {
            1
        };
        Value::Bytes(part.repeat(times))
    }
}

enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
}

fn named(name: &str) -> (UserId, u8) {
    let found = NAMES.iter().find(|(known, ..)| *known == name);
    found.map(|(_, author, id)| (*author, *id)).unwrap()
}

/// A padded content: a valid header, and these fields, which can replace it.
fn plaintext(fields: &str) -> Vec<u8> {
    let header = Fields(r#"1:x03*16 2:x77*16 3:2000"#).encode();
    [header, Fields(fields).encode(), vec![0x80, 0, 0]].concat()
}

/// What the rows say that contents change, and how many contents wait.
fn state(tx: &Tx<'_>) -> Result<(String, u32)> {
    let mut all = String::new();
    for message in tx.page(THREAD, None, 100)?.messages {
        let MessageBody::Poll(poll) = &message.body else {
            all.push_str(&format!("{:?} {:?} {}; ", message, message.text(), message.reactions.len()));
            continue;
        };
        let votes: Vec<_> = poll.options.iter().map(|option| option.votes).collect();
        all.push_str(&format!("{votes:?}; "));
    }
    all.push_str(&format!("{} pins, {:?}", tx.pinned(THREAD)?.len(), tx.profile(PEER)?.is_some()));
    Ok((all, tx.count_waiting()?))
}

/// Lets a content arrive, says what became of it, and undoes that.
fn treatment(tx: &mut Tx<'_>, plaintext: &[u8]) -> Result<&'static str> {
    let Ok(content) = Content::from_plaintext(plaintext) else { return Ok("malformed") };
    let (before, waiting) = state(tx)?;
    let part = tx.begin_part()?;
    let id = content.id;
    apply(tx, &envelope(50), content, (us(), false), (NOW, ChangeLimits::default()))?;
    let (after, waits) = state(tx)?;
    let shown = tx.message_of(PEER, id)?.map(|id| tx.message(id)).transpose()?.flatten();
    tx.undo_part(part)?;
    assert_eq!(state(tx)?, (before.clone(), waiting), "it was undone");
    if let Some(message) = shown {
        return Ok(match message.body {
            MessageBody::Text(_) if message.markup.is_some() => "marked text",
            MessageBody::Text(_) => "text",
            MessageBody::Contact(_) => "contact",
            MessageBody::Location(_) => "location",
            MessageBody::Poll(_) => "poll",
            MessageBody::TimerChanged { .. } => "timer",
            MessageBody::NotUnderstood => "not understood",
            _ => "another message",
        });
    }
    Ok(match (after == before, waits > waiting) {
        (_, true) => "waits",
        (true, false) => "nothing",
        (false, false) => "change",
    })
}

#[tokio::test]
async fn each_content_of_the_table_is_treated_as_it_says() {
    let cases = include_str!("../../../tests/data/contents.txt");
    let (_dir, store) = store().await;
    let work = store.write(|tx| {
        let mut count = 0_u32;
        for (number, line) in
            (1..).zip(cases.lines()).filter(|(_, line)| !line.starts_with('#') && !line.is_empty())
        {
            let [kind, fields, expected] = line.splitn(3, " | ").collect::<Vec<_>>()[..] else {
                panic!("line {number}: {line}")
            };
            let got = treatment(tx, &plaintext(fields))?;
            assert_eq!(got, expected, "line {number}, {kind}: {fields}");
            count = count.saturating_add(1);
        }
        assert!(count > 100, "{count}");
        Ok(())
    });
    work.await.unwrap();
}

#[tokio::test]
async fn thousands_of_contents_use_a_bounded_number_of_rows() {
    let (_dir, store) = store().await;
    let work = store.write(|tx| {
        let arrive = |tx: &mut Tx<'_>, number: u32, fields: &str| {
            let mut id = [0x55; 16];
            id[..4].copy_from_slice(&number.to_be_bytes());
            let mut content = Content::from_plaintext(&plaintext(fields)).unwrap();
            content.id = ClientMsgId::from_bytes(id);
            let place = u64::from(number).saturating_add(100);
            apply(tx, &envelope(place), content, (us(), false), (NOW, ChangeLimits::default()))
        };
        for number in 0..10_000 {
            // To a message that is there: each replaces the one before. To messages that are not: they wait.
            let emoji = if number & 1 == 0 { "👍" } else { "🎈" };
            arrive(tx, number, &format!("12:{{1:@text 2:\"{emoji}\"}}"))?;
        }
        for number in 10_000..11_000 {
            arrive(tx, number, "12:{1:@missing 2:\"👍\"}")?;
            arrive(tx, number.saturating_add(10_000), "13:{1:@id.text 2:\"new\"}")?;
            arrive(tx, number.saturating_add(20_000), "19:{1:@poll 2:x01}")?;
            arrive(tx, number.saturating_add(30_000), "31:{1:@text 2:1}")?;
            arrive(tx, number.saturating_add(40_000), "22:{1:\"name\" 4:7}")?;
        }
        let message = tx.message_of(PEER, ClientMsgId::from_bytes([11; 16]))?.unwrap();
        let shown = tx.message(message)?.unwrap();
        assert_eq!((shown.reactions.len(), shown.reactions[0].count), (1, 1));
        assert_eq!(tx.reactions((THREAD, message), None, 500)?.len(), 1);
        assert_eq!(tx.versions(THREAD, message)?.unwrap().len(), 11, "the first ten edits count");
        assert_eq!((tx.pinned(THREAD)?.len(), tx.count_waiting()?), (1, 256));
        assert_eq!(tx.page(THREAD, None, 500)?.messages.len(), 4, "nothing else appears");
        Ok(())
    });
    work.await.unwrap();
}

#[tokio::test]
async fn a_content_that_is_repeated_with_another_body_changes_nothing() {
    let (_dir, store) = store().await;
    let work = store.write(|tx| {
        let target = Target { author: PEER, id: ClientMsgId::from_bytes([11; 16]) };
        let body =
            |emoji: &str| Body::Reaction(Reaction { target, emoji: EmojiSequence::new(emoji.to_owned()) });
        for (place, body) in (60..).zip([body("👍"), body("🎈"), Body::Delete(target.id)]) {
            let id = ClientMsgId::from_bytes([0x66; 16]);
            let content = Content {
                thread: THREAD,
                id,
                sent_ms: NOW,
                timer: crate::content::Timer::default(),
                header: crate::content::Header::default(),
                body,
            };
            apply(tx, &envelope(place), content, (us(), false), (NOW, ChangeLimits::default()))?;
        }
        let message = tx.message_of(PEER, target.id)?.unwrap();
        let shown = tx.message(message)?.unwrap();
        assert_eq!((shown.text(), shown.reactions[0].emoji.as_str()), (Some("hello"), "👍"));
        Ok(())
    });
    work.await.unwrap();
}

#[tokio::test]
async fn a_change_that_comes_before_its_message_takes_effect_when_the_message_comes() {
    let (_dir, store) = store().await;
    let work = store.write(|tx| {
        let (text, poll) = (r#"10:"hello""#, r#"18:{1:"where?" 2:x01610162}"#);
        let cases = [
            ("12:{1:@missing 2:\"\u{1f44d}\"}", text, "hello, 1 reactions, 0 votes, 0 pins"),
            (r#"13:{1:@id.missing 2:"new"}"#, text, "new, 0 reactions, 0 votes, 0 pins"),
            ("14:{1:@id.missing}", text, "deleted, 0 reactions, 0 votes, 0 pins"),
            ("19:{1:@missing 2:x01}", poll, "poll, 0 reactions, 1 votes, 0 pins"),
            ("31:{1:@missing 2:1}", text, "hello, 0 reactions, 0 votes, 1 pins"),
        ];
        for (change, message, expected) in cases {
            let part = tx.begin_part()?;
            let arrive = |tx: &mut Tx<'_>, place, fields: &str| {
                let content = Content::from_plaintext(&plaintext(fields)).unwrap();
                apply(tx, &envelope(place), content, (us(), false), (NOW, ChangeLimits::default()))
            };
            arrive(tx, 51, change)?;
            assert_eq!(tx.count_waiting()?, 1, "{change}");
            arrive(tx, 50, &format!("2:x0f*16 {message}"))?;
            assert_eq!(tx.count_waiting()?, 0, "{change}");
            let id = tx.message_of(PEER, ClientMsgId::from_bytes([15; 16]))?.unwrap();
            let shown = tx.message(id)?.unwrap();
            let (what, votes) = match &shown.body {
                MessageBody::Text(text) => (text.as_str(), 0),
                MessageBody::Poll(poll) => ("poll", poll.options.iter().map(|option| option.votes).sum()),
                MessageBody::Deleted => ("deleted", 0),
                _ => panic!("{change}"),
            };
            let (reactions, pins) = (shown.reactions.len(), tx.pinned(THREAD)?.len());
            assert_eq!(format!("{what}, {reactions} reactions, {votes} votes, {pins} pins"), expected);
            tx.undo_part(part)?;
        }
        Ok(())
    });
    work.await.unwrap();
}
