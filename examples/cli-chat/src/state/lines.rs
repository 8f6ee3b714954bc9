//! The lines of a conversation at a given width: days, the unread divider, and messages with their times and ticks.
//!
//! Replies, reactions, marks of edits and timers are further lines, or further feet, of a message.

use std::ops::Range;

use sealpost_core::{FailReason, MessageId, WaitReason};

use crate::clock::Clock;
use crate::marked::within;
use crate::news::{Author, Body, Row, Tick};
use crate::wrap::{columns, wrap};

/// A line on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The place of its message in the list of messages.
    pub(crate) row: Option<usize>,
    pub(crate) kind: LineKind,
    /// The empty columns before the text.
    pub(crate) indent: usize,
    pub(crate) text: String,
    /// The places in it that were searched for, in bytes.
    pub(crate) found: Vec<Range<usize>>,
    /// After the text, with a gap.
    pub(crate) foot: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineKind {
    Day,
    Unread,
    Text(Author),
    Unreadable(Author),
    /// Why a message was not sent.
    Failure,
    /// Why a message has not been sent yet.
    Waits,
    /// Between two messages.
    Gap,
}

/// The empty columns between a text and its foot.
pub(crate) const FOOT_GAP: usize = 2;

/// The lines of these messages, oldest first.
pub(super) fn lines(rows: &[Row], unread: Option<MessageId>, width: usize, clock: &Clock) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut day = None;
    let mut author_before = None;
    for (index, row) in rows.iter().enumerate() {
        let of_row = clock.day(row.sent_ms);
        let new_day = day.replace(of_row) != Some(of_row);
        if new_day {
            lines.push(divider(LineKind::Day, clock.day_name(of_row)));
        }
        let is_first_unread = unread == Some(row.id);
        if is_first_unread {
            lines.push(divider(LineKind::Unread, "Unread".to_owned()));
        }
        let is_ours = matches!(row.author, Author::Us(_));
        if author_before.replace(is_ours).is_some_and(|before| before != is_ours)
            && !new_day
            && !is_first_unread
        {
            lines.push(divider(LineKind::Gap, String::new()));
        }
        message(index, row, width, clock, &mut lines);
    }
    lines
}

fn divider(kind: LineKind, text: String) -> Line {
    Line { row: None, kind, indent: 0, text, found: Vec::new(), foot: String::new() }
}

/// Our messages are on the right, those of others on the left, each at most nine tenths wide.
fn message(index: usize, row: &Row, width: usize, clock: &Clock, lines: &mut Vec<Line>) {
    let widest = width.saturating_sub(width.checked_div(10).unwrap_or_default()).max(1);
    let (kind, shown) = match &row.body {
        Body::Text(shown) | Body::Content(shown) | Body::Poll(shown) => {
            (LineKind::Text(row.author), shown.as_str())
        }
        Body::Unreadable(shown) => (LineKind::Unreadable(row.author), shown.as_str()),
    };
    let line = |text: &str| Line {
        row: Some(index),
        kind,
        indent: 0,
        text: text.trim_end().to_owned(),
        found: Vec::new(),
        foot: String::new(),
    };
    let line_at = |place: Range<usize>| Line {
        found: within(&row.found, &place),
        ..line(shown.get(place).unwrap_or_default())
    };
    let mut own: Vec<Line> = wrap(shown, widest).into_iter().map(line_at).collect();
    let foot = foot(row, clock);
    let needed = columns(&foot).saturating_add(FOOT_GAP);
    match own.last_mut() {
        Some(last) if columns(&last.text).saturating_add(needed) <= widest => last.foot = foot,
        _ => own.push(Line { foot, ..line("") }),
    }
    let why = match (row.author, row.waits) {
        (Author::Us(Tick::Failed(reason)), _) => {
            Some((LineKind::Failure, format!("{reason} · {}", remedy(reason))))
        }
        (Author::Us(Tick::Queued), Some(reason)) => {
            waits_for(reason).map(|what| (LineKind::Waits, format!("waits: {what}")))
        }
        _ => None,
    };
    if let Some((kind, why)) = why {
        let places = wrap(&why, widest).into_iter();
        own.extend(places.map(|place| Line { kind, ..line(why.get(place).unwrap_or_default()) }));
    }
    if matches!(row.author, Author::Us(_)) {
        let used = own.iter().map(Line::columns).max().unwrap_or_default();
        let indent = width.saturating_sub(used);
        for line in &mut own {
            line.indent = match line.text.is_empty() {
                true => width.saturating_sub(columns(&line.foot)),
                false => indent,
            };
        }
    }
    lines.append(&mut own);
}

impl Line {
    fn columns(&self) -> usize {
        let (text, foot) = (columns(&self.text), columns(&self.foot));
        let gap = if text > 0 && foot > 0 { FOOT_GAP } else { 0 };
        text.saturating_add(gap).saturating_add(foot)
    }
}

fn foot(row: &Row, clock: &Clock) -> String {
    let pinned = if row.is_pinned { "pinned " } else { "" };
    let time = format!("{pinned}{}", clock.time(row.sent_ms));
    match row.author {
        Author::Us(tick) => format!("{time} {}", tick_text(tick)),
        Author::Them { .. } => time,
    }
}

/// A tick without its colour.
const fn tick_text(tick: Tick) -> &'static str {
    match tick {
        Tick::Read => "✓✓ read",
        Tick::Failed(_) => "✗ not sent",
        Tick::Expired => "✓✗ not delivered",
        other => tick_mark(other),
    }
}

/// A tick where there is little room.
pub(crate) const fn tick_mark(tick: Tick) -> &'static str {
    match tick {
        Tick::Queued => "…",
        Tick::Sent => "✓",
        Tick::Delivered | Tick::Read => "✓✓",
        Tick::Failed(_) => "✗",
        Tick::Expired => "✓✗",
    }
}

/// Why a message has not been sent yet, unless that is shown elsewhere or takes a moment only.
const fn waits_for(reason: WaitReason) -> Option<&'static str> {
    match reason {
        WaitReason::RelayBusy => Some("the relay takes no more at present"),
        WaitReason::NotAccepted => Some("they have not accepted this chat"),
        WaitReason::Clock => Some("the clock of this device or of the relay is wrong"),
        WaitReason::NoAnswer => Some("the relay has not answered"),
        WaitReason::NoKeys => Some("their keys could not be fetched"),
        WaitReason::DeviceListRefused => {
            Some("the relay shows a list of their devices that they have not signed")
        }
        WaitReason::Blocked => Some("they are blocked, /unblock or /discard"),
        _ => None,
    }
}

/// What the person can do about it.
const fn remedy(reason: FailReason) -> &'static str {
    match reason {
        FailReason::IdentityChanged => "/verify or /accept it, then /retry, or /discard",
        FailReason::RecipientDeleted | FailReason::LoggedOut => "/discard",
        _ => "/retry or /discard",
    }
}
