//! The contents of messages, as they come out of a ciphertext: each kind, its bounds, and kinds of later versions.

use crate::allocation::{Limit, limited};
use crate::content::{
    AccountState, Body, Choices, Contact, ContactCard, Content, Counts, Edit, EmojiSequence, Header,
    LinkPreview, ListDigest, Location, Mark, Markup, Mention, NamedLists, Number, Pin, Place, Poll, Post,
    Profile, Quote, Reaction, ReadSet, Receipt, ReceiptKind, Revised, Run, Stamp, StateItem, StateKey,
    StateValue, StyledRange, Target, Text, TextRange, TextStyle, Timer, Vote,
};
use crate::id::{ClientMsgId, DeviceId, ThreadId, UserId};

const PARSE: Limit = Limit { factor: 4, constant: 8192 };

/// The input is a content without its padding.
pub(crate) fn run(input: &[u8]) {
    let padded = [input, &[0x80, 0, 0]].concat();
    if let Ok(content) = limited(PARSE, input, || Content::from_plaintext(&padded)) {
        let again = Content::from_plaintext(&content.to_plaintext()).unwrap();
        assert_eq!((again.thread, again.id, again.sent_ms), (content.thread, content.id, content.sent_ms));
        assert_eq!(again.header, content.header);
        assert_eq!(again.body.kind(), content.body.kind());
        if !matches!(content.body, Body::Unknown(_)) {
            assert_eq!(again.body, content.body);
        }
    }
    if let Ok(body) = limited(PARSE, input, || Body::from_bytes(input)) {
        assert_eq!(Body::from_bytes(&body.to_bytes()), Ok(body));
    }
}

/// A content of each kind.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let target = Target { author: UserId::from_bytes([1; 16]), id: ClientMsgId::from_bytes([2; 16]) };
    let quote = Some(Box::new(Quote::new(target.author, target.id, "the quoted text")));
    let emoji = |text: &str| EmojiSequence::new(text.to_owned());
    let range = TextRange { start: 2, length: 3 };
    let markup = Markup {
        styles: vec![StyledRange { range, style: TextStyle::Spoiler }],
        mentions: vec![Mention { range, user: target.author }],
        preview: None,
    };
    let preview =
        LinkPreview { url: "https://a".to_owned(), title: "A".to_owned(), ..LinkPreview::default() };
    let run = Run([6; 8]);
    let counts = Counts::up_to(9).without([(2, 3), (5, 5)]);
    let seen = Mark { device: DeviceId::PRIMARY, run, counts };
    let bodies = [
        Body::Text(Text {
            text: "https://a".to_owned(),
            markup: Markup { preview: Some(Box::new(preview)), ..markup.clone() },
            quote: None,
            is_forwarded: false,
        }),
        Body::Text(Text {
            text: "hello".to_owned(),
            markup: Markup::default(),
            quote: None,
            is_forwarded: false,
        }),
        Body::Text(Text { text: "a reply".to_owned(), markup: markup.clone(), quote, is_forwarded: false }),
        Body::Text(Text {
            text: "a forwarded text".to_owned(),
            markup: Markup::default(),
            quote: None,
            is_forwarded: true,
        }),
        Body::Receipt(Receipt { kind: ReceiptKind::Delivered, marks: vec![seen.clone(); 2] }),
        Body::Receipt(Receipt { kind: ReceiptKind::Read, marks: Vec::new() }),
        Body::Reaction(Reaction { target, emoji: emoji("👩‍❤️‍💋‍👨") }),
        Body::Reaction(Reaction { target, emoji: None }),
        Body::Edit(Edit { message: target.id, text: "an edit".to_owned(), markup }),
        Body::Delete(target.id),
        Body::Contact(Contact {
            card: ContactCard { name: "Ada".to_owned(), user: Some(target.author), ..ContactCard::default() },
            is_forwarded: true,
        }),
        Body::Place(Place {
            location: Location {
                latitude_e7: 500_000_000,
                longitude_e7: -1,
                accuracy_m: 5,
                name: String::new(),
            },
            is_forwarded: false,
        }),
        Body::Poll(
            Poll::new("where?".to_owned(), vec!["here".to_owned(), "there".to_owned()], true).unwrap(),
        ),
        Body::Vote(Vote { target, choices: Choices::new(vec![0, 1]).unwrap() }),
        Body::Pin(Pin { target, is_pinned: true }),
        Body::Timer(Timer::new(60).unwrap()),
        Body::Profile(Revised {
            profile: Profile { name: "Ada".to_owned(), ..Profile::default() },
            revision: 7,
        }),
        Body::AccountState(AccountState {
            items: vec![
                StateItem {
                    key: StateKey::Read(ThreadId::from_bytes([3; 16])),
                    value: StateValue::Read(ReadSet::new(9, [2, 5])),
                    stamp: Stamp::after(Stamp::default(), 7, 1),
                },
                StateItem {
                    key: StateKey::Draft(ThreadId::from_bytes([3; 16])),
                    value: StateValue::Text("a draft".to_owned()),
                    stamp: Stamp::default(),
                },
            ],
        }),
        Body::Null,
        Body::from_bytes(&[&[0xa2, 1, 20, 10, 16][..], &[7; 16], &[16, 4]].concat()).unwrap(),
        Body::Typing { is_typing: false },
        Body::Presence { is_here: true },
        // A kind of a later version.
        Body::from_bytes(&[0xba, 0x02, 0x01, 0x2a]).unwrap(),
    ];
    let header = Header {
        number: Some(Number { run, count: 7 }),
        after: Some(Post { epoch: 1, server_seq: 8 }),
        seen: Some(seen),
        devices: Some(vec![9; 213]),
        peer: None,
        lists: NamedLists {
            own: Some(ListDigest { version: 2, digest: [5; 16] }),
            yours: Some(ListDigest { version: 1 << 40, digest: [7; 16] }),
        },
    };
    let contents = bodies.into_iter().map(|body| {
        let content = Content {
            thread: ThreadId::from_bytes([3; 16]),
            id: ClientMsgId::from_bytes([4; 16]),
            sent_ms: 5,
            timer: Timer::new(6).unwrap(),
            header: header.clone(),
            body,
        };
        let mut plaintext = content.to_plaintext().to_vec();
        // Without the padding.
        plaintext.truncate(plaintext.iter().rposition(|byte| *byte != 0).unwrap());
        plaintext
    });
    contents.collect()
}
