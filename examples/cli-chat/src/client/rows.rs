//! What the library returns, as the screen shows it.

use sealpost_core::{Delivery, Direction, Message, MessageBody, MessageId, MessageList};

use crate::contents;
use crate::news::{Author, Body, Row, Rows, Tick};
use crate::text::Shown;

pub(super) fn rows(list: &MessageList, pinned: &[MessageId]) -> Rows {
    let row = |message: &Message| Row { is_pinned: pinned.contains(&message.id), ..row(message) };
    let rows = list.messages().iter().rev().map(row).collect();
    Rows { rows, has_older: list.older().is_some(), has_newer: list.newer().is_some() }
}

fn row(message: &Message) -> Row {
    let shown = Shown::lines(&contents::with_surroundings(message));
    let body = match &message.body {
        MessageBody::Text(_) => Body::Text(shown),
        MessageBody::Poll(_) => Body::Poll(shown),
        _ if contents::is_readable(message) => Body::Content(shown),
        _ => Body::Unreadable(shown),
    };
    let quoted = message.quote.as_ref().and_then(|quote| quote.message);
    Row { id: message.id, sent_ms: message.sent_ms, author: author(message), body, is_pinned: false, quoted }
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

/// A message in one line, as a list shows it.
pub(super) fn in_a_line(message: &Message) -> Shown {
    Shown::line(&contents::body(message))
}
