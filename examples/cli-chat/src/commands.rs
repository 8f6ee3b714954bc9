//! What a typed line means: a text to send, or a command. A line that begins with a slash is never sent by mistake.

/// The meaning of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    Nothing,
    Text(String),
    Command(Command),
    /// The first word, if there is no such command.
    Unknown(String),
}

/// A command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Opens the chat with a name or a user id.
    Chat(String),
    Search(String),
    /// Shows the safety number; with digits, compares them.
    Verify(String),
    Accept,
    /// Replies to their newest message.
    Reply(String),
    /// Reacts to their newest message; without an emoji, removes the reaction.
    React(String),
    /// Replaces the text of our newest message.
    Edit(String),
    /// Deletes our newest message for everyone.
    Delete,
    /// Makes messages disappear this many seconds after they were read.
    Timer(String),
    Retry,
    Discard,
    Help,
    Quit,
}

/// The commands with what they do, for the help.
pub(crate) const COMMANDS: &[(&str, &str)] = &[
    ("/chat NAME", "opens the chat with NAME, or with a user id"),
    ("/search WORDS", "searches all chats"),
    ("/reply TEXT", "replies to their newest message"),
    ("/react EMOJI", "reacts to their newest message; without EMOJI, takes it back"),
    ("/edit TEXT", "replaces the text of your newest message"),
    ("/delete", "deletes your newest message for both"),
    ("/timer SECONDS", "lets messages disappear after they were read; 0 ends that"),
    ("/verify", "shows the safety number to compare"),
    ("/accept", "accepts a changed safety number"),
    ("/retry", "sends again what was not sent"),
    ("/discard", "discards the newest message that was not sent"),
    ("/help", "shows this help"),
    ("/quit", "ends the program"),
    ("//text", "sends a text that begins with a slash"),
];

/// The meaning of what was typed.
pub(crate) fn read(typed: &str) -> Line {
    let typed = typed.trim();
    if typed.is_empty() {
        return Line::Nothing;
    }
    let Some(line) = typed.strip_prefix('/') else { return Line::Text(typed.to_owned()) };
    if line.starts_with('/') {
        return Line::Text(line.to_owned());
    }
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim().to_owned();
    Line::Command(match name {
        "chat" => Command::Chat(rest),
        "search" => Command::Search(rest),
        "verify" => Command::Verify(rest),
        "accept" => Command::Accept,
        "reply" => Command::Reply(rest),
        "react" => Command::React(rest),
        "edit" => Command::Edit(rest),
        "delete" => Command::Delete,
        "timer" => Command::Timer(rest),
        "retry" => Command::Retry,
        "discard" => Command::Discard,
        "help" => Command::Help,
        "quit" => Command::Quit,
        _ => return Line::Unknown(name.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commands_have_arguments() {
        assert_eq!(read("/search  two words "), Line::Command(Command::Search("two words".to_owned())));
        assert_eq!(read(" /verify 12345\n67890"), Line::Command(Command::Verify("12345\n67890".to_owned())));
        assert_eq!(read("/quit"), Line::Command(Command::Quit));
    }

    #[test]
    fn two_slashes_send_one() {
        assert_eq!(read("//usr/bin"), Line::Text("/usr/bin".to_owned()));
        assert_eq!(read("//"), Line::Text("/".to_owned()));
        assert_eq!(read("1/2"), Line::Text("1/2".to_owned()));
    }

    #[test]
    fn every_command_of_the_help_is_known() {
        for (usage, _) in COMMANDS.iter().filter(|(usage, _)| !usage.starts_with("//")) {
            assert!(matches!(read(usage), Line::Command(_)), "{usage}");
        }
    }

    proptest! {
        #[test]
        fn a_single_slash_is_never_sent(rest in "[^/\\s]{0,9}( [a-z/]{0,9})?") {
            let typed = format!("/{rest}");
            let meaning = read(&typed);
            prop_assert!(!matches!(meaning, Line::Text(_)), "{:?}", meaning);
        }

        #[test]
        fn any_text_can_be_sent(text in any::<String>()) {
            let text = text.trim();
            prop_assume!(!text.is_empty());
            let typed = if text.starts_with('/') { format!("/{text}") } else { text.to_owned() };
            prop_assert_eq!(read(&typed), Line::Text(text.to_owned()));
        }
    }
}
