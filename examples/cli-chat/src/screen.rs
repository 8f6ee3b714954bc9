//! The output: one line for each event.

use sealpost_core::{ConnectionState, Delivery, Direction, Message, MessageBody};

/// Prints a conversation between two people.
pub(crate) struct Screen {
    us: String,
    them: String,
    /// The connection state that was printed last.
    online: Option<bool>,
}

impl Screen {
    pub(crate) fn new(us: &str, them: &str) -> Self {
        Self { us: us.to_owned(), them: them.to_owned(), online: None }
    }

    pub(crate) fn note(&self, note: &str) {
        println!("  · {note}");
    }

    pub(crate) fn message(&self, message: &Message) {
        let (who, state) = match message.direction {
            Direction::Outgoing(delivery) => (&self.us, format!("  [{}]", state(delivery))),
            Direction::Incoming { .. } => (&self.them, String::new()),
        };
        println!("{} {who}: {}{state}", clock(message.sent_ms), text(message));
    }

    /// Prints the state of one of our messages.
    pub(crate) fn progress(&self, message: &Message) {
        let Direction::Outgoing(delivery) = message.direction else { return };
        let what = excerpt(&text(message));
        match delivery {
            Delivery::Queued => {}
            Delivery::Sent => self.note(&format!("sent: {what}")),
            Delivery::Delivered => self.note(&format!("{} has received: {what}", self.them)),
            Delivery::Read => self.note(&format!("{} has read: {what}", self.them)),
            Delivery::Failed(reason) => self.note(&format!("not sent, {reason}: {what}")),
            _ => {}
        }
    }

    pub(crate) fn connection(&mut self, state: ConnectionState) {
        let (online, note) = match state {
            ConnectionState::Offline => (false, "offline; messages are sent later"),
            ConnectionState::Live => (true, "online"),
            ConnectionState::SignedOut => (false, "the relay no longer knows this account"),
            _ => return,
        };
        // Every failed attempt to connect ends offline; printing it once is enough.
        if self.online.replace(online) != Some(online) {
            self.note(note);
        }
    }
}

fn state(delivery: Delivery) -> String {
    match delivery {
        Delivery::Queued => "waiting".to_owned(),
        Delivery::Sent => "sent".to_owned(),
        Delivery::Delivered => "received".to_owned(),
        Delivery::Read => "read".to_owned(),
        Delivery::Failed(reason) => format!("not sent: {reason}"),
        _ => "?".to_owned(),
    }
}

/// The text of a message, without characters that would move the cursor of a terminal.
fn text(message: &Message) -> String {
    match &message.body {
        MessageBody::Text(text) => text.chars().filter(|c| !c.is_control()).collect(),
        MessageBody::Undecryptable(cause) => format!("(could not be decrypted: {cause})"),
        _ => "(unsupported content)".to_owned(),
    }
}

fn excerpt(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

/// Hours and minutes, UTC.
fn clock(ms: u64) -> String {
    let minutes = ms / 60_000 % (24 * 60);
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_ends_between_characters() {
        assert_eq!(excerpt("short"), "short");
        assert_eq!(excerpt(&"ж".repeat(41)), format!("{}…", "ж".repeat(40)));
    }

    #[test]
    fn the_clock_shows_hours_and_minutes() {
        assert_eq!(clock(1_764_000_000_000), "16:00");
    }
}
