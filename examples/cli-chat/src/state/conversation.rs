//! The open chat: its messages, and which part of them is shown.

use std::ops::Range;

use sealpost_core::{MessageId, ThreadId, TrustState};

use super::lines::{Line, LineKind, lines};
use crate::clock::Clock;
use crate::news::{Author, Peer, Row, Rows, Tick};
use crate::text::Shown;

/// An open chat.
#[derive(Debug)]
pub(crate) struct Conversation {
    thread: ThreadId,
    name: Shown,
    trust: Option<TrustState>,
    pub(crate) peer: Peer,
    shown: Rows,
    lines: Vec<Line>,
    /// The number of lines below the visible part.
    below: usize,
    /// The first message that was unread when it came to the person's attention.
    unread: Option<MessageId>,
    /// The message that commands act on: one that the person has selected, or that a search led to.
    selected: Option<MessageId>,
    /// Whether a page was asked for and has not come yet.
    is_loading: bool,
    /// The message up to which the client was last asked to mark as read.
    marked: Option<MessageId>,
}

/// The area that shows the messages, and the person's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Area<'a> {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) clock: &'a Clock,
}

/// What to read from the database because of a movement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Older,
    Newer,
}

impl Conversation {
    /// Opens a chat at the first unread message, around a message that was found, or at its end.
    pub(super) fn open(
        thread: ThreadId,
        name: Shown,
        shown: Rows,
        around: Option<MessageId>,
        area: Area<'_>,
    ) -> Self {
        let unread = if around.is_none() { first_unread(&shown.rows) } else { None };
        let mut opened = Self {
            thread,
            name,
            trust: None,
            peer: Peer::default(),
            shown,
            lines: Vec::new(),
            below: 0,
            unread,
            selected: around,
            is_loading: false,
            marked: None,
        };
        opened.draw_lines(area);
        let divider = opened.lines.iter().position(|line| line.kind == LineKind::Unread);
        let found = around.and_then(|id| opened.first_mark_in(id).or_else(|| opened.last_line_of(id)));
        let half = area.height.checked_div(2).unwrap_or_default();
        if let Some(last) = divider.map(|first| first.saturating_add(area.height).saturating_sub(1)) {
            opened.end_at(last, area);
        } else if let Some(last) = found {
            opened.end_at(last.saturating_add(half), area);
        }
        opened
    }

    pub(crate) fn thread(&self) -> ThreadId {
        self.thread
    }

    pub(super) fn set_name(&mut self, name: &Shown) {
        self.name.clone_from(name);
    }

    pub(crate) fn name(&self) -> &Shown {
        &self.name
    }

    pub(crate) fn trust(&self) -> Option<TrustState> {
        self.trust
    }

    pub(super) fn set_trust(&mut self, trust: TrustState) {
        self.trust = Some(trust);
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.shown.rows
    }

    /// The selected message.
    pub(crate) fn selected(&self) -> Option<&Row> {
        self.shown.rows.iter().find(|row| Some(row.id) == self.selected)
    }

    /// Selects a message, and shows it if it is not on the screen.
    pub(super) fn select(&mut self, message: Option<MessageId>, area: Area<'_>) {
        self.selected = message;
        let Some(last) = message.and_then(|id| self.last_line_of(id)) else { return };
        let row = self.lines.get(last).and_then(|line| line.row);
        let first = self.lines.iter().position(|line| line.row == row).unwrap_or(last);
        let visible = self.visible_range(area.height);
        if first < visible.start {
            self.end_at(first.saturating_add(area.height).saturating_sub(1), area);
        } else if last >= visible.end {
            self.end_at(last, area);
        }
    }

    pub(super) fn lowest_visible(&self, height: usize) -> Option<usize> {
        self.last_visible_row(height)
    }

    pub(crate) fn is_selected(&self, line: &Line) -> bool {
        let row = line.row.and_then(|row| self.shown.rows.get(row));
        self.selected.is_some() && row.map(|row| row.id) == self.selected
    }

    /// Whether the newest message is shown.
    pub(crate) fn is_at_end(&self) -> bool {
        self.below == 0 && !self.shown.has_newer
    }

    /// The number of messages of others below the visible part that were not read.
    pub(crate) fn unread_below(&self, height: usize) -> usize {
        let last = self.last_visible_row(height).map_or(0, |row| row.saturating_add(1));
        self.shown.rows.iter().skip(last).filter(|row| is_unread(row)).count()
    }

    /// The messages have changed. What is visible stays where it is, unless the end was shown.
    pub(super) fn set_rows(&mut self, shown: Rows, area: Area<'_>) {
        let follows = self.is_at_end();
        let anchor = self.anchor();
        self.is_loading = false;
        self.shown = shown;
        if self.selected.is_some_and(|selected| !self.has(selected)) {
            self.selected = None;
        }
        if !follows && self.unread.is_none_or(|unread| !self.has(unread)) {
            self.unread = first_unread(&self.shown.rows);
        }
        self.draw_lines(area);
        if follows {
            self.below = 0;
        } else {
            self.return_to(anchor, area);
        }
    }

