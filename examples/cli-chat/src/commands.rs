//! What a typed line means: a text to send, or a command. A line that begins with a slash is never sent by mistake.

use sealpost_core::Folder;

/// The meaning of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    Nothing,
    Text(String),
    Command(Command),
    /// The first word, if there is no such command.
    Unknown(String),
    /// The first word, if something follows a command that takes nothing.
    Surplus(String),
}

/// A command with its arguments. What acts on a message acts on the selected one; without one, on the newest that it can act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Opens the chat with a name or a user id.
    Chat(String),
    /// Creates a group: its title, and people.
    Group(String),
    Members,
    Invite(String),
    /// Members, or those who are invited.
    Remove(String),
    /// Or declines the invitation.
    Leave,
    Admin(String),
    Unadmin(String),
    Title(String),
    /// Who may do something.
    Allow(String),
    Dissolve,
    /// Opens the note to self.
    Note,
    Search(String),
    /// The same in this chat.
    Find(String),
    /// Shows the safety number; with digits, compares them.
    Verify(String),
    Accept,
    Reply(String),
    /// Without an emoji, removes the reaction.
    React(String),
    Edit(String),
    /// For everyone.
    Delete,
    /// On this device only.
    Hide,
    /// Takes that back.
    Undo,
    Pin,
    Unpin,
    /// Shows the pinned messages.
    Pins,
    /// To the chat with a name or a user id.
    Forward(String),
    Details,
    /// Shows the message that it replies to.
    Jump,
    /// A question and its options.
    Poll {
        form: String,
        is_multiple: bool,
    },
    /// The numbers of options; without any, withdraws the vote.
    Vote(String),
    Card(String),
    /// An address with a preview of it.
    Link(String),
    /// Shows the messages with links.
    Links,
    Location(String),
    /// Without anything, shows the profiles of both.
    Profile(String),
    /// Makes messages disappear this many seconds after they were read.
    Timer(String),
    Retry,
    Discard,
    Call,
    Answer,
    Decline,
    HangUp,
    /// The person in the chat, or with a name or a user id.
    Block(String),
    Unblock(String),
    Blocked,
    /// Shows what could be said about the person to those who run the service.
    Report,
    /// What takes up how much.
    Storage,
    /// Deletes messages that are older than so many days.
    CleanUp(String),
    /// Deletes the whole chat on this device.
    Clear,
    /// For some hours, or for ever.
    Mute(String),
    Unmute,
    Archive,
    Unarchive,
    /// Pins the chat to the top of the list.
    Top,
    Untop,
    Unread,
    /// On or off, in this chat.
    Presence(String),
    /// What others are told; without anything, shows all of it.
    Privacy(String),
    /// Shows another list.
    Show(Folder),
    Help,
    Quit,
}

impl Command {
    const fn takes_nothing(&self) -> bool {
        match self {
            Self::Note
            | Self::Members
            | Self::Leave
            | Self::Dissolve
            | Self::Accept
            | Self::Delete
            | Self::Hide
            | Self::Undo
            | Self::Pin
            | Self::Unpin
            | Self::Pins
            | Self::Details
            | Self::Jump
            | Self::Links
            | Self::Retry
            | Self::Discard
            | Self::Call
            | Self::Answer
            | Self::Decline
            | Self::HangUp
            | Self::Blocked
            | Self::Report
            | Self::Storage
            | Self::Clear
            | Self::Unmute
            | Self::Archive
            | Self::Unarchive
            | Self::Top
            | Self::Untop
            | Self::Unread
            | Self::Show(_)
            | Self::Help
            | Self::Quit => true,
            Self::Chat(_)
            | Self::Group(_)
            | Self::Invite(_)
            | Self::Remove(_)
            | Self::Admin(_)
            | Self::Unadmin(_)
            | Self::Title(_)
            | Self::Allow(_)
            | Self::Search(_)
            | Self::Find(_)
            | Self::Verify(_)
            | Self::Reply(_)
            | Self::React(_)
            | Self::Edit(_)
            | Self::Forward(_)
            | Self::Poll { .. }
            | Self::Vote(_)
            | Self::Card(_)
            | Self::Link(_)
            | Self::Location(_)
            | Self::Profile(_)
            | Self::Timer(_)
            | Self::Block(_)
            | Self::Unblock(_)
            | Self::CleanUp(_)
            | Self::Mute(_)
            | Self::Presence(_)
            | Self::Privacy(_) => false,
        }
    }
}

