//! The contents of messages, as they come out of a ciphertext: each kind, its bounds, and kinds of later versions.

use sealpost_protocol::SharedPartKey;

use crate::allocation::{Limit, limited};
use crate::content::{
    AccountState, Body, Bootstrap, Call, CallId, CallStep, Choices, Contact, ContactCard, ContactItem,
    Content, Counts, Distribution, Edit, EmojiSequence, Header, InThread, Item, ItemState, Items,
    LinkPreview, ListDigest, Location, Mark, Markup, Mention, MessageItem, MoveId, Moving, NamedLists,
    Number, Piece, Pin, Place, Poll, Post, Profile, Progress, Quote, Reaction, ReadSet, Receipt, ReceiptKind,
    Revised, RosterHead, Run, Said, SharedContent, Stamp, StateItem, StateKey, StateValue, StyledRange,
    Target, Text, TextRange, TextStyle, ThreadItem, Timer, Transfer, TransferId, VersionsItem, Vote,
};
use crate::id::{ClientMsgId, DeviceId, ThreadId, UserId};

const PARSE: Limit = Limit { factor: 4, constant: 8192 };

/// The input is a content without its padding.
pub(crate) fn run(input: &[u8]) {
    let padded = [input, &[0x80, 0, 0]].concat();
    if let Ok(Some(shared)) = limited(PARSE, input, || SharedContent::from_plaintext(&padded)) {
        let again = SharedContent::from_plaintext(&shared.to_plaintext()).unwrap().unwrap();
        assert_eq!((again.devices, again.peer), (shared.devices, shared.peer));
        assert_eq!(again.key.serialize(), shared.key.serialize());
    }
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
        read_items(&body);
        assert_eq!(Body::from_bytes(&body.to_bytes()), Ok(body));
    }
}

/// The items of a bootstrap, each of which is the same after it was written again.
fn read_items(body: &Body) {
    let piece = match body {
        Body::History(piece) => piece,
        Body::Bootstrap(bootstrap) => match &**bootstrap {
            Bootstrap::Piece(piece) => piece,
            Bootstrap::Received { .. } => return,
        },
        _ => return,
    };
    for item in piece.items.iter().flatten() {
        let mut again = Items::default();
        if again.add(&item) {
            assert!(again.iter().eq([Ok(item)]));
        }
    }
}

/// The person has decided this.
fn decided(key: StateKey) -> AccountState {
    let stamp = Stamp::after(Stamp::default(), 7, 1);
    AccountState { items: vec![StateItem { key, value: StateValue::Number(1), stamp }] }
}

/// A piece of a bootstrap with an item of each kind.
fn piece(target: Target, body: Body) -> Piece {
    let of = InThread { thread: ThreadId::from_bytes([3; 16]), peer: Some(target.author), roster_version: 1 };
    let said = |by, what: &[u8]| vec![Said { by, what: what.to_vec(), sent_ms: 1, position: 2 }];
    let items = [
        Item::Contact(Box::new(ContactItem {
            user: target.author,
            account_key: Some([5; 33]),
            list: Some(vec![9; 213]),
            replaced: vec![[6; 33]],
            blocked_ms: 7,
            profile: Some(Revised { profile: Profile::default(), revision: 8 }),
            state: decided(StateKey::Blocked(target.author)),
        })),
        Item::State(decided(StateKey::Privacy(None, 2))),
        Item::Thread(Box::new(ThreadItem {
            of,
            created_ms: 1,
            activity_ms: 2,
            folder: 1,
            is_request: false,
            timer: Timer::new(60).unwrap(),
            timer_position: 5,
            seen: Post { epoch: 1, server_seq: 6 },
            state: decided(StateKey::Pinned(of.thread)),
        })),
        Item::Message(Box::new(MessageItem {
            of: Some(of),
            target,
            device: 1,
            versions: said(target.id.as_bytes().to_owned(), &body.to_bytes()),
            body: Some(body),
            sent_ms: 1,
            server_seq: 2,
            position: 3,
            state: ItemState::Unread,
            number: Some(Number { run: Run([6; 8]), count: 7 }),
            timer: Timer::default(),
            expires_ms: 0,
            after_position: 4,
            stored_ms: 5,
            delivered_ms: 6,
            read_ms: 7,
            rank: 8,
            reactions: said([1; 16], "👍".as_bytes()),
            votes: said([1; 16], &[0, 1]),
            pin: said([0; 16], &[]).pop(),
        })),
        Item::Versions(VersionsItem { thread: of.thread, target, versions: said([2; 16], &[]) }),
    ];
    let mut list = Items::default();
    assert!(items.iter().all(|item| list.add(item)));
    Piece {
        transfer: transfer(),
        number: 1,
        ends_window: true,
        is_last: false,
        progress: Progress { sent: 1, total: 2 },
        items: list,
    }
}

