//! Something to read that covers the panes: the details of a message, what is pinned, profiles.

use std::ops::Range;

use crate::text::Shown;
use crate::wrap::wrap;

/// An open sheet.
#[derive(Debug)]
pub(crate) struct Sheet {
    pub(crate) title: &'static str,
    lines: Vec<Shown>,
    /// The number of lines above the visible part.
    above: usize,
}

impl Sheet {
    pub(super) fn new(title: &'static str, lines: Vec<Shown>) -> Self {
        Self { title, lines, above: 0 }
    }

    /// The visible lines in an area of this size.
    pub(crate) fn visible(&self, width: usize, height: usize) -> impl Iterator<Item = &str> {
        self.wrapped(width).skip(self.above).take(height)
    }

    pub(super) fn scroll(&mut self, by: isize, width: usize, height: usize) {
        let most = self.wrapped(width).count().saturating_sub(height);
        self.above = self.above.saturating_add_signed(by).min(most);
    }

    fn wrapped(&self, width: usize) -> impl Iterator<Item = &str> {
        let places = move |line: &str| -> Vec<Range<usize>> { wrap(line, width) };
        self.lines.iter().map(Shown::as_str).flat_map(move |line| {
            places(line).into_iter().map(move |place| line.get(place).unwrap_or_default().trim_end())
        })
    }
}