/// The commands with what they do, for the help.
pub(crate) const COMMANDS: &[(&str, &str)] = &[
    ("/chat NAME", "opens the chat with NAME, or with a user id"),
    ("/note", "opens your note to self"),
    ("/search WORDS", "searches all chats; /find WORDS, this one"),
    ("/poll QUESTION | A | B", "starts a poll; /polls lets people choose several"),
    ("/link URL | TITLE | ABOUT", "sends a link with a preview that you write; ABOUT can be left out"),
    ("/card NAME | PHONE | MAIL", "sends a contact card; PHONE and MAIL can be left out"),
    ("/location LAT LON NAME", "sends a location in degrees; NAME can be left out"),
    ("/timer SECONDS", "lets messages disappear after they were read; 0 ends that"),
    ("/pins, /links", "show the pinned messages, or those with links"),
    ("/storage", "shows what takes up how much on this device"),
    ("/cleanup DAYS", "deletes older messages on this device; /cleanup DAYS here, only those of this chat"),
    ("/profile NAME | ABOUT", "changes your profile; without NAME, shows both profiles"),
    ("/verify", "shows the safety number to compare"),
    ("/accept", "accepts a request, or a changed safety number"),
    ("/retry", "sends again what was not sent"),
    ("/discard", "discards the newest message that was not sent"),
    ("/privacy", "shows what others are told"),
    (
        "/privacy read off",
        "others no longer see what you have read; also delivered, typing, presence; on tells them again",
    ),
    ("/privacy read off here", "the same in this chat only"),
    ("/presence on", "tells the person in this chat when you are here; off ends that"),
    ("/help", "shows this help"),
    ("/quit", "ends the program"),
    ("//text", "sends a text that begins with a slash"),
    ("*a* _b_ ~c~ `d` |e|", "bold, italic, struck through, fixed, covered; @NAME mentions somebody"),
];

/// The commands about the open chat and the lists.
pub(crate) const ON_CHATS: &[(&str, &str)] = &[
    ("/block, /unblock", "the person in this chat, or with NAME; they are not told"),
    ("/blocked", "shows who is blocked"),
    ("/report", "shows what you could tell those who run the service about the person; nothing is sent"),
    ("/clear", "deletes this chat on this device"),
    ("/mute HOURS", "mutes it, for ever without HOURS; /unmute ends that"),
    ("/archive, /unarchive", "puts it away, or back"),
    ("/top, /untop", "pins it to the top of the list, or ends that"),
    ("/unread", "marks it as unread"),
    ("/requests, /archived", "shows another list; /chats shows the chats"),
];

/// The commands about groups.
pub(crate) const ON_GROUPS: &[(&str, &str)] = &[
    ("/group TITLE NAMES", "creates a group with people; with a | after a TITLE of several words"),
    ("/members", "shows who is in it, who is invited, and who may what"),
    ("/invite NAMES", "invites people; who knows you becomes a member at once, and others /accept or /leave"),
    ("/remove NAMES", "removes members, who read nothing from then on, or takes invitations back"),
    ("/leave", "leaves the group, or declines the invitation"),
    ("/admin NAME, /unadmin", "makes a member an admin, or ends that"),
    ("/title TITLE", "changes the title; /timer SECONDS, the timer"),
    ("/allow write admins", "lets only admins write; also invite, details; members lets everybody"),
    ("/dissolve", "ends the group for everybody"),
];

/// The commands about calls.
pub(crate) const ON_CALLS: &[(&str, &str)] = &[
    ("/call", "calls the person in this chat"),
    ("/answer, /decline", "takes or declines a call; in another call, /decline says that you are busy"),
    ("/hangup", "ends the call"),
];

