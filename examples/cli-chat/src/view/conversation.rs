//! The open chat.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use sealpost_core::TrustState;

use super::{line_of, put, put_marked, shifted, style};
use crate::news::{Author, Tick};
use crate::state::{Conversation, FOOT_GAP, Line, LineKind, State};
use crate::wrap::{columns, cut, wrap};

/// The name, how far its safety number is trusted, and what the other person does.
pub(super) fn draw_title(buffer: &mut Buffer, state: &State, area: Rect) {
    let Some(open) = state.conversation() else { return };
    let back = if state.layout().list.width == 0 { "‹ " } else { "" };
    let (trust, trust_style) = match open.trust() {
        Some(TrustState::Verified) => (" ✓ verified", style::GOOD),
        Some(TrustState::ChangedSinceVerified) => (" ! safety number changed", style::BAD),
        _ => ("", style::PLAIN),
    };
    let room = usize::from(area.width).saturating_sub(columns(trust));
    let name = cut(&format!("{back}{}", open.name()), room);
    put(buffer, area, &name, style::BOLD);
    let after = shifted(area, columns(&name));
    put(buffer, after, trust, trust_style);
    let (peer, peer_style) = peer_text(state, open);
    let after = shifted(after, columns(trust));
    let peer = cut(&peer, usize::from(after.width));
    put(buffer, after, &peer, peer_style);
    if open.peer.timer_s > 0 {
        let after = shifted(after, columns(&peer));
        let timer = format!(" · disappear after {} s", open.peer.timer_s);
        put(buffer, after, &cut(&timer, usize::from(after.width)), style::DIM);
    }
}

/// What is most important to know about the other person now.
fn peer_text(state: &State, open: &Conversation) -> (String, Style) {
    let peer = open.peer;
    if peer.is_blocked {
        (" · blocked: /unblock".to_owned(), style::BAD)
    } else if peer.is_request {
        (" · a request: /accept or /block".to_owned(), style::NOTE)
    } else if peer.is_typing {
        (" · is typing …".to_owned(), style::GOOD)
    } else if peer.is_present {
        (" · is here".to_owned(), style::GOOD)
    } else if let Some(last_seen_ms) = peer.last_seen_ms {
        (format!(" · last seen {}", state.clock().short(last_seen_ms)), style::DIM)
    } else if peer.shares_presence {
        (" · sees when you are here".to_owned(), style::DIM)
    } else {
        (String::new(), style::PLAIN)
    }
}

pub(super) fn draw(buffer: &mut Buffer, state: &State, area: Rect) {
    let Some(open) = state.conversation() else {
        draw_welcome(buffer, state, area);
        return;
    };
    let height = usize::from(area.height);
    let lines = open.visible(height);
    // A short conversation is at the bottom, next to what is being written.
    let empty = height.saturating_sub(lines.len());
    if open.rows().is_empty() {
        put(buffer, line_of(area, height.saturating_sub(1)), "No messages yet.", style::DIM);
    }
    for (place, line) in lines.iter().enumerate() {
        draw_line(buffer, open, line, line_of(area, empty.saturating_add(place)));
    }
    if !open.is_at_end() {
        draw_hint(buffer, open.unread_below(height), area);
    }
}

/// What can be done before a chat is open.
fn draw_welcome(buffer: &mut Buffer, state: &State, area: Rect) {
    let user = state.user();
    let welcome = format!(
        "Choose a chat with Up, Down and Enter, or type /chat NAME with the name of somebody on this machine, or with a \
         user id.\n\nYour user id, for others: {user}"
    );
    for (line, place) in wrap(&welcome, usize::from(area.width)).into_iter().enumerate() {
        put(
            buffer,
            line_of(area, line.saturating_add(1)),
            welcome.get(place).unwrap_or_default(),
            style::DIM,
        );
    }
}

fn draw_line(buffer: &mut Buffer, open: &Conversation, line: &Line, area: Rect) {
    match line.kind {
        LineKind::Gap => {}
        LineKind::Day => draw_divider(buffer, &line.text, area, style::DIM),
        LineKind::Unread => draw_divider(buffer, &line.text, area, style::UNREAD),
        LineKind::Waits => put(buffer, shifted(area, line.indent), &line.text, style::NOTE),
        LineKind::Failure => put(buffer, shifted(area, line.indent), &line.text, style::BAD),
        LineKind::Text(author) => draw_text(buffer, open, line, author, text_style(author), area),
        LineKind::Unreadable(author) => draw_text(buffer, open, line, author, style::UNREADABLE, area),
    }
}

fn draw_text(
    buffer: &mut Buffer,
    open: &Conversation,
    line: &Line,
    author: Author,
    style: Style,
    area: Rect,
) {
    let style = if open.is_selected(line) { style.patch(style::CHOSEN) } else { style };
    let area = shifted(area, line.indent);
    put_marked(buffer, area, (&line.text, &line.found), style);
    let gap = if line.text.is_empty() { 0 } else { FOOT_GAP };
    put(buffer, shifted(area, columns(&line.text).saturating_add(gap)), &line.foot, foot_style(author));
}

fn text_style(author: Author) -> Style {
    match author {
        Author::Us(_) => style::OURS,
        Author::Them { .. } => style::PLAIN,
    }
}

fn foot_style(author: Author) -> Style {
    match author {
        Author::Us(Tick::Failed(_)) => style::BAD,
        Author::Us(Tick::Read) => style::GOOD,
        Author::Us(_) | Author::Them { .. } => style::DIM,
    }
}

/// A text in the middle of a rule.
fn draw_divider(buffer: &mut Buffer, text: &str, area: Rect, style: Style) {
    let width = usize::from(area.width);
    let text = cut(&format!(" {text} "), width);
    put(buffer, area, &"─".repeat(width), style);
    let start = width.saturating_sub(columns(&text)).checked_div(2).unwrap_or_default();
    put(buffer, shifted(area, start), &text, style);
}

/// Says that there is more below.
fn draw_hint(buffer: &mut Buffer, unread: usize, area: Rect) {
    let hint = if unread > 0 { format!(" {unread} unread ↓ ") } else { " Esc ↓ ".to_owned() };
    let start = usize::from(area.width).saturating_sub(columns(&hint));
    put(
        buffer,
        shifted(line_of(area, usize::from(area.height).saturating_sub(1)), start),
        &hint,
        style::CHOSEN,
    );
}
