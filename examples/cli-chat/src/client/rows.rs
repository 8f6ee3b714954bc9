//! What the library returns, as the screen shows it.

use std::ops::Range;

use sealpost_core::{Delivery, Direction, Hit, Message, MessageBody, MessageId, MessageList, UserId};

use crate::contents;
use crate::marked::{Marked, Parts};
use crate::news::{Author, Body, Row, Rows, Tick};
use crate::text::Shown;

/// With `name`, who has written the messages of others stands before them.
pub(super) fn rows(
    list: &MessageList,
    pinned: &[MessageId],
    hit: Option<&Hit>,
    name: Option<&dyn Fn(UserId) -> String>,
) -> Rows {
    let row = |message: &Message| {
        // In a text that was edited since, the places would be wrong.
        let hit = hit.filter(|hit| hit.message.id == message.id && hit.message.text() == message.text());
        let (is_pinned, waits) = (pinned.contains(&message.id), list.waiting(message));
        Row {
            is_pinned,
            waits: waits.map(|waiting| waiting.reason),
            ..row(message, &hit.map(places).unwrap_or_default(), name)
        }
    };
    let rows = list.messages().iter().rev().map(row).collect();
    Rows { rows, has_older: list.older().is_some(), has_newer: list.newer().is_some() }
}

fn row(message: &Message, found: &[Range<usize>], name: Option<&dyn Fn(UserId) -> String>) -> Row {
    let is_theirs = matches!(message.direction, Direction::Incoming { .. });
    let before = name.filter(|_| is_theirs).map(|name| format!("{}: ", name(message.sender)));
    let mut parts = Parts::from(before.unwrap_or_default());
    parts.append(contents::with_surroundings(message, found));
    let Marked { text: shown, found } = Marked::lines(&parts);
    let body = match &message.body {
        MessageBody::Text(_) => Body::Text(shown),
        MessageBody::Poll(_) => Body::Poll(shown),
        _ if contents::is_readable(message) => Body::Content(shown),
        _ => Body::Unreadable(shown),
    };
    let quoted = message.quote.as_ref().and_then(|quote| quote.message);
    Row {
        id: message.id,
        sent_ms: message.sent_ms,
        author: author(message),
        body,
        found,
        is_pinned: false,
        waits: None,
        quoted,
    }
}

fn author(message: &Message) -> Author {
    match message.direction {
        Direction::Outgoing(delivery) => Author::Us(tick(delivery)),
        Direction::Incoming { read } => Author::Them { read },
    }
}

/// The tick of our message; none for those of others.
pub(super) fn tick_of(message: &Message) -> Option<Tick> {
    match author(message) {
        Author::Us(tick) => Some(tick),
        Author::Them { .. } => None,
    }
}

fn tick(delivery: Delivery) -> Tick {
    match delivery {
        Delivery::Sent => Tick::Sent,
        Delivery::Delivered => Tick::Delivered,
        Delivery::Read => Tick::Read,
        Delivery::Failed(reason) => Tick::Failed(reason),
        Delivery::Expired => Tick::Expired,
        // A state of a later version says at least that the message is not known to have left.
        _ => Tick::Queued,
    }
}

/// What was found, in one line.
pub(super) fn found_in_a_line(hit: &Hit) -> Marked {
    Marked::line(&contents::found(&hit.message, &places(hit)))
}

/// The places in the text, in bytes.
fn places(hit: &Hit) -> Vec<Range<usize>> {
    let small = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
    hit.marks.iter().map(|mark| small(mark.start)..small(mark.end)).collect()
}

/// A message in one line, as a list shows it.
pub(super) fn in_a_line(message: &Message) -> Shown {
    Shown::line(&contents::body(message))
}