/// The commands that act on the selected message, or on the newest one.
pub(crate) const ON_MESSAGES: &[(&str, &str)] = &[
    ("/reply TEXT", "replies to it, or to their newest message"),
    ("/react EMOJI", "reacts to it, or to their newest message; without EMOJI, takes that back"),
    ("/edit TEXT", "replaces the text of your message"),
    ("/delete", "deletes your message for both"),
    ("/hide", "deletes it on this device only; /undo takes that back for 30 s"),
    ("/pin, /unpin", "pins it for both, or ends that"),
    ("/forward NAME", "sends it to the chat with NAME"),
    ("/vote NUMBERS", "votes in a poll, such as 1 or 1 3; without NUMBERS, withdraws"),
    ("/details", "its times, versions, reactions and votes"),
    ("/jump", "shows the message that it replies to"),
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
    let is_alone = rest.is_empty();
    let command = match name {
        "chat" => Command::Chat(rest),
        "group" => Command::Group(rest),
        "members" => Command::Members,
        "invite" => Command::Invite(rest),
        "remove" => Command::Remove(rest),
        "leave" => Command::Leave,
        "admin" => Command::Admin(rest),
        "unadmin" => Command::Unadmin(rest),
        "title" => Command::Title(rest),
        "allow" => Command::Allow(rest),
        "dissolve" => Command::Dissolve,
        "note" => Command::Note,
        "search" => Command::Search(rest),
        "find" => Command::Find(rest),
        "verify" => Command::Verify(rest),
        "accept" => Command::Accept,
        "reply" => Command::Reply(rest),
        "react" => Command::React(rest),
        "edit" => Command::Edit(rest),
        "delete" => Command::Delete,
        "hide" => Command::Hide,
        "undo" => Command::Undo,
        "pin" => Command::Pin,
        "unpin" => Command::Unpin,
        "pins" => Command::Pins,
        "forward" => Command::Forward(rest),
        "details" => Command::Details,
        "jump" => Command::Jump,
        "poll" => Command::Poll { form: rest, is_multiple: false },
        "polls" => Command::Poll { form: rest, is_multiple: true },
        "vote" => Command::Vote(rest),
        "link" => Command::Link(rest),
        "links" => Command::Links,
        "card" => Command::Card(rest),
        "location" => Command::Location(rest),
        "profile" => Command::Profile(rest),
        "timer" => Command::Timer(rest),
        "block" => Command::Block(rest),
        "unblock" => Command::Unblock(rest),
        "blocked" => Command::Blocked,
        "report" => Command::Report,
        "storage" => Command::Storage,
        "cleanup" => Command::CleanUp(rest),
        "clear" => Command::Clear,
        "mute" => Command::Mute(rest),
        "unmute" => Command::Unmute,
        "archive" => Command::Archive,
        "unarchive" => Command::Unarchive,
        "top" => Command::Top,
        "untop" => Command::Untop,
        "unread" => Command::Unread,
        "presence" => Command::Presence(rest),
        "privacy" => Command::Privacy(rest),
        "chats" => Command::Show(Folder::Chats),
        "requests" => Command::Show(Folder::Requests),
        "archived" => Command::Show(Folder::Archive),
        "retry" => Command::Retry,
        "call" => Command::Call,
        "answer" => Command::Answer,
        "decline" => Command::Decline,
        "hangup" => Command::HangUp,
        "discard" => Command::Discard,
        "help" => Command::Help,
        "quit" => Command::Quit,
        _ => return Line::Unknown(name.to_owned()),
    };
    // Whoever writes a name after it means somebody else than the person in the open chat.
    if command.takes_nothing() && !is_alone { Line::Surplus(name.to_owned()) } else { Line::Command(command) }
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

    /// The commands that the help names.
    fn of_the_help() -> Vec<String> {
        let all = [COMMANDS, ON_MESSAGES, ON_CHATS, ON_GROUPS, ON_CALLS].concat();
        let all = all.iter().filter(|(usage, _)| !usage.starts_with("//"));
        // Some lines are about two commands, and some mention another one.
        let named = all.flat_map(|(usage, about)| [usage, about]).flat_map(|text| text.split_whitespace());
        let commands = named.filter(|word| word.starts_with('/'));
        commands.map(|command| command.trim_end_matches([',', ';']).to_owned()).collect()
    }

    #[test]
    fn every_command_of_the_help_is_known() {
        let commands = of_the_help();
        assert!(commands.len() > 46, "{commands:?}");
        for command in commands {
            assert!(matches!(read(&command), Line::Command(_)), "{command}");
        }
    }

    #[test]
    fn what_follows_a_command_has_a_meaning_or_is_refused() {
        let mut refused = 0;
        for command in of_the_help() {
            let followed = read(&format!("{command} cleo"));
            assert_ne!(followed, read(&command), "{command}");
            refused += usize::from(followed == Line::Surplus(command[1..].to_owned()));
        }
        assert!(refused > 20, "{refused}");
        assert_eq!(read("/call  "), Line::Command(Command::Call));
        assert_eq!(read("/quit now"), Line::Surplus("quit".to_owned()));
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
