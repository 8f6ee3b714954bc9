//! What a message says, in words, whatever its kind.

use std::ops::Range;

use sealpost_core::{Message, MessageBody, PollOption};

use crate::marked::Parts;
use crate::styles;

/// What is shown for a message: its own text, or a description of its content. With the quoted text of a reply before it and the
/// reactions after it. `found` are places in its own text.
pub(crate) fn with_surroundings(message: &Message, found: &[Range<usize>]) -> Parts {
    let mut before = String::new();
    if message.is_forwarded {
        before.push_str("(forwarded)\n");
    }
    if let Some(quote) = &message.quote {
        let line = quote.text.split_whitespace().collect::<Vec<_>>().join(" ");
        before.push_str(&format!("> {line}\n"));
    }
    let mut after = String::new();
    if let Some(preview) = message.markup.as_ref().and_then(|markup| markup.preview.as_ref()) {
        after.push_str(&format!("\n[{}] {}", preview.title, preview.url));
        if !preview.description.is_empty() {
            after.push_str(&format!("\n{}", preview.description));
        }
    }
    if message.edited_ms.is_some() {
        after.push_str(" (edited)");
    }
    let reactions: Vec<_> =
        message.reactions.iter().map(|reaction| format!("{} {}", reaction.emoji, reaction.count)).collect();
    if !reactions.is_empty() {
        after.push_str(&format!("\n[{}]", reactions.join("  ")));
    }
    let mut shown = Parts::from(before);
    shown.append(in_words(message, false, found));
    shown.push(&after, false);
    shown
}

/// The content without what surrounds it.
pub(crate) fn body(message: &Message) -> String {
    in_words(message, false, &[]).text()
}

/// The same with places in its text.
pub(crate) fn found(message: &Message, found: &[Range<usize>]) -> Parts {
    in_words(message, false, found)
}

/// The content with what its author has covered.
pub(crate) fn uncovered(message: &Message) -> String {
    in_words(message, true, &[]).text()
}

fn in_words(message: &Message, is_uncovered: bool, found: &[Range<usize>]) -> Parts {
    match &message.body {
        MessageBody::Text(text) => styles::show(text, message.markup.as_deref(), is_uncovered, found),
        other => Parts::from(described(other)),
    }
}

fn described(body: &MessageBody) -> String {
    match body {
        MessageBody::Contact(card) => {
            let parts = [&card.name, &card.phone, &card.email].into_iter().filter(|part| !part.is_empty());
            format!("contact: {}", parts.map(String::as_str).collect::<Vec<_>>().join(" · "))
        }
        MessageBody::Location(place) => {
            let name = if place.name.is_empty() { "" } else { ": " };
            let degrees = |e7: i32| f64::from(e7) / 1e7;
            let (latitude, longitude) = (degrees(place.latitude_e7), degrees(place.longitude_e7));
            format!("location{name}{} ({latitude:.5}, {longitude:.5})", place.name)
        }
        MessageBody::TimerChanged { seconds: 0 } => "messages no longer disappear".to_owned(),
        MessageBody::TimerChanged { seconds } => {
            format!("messages disappear {seconds} s after they were read")
        }
        MessageBody::Poll(poll) => {
            let option = |(number, option): (usize, &PollOption)| {
                let ours = if option.is_ours { " ✓" } else { "" };
                format!("\n  {number}. {} · {}{ours}", option.text, option.votes)
            };
            let options = (1..).zip(&poll.options).map(option).collect::<String>();
            let several = if poll.is_multiple { " (several)" } else { "" };
            format!("poll: {}{several}{options}", poll.question)
        }
        MessageBody::Deleted => "deleted".to_owned(),
        MessageBody::Undecryptable(cause) => format!("could not be decrypted: {cause}"),
        _ => "this version cannot show this message".to_owned(),
    }
}

/// Whether somebody wrote it, rather than that there is nothing to read.
pub(crate) fn is_readable(message: &Message) -> bool {
    matches!(
        message.body,
        MessageBody::Text(_) | MessageBody::Contact(_) | MessageBody::Location(_) | MessageBody::Poll(_)
    )
}
