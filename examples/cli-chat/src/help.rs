//! The text of the help.

use crate::commands::{COMMANDS, ON_CALLS, ON_CHATS, ON_GROUPS, ON_MESSAGES};
use crate::wrap::{columns, cut, wrap};

/// Each key with what it does.
const KEYS: &[(&str, &str)] = &[
    ("Enter", "sends the message"),
    ("Alt-Enter, Ctrl-J", "begins another line"),
    ("Up, Down", "what was written before"),
    ("Shift-Up, Shift-Down", "select a message, also with Ctrl; so does a click on it"),
    ("Enter", "with a selected message and nothing written, its details"),
    ("PageUp, PageDown", "older and newer messages"),
    ("Ctrl-Home, Ctrl-End", "oldest loaded, newest message"),
    ("Tab, Esc", "to the list of chats, and back"),
    ("Left, Right", "in the list: chats, requests, archive; so does a click on its title"),
    ("Ctrl-P, Ctrl-N", "the chat above, the chat below"),
    ("Ctrl-F", "searches all chats"),
    ("?, F1", "this help; ?? writes a question mark"),
    ("Ctrl-C, Ctrl-D", "end the program"),
    ("mouse", "opens a chat, selects a message, scrolls; with Shift, selects text"),
];

/// What the list of chats shows.
const MARKS: &[(&str, &str)] = &[
    ("✓", "the safety number was compared"),
    ("^ - x", "pinned to the top, muted, blocked"),
    ("3, @ 3, *", "unread messages; you are mentioned in some; marked as unread"),
    ("draft:", "something was written and not sent"),
];

const TICKS: &[(&str, &str)] = &[
    ("…", "waits on this device"),
    ("✓", "the relay has it"),
    ("✓✓", "a device of the other person has it; in a group, of everybody"),
    ("✓✓ read", "the other person has read it; in a group, everybody"),
    ("✓✗", "nobody has received it within 30 days"),
    ("✗ not sent", "it was not sent, and will not be"),
];

/// The columns of the first part of a line, if there is room for them.
const ABOUT: usize = 22;

/// A line of the help: what it is about, and what it says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) about: String,
    pub(crate) text: String,
}

/// The columns of the first part, in so many columns.
pub(crate) fn about_width(width: usize) -> usize {
    ABOUT.min(width.checked_div(2).unwrap_or_default())
}

/// The help in so many columns.
pub(crate) fn lines(width: usize) -> Vec<Line> {
    let about_width = about_width(width);
    let mut lines: Vec<Line> = Vec::new();
    for (title, entries) in [
        ("Keys", KEYS),
        ("With a message: the selected one, or the newest", ON_MESSAGES),
        ("With this chat", ON_CHATS),
        ("Groups", ON_GROUPS),
        ("Calls, without sound; of several terminals of one name, one takes part", ON_CALLS),
        ("Commands", COMMANDS),
        ("In the list", MARKS),
        ("Ticks", TICKS),
    ] {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line { about: title.to_owned(), text: String::new() });
        for (about, text) in entries {
            let about = format!(" {about}");
            let is_long = columns(&about) >= about_width;
            let mut about = Some(about);
            if is_long {
                // It has a line of its own.
                lines
                    .push(Line { about: cut(&about.take().unwrap_or_default(), width), text: String::new() });
            }
            for place in wrap(text, width.saturating_sub(about_width)) {
                let text = text.get(place).unwrap_or_default().to_owned();
                lines.push(Line { about: about.take().unwrap_or_default(), text });
            }
        }
    }
    lines
}