fn transfer() -> Transfer {
    Transfer { id: TransferId([7; 16]), device: DeviceId::new(2).unwrap(), round: 1 }
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
    let call = |step| Body::Call(Call { id: CallId([7; 16]), step });
    let bodies = [
        Body::Text(Text {
            text: "https://a".to_owned(),
            markup: Markup { preview: Some(Box::new(preview.clone())), ..markup.clone() },
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
        Body::Edit(Edit { message: target.id, text: "an edit".to_owned(), markup: markup.clone() }),
        Body::Edit(Edit {
            message: target.id,
            text: "https://a".to_owned(),
            markup: Markup { preview: Some(Box::new(preview.clone())), ..markup.clone() },
        }),
        Body::Delete(target.id),
        Body::DeleteOf(target),
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
        Body::Poll(Poll::new("when?".to_owned(), vec!["now".to_owned(), "later".to_owned()], false).unwrap()),
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
        Body::Bootstrap(Box::new(Bootstrap::Received { transfer: transfer(), number: 5 })),
        Body::Bootstrap(Box::new(Bootstrap::Piece(piece(target, Body::Timer(Timer::default()))))),
        Body::History(Box::new(piece(target, Body::Timer(Timer::default())))),
        Body::Moving(Moving::Ask { id: MoveId([8; 16]), device: DeviceId::PRIMARY, version: 5 }),
        Body::Moving(Moving::Propose { id: MoveId([8; 16]), proposal: b"a list".to_vec() }),
        Body::Distribution(Distribution {
            message: b"a chain".to_vec().into(),
            removal_version: 3,
            secret: Some(([7; 32].into(), 3)),
            profile: Some(Revised {
                profile: Profile { name: "Ada".to_owned(), ..Profile::default() },
                revision: 2,
            }),
        }),
        Body::Null,
        call(CallStep::Offer { description: b"offer".to_vec(), is_video: true, ours: [9; 32].into() }),
        call(CallStep::Answer { description: b"answer".to_vec(), ours: [9; 32].into() }),
        call(CallStep::Candidates(b"candidates".to_vec())),
        call(CallStep::HangUp),
        call(CallStep::Busy),
        call(CallStep::Elsewhere { is_answered: true }),
        call(CallStep::Elsewhere { is_answered: false }),
        Body::Typing { is_typing: true },
        Body::Typing { is_typing: false },
        Body::Presence { is_here: true },
        Body::Presence { is_here: false },
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
        roster: Some(RosterHead { version: 4, digest: [6; 16] }),
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
    contents.chain([key_of_shared_part()]).collect()
}

/// What a device gets of a content that is in a shared part, without its padding.
fn key_of_shared_part() -> Vec<u8> {
    let key = SharedPartKey::parse(&[3; SharedPartKey::LEN]).unwrap();
    let shared = SharedContent { key, devices: Some(vec![9; 213]), peer: Some(UserId::from_bytes([1; 16])) };
    let mut plaintext = shared.to_plaintext().to_vec();
    plaintext.truncate(plaintext.iter().rposition(|byte| *byte != 0).unwrap());
    plaintext
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_seeds_have_each_kind_and_each_step_of_a_call() {
        let (mut kinds, mut forms) = (BTreeSet::new(), BTreeSet::new());
        for seed in seeds() {
            let padded = [seed.as_slice(), &[0x80, 0, 0]].concat();
            if SharedContent::from_plaintext(&padded).unwrap().is_some() {
                forms.insert("the key of a shared part");
                continue;
            }
            let content = Content::from_plaintext(&padded).unwrap();
            kinds.insert(content.body.kind());
            forms.insert(match &content.body {
                Body::Call(Call { step: CallStep::Offer { .. }, .. }) => "offer",
                Body::Call(Call { step: CallStep::Answer { .. }, .. }) => "answer",
                Body::Call(Call { step: CallStep::Candidates(_), .. }) => "candidates",
                Body::Call(Call { step: CallStep::HangUp, .. }) => "hang-up",
                Body::Call(Call { step: CallStep::Busy, .. }) => "busy",
                Body::Call(Call { step: CallStep::Elsewhere { is_answered: true }, .. }) => "answered",
                Body::Call(Call { step: CallStep::Elsewhere { is_answered: false }, .. }) => "declined",
                Body::Typing { is_typing: true } => "typing",
                Body::Typing { is_typing: false } => "stopped",
                Body::Presence { is_here: true } => "here",
                Body::Presence { is_here: false } => "gone",
                Body::Poll(poll) if poll.is_multiple() => "several options",
                Body::Poll(_) => "one option",
                _ => "another kind",
            });
        }
        for number in crate::content::of_the_proto_file().0 {
            assert!(kinds.iter().any(|kind| format!("{kind:?}") == format!("Kind({number})")), "{number}");
        }
        assert_eq!(forms.len(), 15, "{forms:?}");
    }
}
