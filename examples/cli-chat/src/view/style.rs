//! Colours and emphasis. Everything can also be told without them.

use ratatui::style::{Color, Modifier, Style};

pub(super) const PLAIN: Style = Style::new();
pub(super) const DIM: Style = Style::new().add_modifier(Modifier::DIM);
pub(super) const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
pub(super) const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);
pub(super) const UNREAD: Style = Style::new().fg(Color::Green).add_modifier(Modifier::BOLD);
pub(super) const OURS: Style = Style::new().fg(Color::Cyan);
pub(super) const UNREADABLE: Style = Style::new().add_modifier(Modifier::ITALIC).add_modifier(Modifier::DIM);
pub(super) const BAD: Style = Style::new().fg(Color::Red);
pub(super) const GOOD: Style = Style::new().fg(Color::Green);
pub(super) const NOTE: Style = Style::new().fg(Color::Yellow);
/// What was searched for. It can be told from a message that is chosen, also within one.
pub(super) const FOUND: Style =
    Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD).add_modifier(Modifier::UNDERLINED);
