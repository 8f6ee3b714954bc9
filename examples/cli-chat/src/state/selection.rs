//! Which message a command acts on: the selected one, or the newest one that it can act on.

use sealpost_core::MessageId;

use super::conversation::{Area, Conversation, Wanted};
use crate::news::{Author, Body, Row};

/// What a command can be done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Something to read, of anybody.
    Readable,
    /// Something to read, of the others if none is selected.
    Theirs,
    /// A text of ours.
    OurText,
    /// Something of ours that is not deleted.
    Ours,
    Poll,
    /// Anything that has a place.
    Any,
}

impl Target {
    fn allows(self, row: &Row) -> bool {
        let (is_ours, is_readable) =
            (matches!(row.author, Author::Us(_)), !matches!(row.body, Body::Unreadable(_)));
        match self {
            Self::Readable | Self::Theirs => is_readable,
            Self::OurText => is_ours && matches!(row.body, Body::Text(_)),
            Self::Ours => is_ours && is_readable,
            Self::Poll => matches!(row.body, Body::Poll(_)),
            Self::Any => true,
        }
    }

    fn prefers(self, row: &Row) -> bool {
        self.allows(row) && (self != Self::Theirs || matches!(row.author, Author::Them { .. }))
    }

    /// Why nothing can be done.
    pub(super) const fn missing(self) -> &'static str {
        match self {
            Self::Readable | Self::Any => "there is no message to do that with",
            Self::Theirs => "there is no message of theirs to do that with",
            Self::OurText => "there is no text of yours to do that with",
            Self::Ours => "there is no message of yours to do that with",
            Self::Poll => "there is no poll to do that with",
        }
    }
}

impl Conversation {
    /// The message that a command acts on. What is selected is meant, even if nothing can be done to it.
    pub(super) fn target(&self, target: Target) -> Option<&Row> {
        match self.selected() {
            Some(selected) => Some(selected).filter(|row| target.allows(row)),
            None => self.rows().iter().rev().find(|row| target.prefers(row)),
        }
    }

    /// Selects the message above or below; first, the lowest one on the screen.
    pub(super) fn step_selection(&mut self, by: isize, area: Area<'_>) -> Option<Wanted> {
        let at = self.selected().map(|row| row.id).and_then(|id| self.place_of(id));
        let last = self.rows().len().checked_sub(1)?;
        let next = match at {
            Some(at) => at.saturating_add_signed(by).min(last),
            None => self.lowest_visible(area.height)?,
        };
        let id = self.rows().get(next)?.id;
        self.select(Some(id), area);
        match next {
            0 if by < 0 => self.up(0, area),
            next if by > 0 && next == last => self.down(0),
            _ => None,
        }
    }

    /// Selects what was clicked on; a second click ends that.
    pub(super) fn click_on(&mut self, line: usize, area: Area<'_>) {
        let row = self.visible(area.height).get(line).and_then(|line| line.row);
        let clicked = row.and_then(|row| self.rows().get(row)).map(|row| row.id);
        let selected = self.selected().map(|row| row.id);
        self.select(clicked.filter(|clicked| Some(*clicked) != selected), area);
    }

    fn place_of(&self, id: MessageId) -> Option<usize> {
        self.rows().iter().position(|row| row.id == id)
    }
}