    /// The size, the day or the time zone has changed.
    pub(super) fn redraw(&mut self, area: Area<'_>) {
        let (follows, anchor) = (self.is_at_end(), self.anchor());
        self.draw_lines(area);
        if !follows {
            self.return_to(anchor, area);
        }
    }

    /// The visible lines.
    pub(crate) fn visible(&self, height: usize) -> &[Line] {
        self.lines.get(self.visible_range(height)).unwrap_or_default()
    }

    pub(super) fn up(&mut self, count: usize, area: Area<'_>) -> Option<Wanted> {
        let most = self.lines.len().saturating_sub(area.height);
        let wanted = self.below.saturating_add(count);
        self.below = wanted.min(most);
        self.load(wanted >= most && self.shown.has_older, Wanted::Older)
    }

    pub(super) fn down(&mut self, count: usize) -> Option<Wanted> {
        self.below = self.below.saturating_sub(count);
        self.load(self.below == 0 && self.shown.has_newer, Wanted::Newer)
    }

    /// Shows the end of what is loaded. Returns false if there are newer messages that are not loaded.
    pub(super) fn go_to_end(&mut self) -> bool {
        self.below = 0;
        self.selected = None;
        !self.shown.has_newer
    }

    /// The person has written, and so has seen what came before.
    pub(super) fn forget_unread(&mut self, area: Area<'_>) {
        self.unread = None;
        self.redraw(area);
    }

    /// The message up to which everything can be marked as read, because it is on the screen; once for each message.
    pub(super) fn newly_read(&mut self, height: usize) -> Option<MessageId> {
        let last = self.last_visible_row(height)?;
        let seen = self.shown.rows.get(..=last)?;
        let up_to = seen.iter().rev().find(|row| is_unread(row))?.id;
        if self.marked.replace(up_to) == Some(up_to) {
            return None;
        }
        Some(up_to)
    }

    /// Our messages that were not sent, oldest first.
    pub(super) fn failed(&self) -> Vec<MessageId> {
        let failed = |row: &&Row| matches!(row.author, Author::Us(Tick::Failed(_)));
        self.shown.rows.iter().filter(failed).map(|row| row.id).collect()
    }

    /// Our newest message that was not sent, or not yet.
    pub(super) fn unsent(&self) -> Option<MessageId> {
        let unsent = |row: &&Row| matches!(row.author, Author::Us(Tick::Failed(_) | Tick::Queued));
        self.shown.rows.iter().rev().find(unsent).map(|row| row.id)
    }

    fn load(&mut self, is_wanted: bool, page: Wanted) -> Option<Wanted> {
        if !is_wanted || std::mem::replace(&mut self.is_loading, true) {
            return None;
        }
        Some(page)
    }

    fn draw_lines(&mut self, area: Area<'_>) {
        self.lines = lines(&self.shown.rows, self.unread, area.width, area.clock);
    }

    fn visible_range(&self, height: usize) -> Range<usize> {
        let end = self.lines.len().saturating_sub(self.below);
        end.saturating_sub(height)..end
    }

    fn last_visible_row(&self, height: usize) -> Option<usize> {
        self.visible(height).iter().rev().find_map(|line| line.row)
    }

    /// The lowest visible message, and how many of its lines are below the visible part.
    fn anchor(&self) -> Option<(MessageId, usize)> {
        let end = self.lines.len().saturating_sub(self.below);
        let row = self.lines.get(..end)?.iter().rev().find_map(|line| line.row)?;
        let hidden = self.lines.get(end..)?.iter().filter(|line| line.row == Some(row)).count();
        Some((self.shown.rows.get(row)?.id, hidden))
    }

    fn return_to(&mut self, anchor: Option<(MessageId, usize)>, area: Area<'_>) {
        let place = anchor.and_then(|(id, hidden)| Some((self.last_line_of(id)?, hidden)));
        match place {
            Some((last, hidden)) => self.end_at(last.saturating_sub(hidden), area),
            None => self.below = self.below.min(self.lines.len().saturating_sub(area.height)),
        }
    }

    /// Makes this line the last visible one, as far as possible.
    fn end_at(&mut self, line: usize, area: Area<'_>) {
        let most = self.lines.len().saturating_sub(area.height);
        self.below = self.lines.len().saturating_sub(line.saturating_add(1)).min(most);
    }

    fn last_line_of(&self, id: MessageId) -> Option<usize> {
        let row = self.shown.rows.iter().position(|row| row.id == id)?;
        self.lines.iter().rposition(|line| line.row == Some(row))
    }

    /// The first line of a message with something that was searched for.
    fn first_mark_in(&self, id: MessageId) -> Option<usize> {
        let row = self.shown.rows.iter().position(|row| row.id == id)?;
        self.lines.iter().position(|line| line.row == Some(row) && !line.found.is_empty())
    }

    pub(super) fn has(&self, id: MessageId) -> bool {
        self.shown.rows.iter().any(|row| row.id == id)
    }
}

fn is_unread(row: &Row) -> bool {
    matches!(row.author, Author::Them { read: false })
}

fn first_unread(rows: &[Row]) -> Option<MessageId> {
    rows.iter().find(|row| is_unread(row)).map(|row| row.id)
}
