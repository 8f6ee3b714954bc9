//! The messenger in a real terminal: keys are typed into tmux, and its screen is read.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

mod calls;
mod groups;
mod linking;
mod privacy;
mod tmux;

use std::process::Stdio;

use sealpost_core::Profile;
use sealpost_testkit::{World, has_device_list, start_over, within};
use tmux::Tmux;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sealpost-cli-chat");

/// The command line of a person of this world.
fn command(world: &World, name: &str, with: Option<&str>) -> String {
    let with = with.map(|with| format!(" --with {with}")).unwrap_or_default();
    let state = world.dir().join("accounts");
    format!("'{PROGRAM}' --name {name}{with} --relay {} --state '{}'", world.url(), state.display())
}

/// Opens a terminal for both, and waits until each has opened the chat with the other.
async fn meet(world: &World, tmux: &Tmux) {
    tmux.open("ada", (90, 24), &command(world, "ada", Some("ben"))).await;
    tmux.shows("ada", "waiting for ben to run ./dev chat --name ben").await;
    tmux.open("ben", (40, 20), &command(world, "ben", Some("ada"))).await;
    tmux.shows("ada", "No messages yet.").await;
    tmux.shows("ben", "‹ ada").await;
}

/// The same, and each has written, so that neither is a stranger.
async fn talk(world: &World, tmux: &Tmux) {
    meet(world, tmux).await;
    tmux.enter("ada", "hello ben").await;
    tmux.shows("ben", "hello ben  ").await;
    tmux.enter("ben", "hello ada").await;
    tmux.shows("ada", "hello ada  ").await;
    tmux.shows("ben", "✓✓").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_talk_in_two_terminals() {
    let world = World::start().await;
    let tmux = Tmux::start(world.dir()).await;
    meet(&world, &tmux).await;

    tmux.enter("ada", "hello ben").await;
    tmux.shows("ben", "hello ben  ").await;
    tmux.shows("ada", "✓✓ read").await;

    // The help, until it is closed.
    tmux.type_in("ada", "?").await;
    tmux.shows("ada", "Keys").await;
    tmux.escape("ada", "Keys").await;
    tmux.shows("ada", "hello ben  ").await;

    // What Ben is writing is not broken by what arrives.
    tmux.type_in("ben", "half a").await;
    tmux.shows("ben", "> half a").await;
    tmux.enter("ada", "an interruption").await;
    tmux.shows("ben", "an interruption  ").await;
    tmux.shows("ben", "> half a").await;
    tmux.enter("ben", " line").await;
    tmux.shows("ada", "half a line  ").await;

    // Lines that are pasted are one message, which is sent with the Enter key.
    tmux.paste("ada", "日本語 e\u{301}\nsecond line").await;
    tmux.shows("ada", "> 日本語 e\u{301}").await;
    assert!(!tmux.screen("ben").await.contains("second line"));
    tmux.key("ada", "Enter").await;
    tmux.shows("ben", "日本語 e\u{301}\n").await;
    tmux.shows("ben", "\nsecond line  ").await;

    // A mistyped command is not sent.
    tmux.enter("ada", "/hepl").await;
    tmux.shows("ada", "/hepl is not a command").await;
    tmux.key("ada", "C-u").await;
    tmux.enter("ada", "//hepl").await;
    tmux.shows("ben", "/hepl  ").await;
    assert!(!tmux.screen("ben").await.contains("//hepl"));

    // The search leads to a message.
    tmux.enter("ben", "/search interr").await;
    tmux.shows("ben", "│an interruption").await;
    // In another chat, the same is not found.
    tmux.escape("ben", "Search").await;
    tmux.enter("ben", "/note").await;
    tmux.shows("ben", "No messages yet.").await;
    tmux.enter("ben", "/find interr").await;
    tmux.shows("ben", "nothing found").await;
    tmux.escape("ben", "nothing found").await;
    tmux.enter("ben", "/chat ada").await;
    tmux.shows("ben", "‹ ada").await;
    tmux.enter("ben", "/find interr").await;
    tmux.shows("ben", "│an interruption").await;
    // The found part is marked, in the results and in the message.
    tmux.marks("ben", &["interr"]).await;
    tmux.key("ben", "Enter").await;
    tmux.shows("ben", "‹ ada").await;
    tmux.marks("ben", &["interr"]).await;

    // A click on the title of a narrow terminal leads to the list; a wider terminal shows both.
    tmux.type_in("ben", "\u{1b}[<0;2;1M").await;
    tmux.shows("ben", "Chats").await;
    tmux.resize("ben", (100, 20)).await;
    tmux.shows("ben", "│ada").await;
    tmux.shows("ben", "hello ben  ").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_replied_to_reacted_to_edited_and_deleted() {
    let world = World::start().await;
    let tmux = Tmux::start(world.dir()).await;
    meet(&world, &tmux).await;

    tmux.enter("ada", "an eror").await;
    tmux.shows("ben", "an eror  ").await;
    tmux.enter("ada", "/edit an error").await;
    tmux.shows("ben", "an error (edited)").await;
    // Ten times at most.
    for time in 2..=10 {
        tmux.enter("ada", &format!("/edit error {time}")).await;
        tmux.shows("ada", &format!("error {time} (edited)")).await;
    }
    tmux.enter("ada", "/edit an error").await;
    tmux.shows("ada", "it is too late").await;
    tmux.enter("ben", "/react 👍").await;
    tmux.shows("ada", "[👍 1]").await;
    // A reaction replaces the one before, and can be taken back.
    tmux.enter("ben", "/react ❤").await;
    tmux.shows("ada", "[❤ 1]").await;
    tmux.enter("ben", "/react").await;
    tmux.gone("ada", "[❤ 1]").await;
    tmux.enter("ben", "/reply what now").await;
    tmux.shows("ada", "> error 10").await;
    tmux.shows("ada", "what now  ").await;
    tmux.enter("ben", "/timer 3600").await;
    tmux.shows("ada", "messages disappear 3600 s").await;
    tmux.shows("ada", "ben · disappear after 3600 s").await;
    tmux.enter("ada", "/delete").await;
    tmux.shows("ben", "deleted").await;
    tmux.shows("ada", "deleted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_act_on_the_message_that_keys_or_the_mouse_have_selected() {
    let world = World::start().await;
    let tmux = Tmux::start(world.dir()).await;
    meet(&world, &tmux).await;
    for text in ["first", "second", "third"] {
        tmux.enter("ada", text).await;
        tmux.shows("ben", &format!("{text}  ")).await;
    }

    // Keys: the lowest message first, then the one above it.
    for _ in 0..2 {
        tmux.key("ben", "S-Up").await;
    }
    tmux.shows("ben", "selected").await;
    tmux.enter("ben", "/reply to the second").await;
    tmux.shows("ada", "> second").await;
    // With the time after it, it is in the conversation, and not only in the line that is being written.
    tmux.shows("ben", "to the second  ").await;
    tmux.enter("ben", "/jump").await;
    tmux.shows("ben", "selected").await;
    tmux.enter("ben", "/react 👍").await;
    tmux.shows("ada", "[👍 1]").await;
    let screen = tmux.screen("ada").await;
    let lines: Vec<_> = screen.lines().collect();
    let second = lines.iter().position(|line| line.trim_end().ends_with("second")).unwrap();
    assert!(lines[second + 1].contains("[👍 1]"), "{screen}");

    // The mouse: the line of the first message, on the right side of the screen.
    let first = lines.iter().position(|line| line.contains(" first")).unwrap();
    tmux.type_in("ada", &format!("\u{1b}[<0;80;{}M", first + 1)).await;
    tmux.shows("ada", "selected").await;
    tmux.enter("ada", "/edit the very first").await;
    tmux.shows("ben", "the very first (edited)").await;
    tmux.key("ada", "C-Up").await;
    tmux.shows("ada", "selected").await;
    tmux.escape("ada", "selected").await;
    tmux.enter("ada", "/pin").await;
    tmux.shows("ben", "pinned").await;
    tmux.enter("ben", "/pins").await;
    tmux.shows("ben", "Pinned messages").await;
    tmux.shows("ben", "to the second").await;
    tmux.escape("ben", "Pinned messages").await;

    // The details: times, versions and reactions.
    for _ in 0..4 {
        tmux.key("ben", "C-Up").await;
    }
    tmux.key("ben", "Enter").await;
    tmux.shows("ben", "From ada").await;
    tmux.shows("ben", ": first").await;
    // What is typed over it is written.
    tmux.type_in("ben", "closed").await;
    tmux.shows("ben", "> closed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_cards_locations_profiles_and_forwards_are_shown() {
    let world = World::start().await;
    let tmux = Tmux::start(world.dir()).await;
    meet(&world, &tmux).await;
    tmux.enter("ada", "hello").await;
    tmux.shows("ben", "hello  ").await;

    tmux.enter("ada", "/poll Tea or coffee?").await;
    tmux.shows("ada", "a poll needs a question and two options").await;
    tmux.type_in("ada", " | tea | coffee").await;
    tmux.key("ada", "Enter").await;
    tmux.shows("ben", "poll: Tea or coffee?").await;
    tmux.enter("ben", "/vote 2").await;
    tmux.shows("ben", "2. coffee · 1 ✓").await;
    tmux.shows("ada", "2. coffee · 1").await;

    tmux.enter("ben", "/details").await;
    tmux.shows("ben", "Chosen by you: coffee").await;
    tmux.escape("ben", "Chosen by").await;

    // A link with its preview, and all messages with links.
    tmux.enter("ada", "/link https://example.org/x | Example page | what it is about").await;
    tmux.shows("ben", "[Example page] https://example.org/x").await;
    tmux.shows("ben", "what it is about  ").await;
    tmux.enter("ben", "/links").await;
    tmux.shows("ben", "Messages with links").await;
    tmux.shows("ben", "│https://example.org/x").await;
    tmux.escape("ben", "Messages with links").await;

    tmux.enter("ben", "/card Cleo | +41 44 555 01 23 | cleo@example.org").await;
    tmux.shows("ada", "contact: Cleo · +41 44 555 01 23 · cleo@example.org").await;
    tmux.enter("ada", "/location 47.3769, 8.5417 Zürich HB").await;
    tmux.shows("ben", "location: Zürich HB").await;
    tmux.shows("ben", "(47.37690,").await;
    // The newest message that can be read.
    tmux.shows("ada", "8.54170)  ").await;
    tmux.enter("ada", "/forward ben").await;
    tmux.shows("ben", "(forwarded)").await;

    // Styles and mentions are typed and shown with marks; what is covered is shown by the details.
    tmux.enter("ada", "*Achtung* @ben, |a secret|").await;
    tmux.shows("ben", "*Achtung* @ben, |░░░░░░░░|").await;
    tmux.enter("ben", "/details").await;
    tmux.shows("ben", "*Achtung* @ben, |a secret|").await;
    tmux.escape("ben", "Details").await;

    tmux.enter("ben", "/profile Benjamin | on a train").await;
    tmux.shows("ben", "your profile was changed").await;
    loop {
        tmux.enter("ada", "/profile").await;
        tmux.shows("ada", "ben: ").await;
        if tmux.screen("ada").await.contains("ben: Benjamin") {
            break;
        }
        tmux.escape("ada", "user id").await;
    }
    tmux.shows("ada", "on a train").await;
    tmux.escape("ada", "user id").await;

    // What is deleted on one side only can be taken back.
    tmux.enter("ada", "/hide").await;
    tmux.shows("ada", "/undo takes that back").await;
    assert!(!tmux.screen("ada").await.contains("Achtung"));
    // Only where it was deleted.
    tmux.enter("ada", "/note").await;
    tmux.shows("ada", "No messages yet.").await;
    // There, nobody can be called, blocked or verified.
    // Nor is anybody told anything.
    let alone =
        ["/call", "/block", "/verify", "/accept", "/report", "/presence on", "/privacy read off here"];
    for typed in alone {
        tmux.enter("ada", typed).await;
        tmux.shows("ada", "nobody else is in this chat").await;
        tmux.dismiss("ada", "nobody else is in this chat").await;
    }
    tmux.enter("ada", "/undo").await;
    tmux.shows("ada", "nothing was deleted in this chat").await;
    tmux.key("ada", "C-u").await;
    tmux.enter("ada", "/chat ben").await;
    tmux.shows("ada", "(forwarded)").await;
    tmux.enter("ada", "/undo").await;
    tmux.shows("ada", "*Achtung* @ben").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_accepted_put_away_blocked_and_deleted() {
    let world = World::start().await;
    let tmux = Tmux::start(world.dir()).await;
    tmux.open("ada", (90, 24), &command(&world, "ada", None)).await;
    let stranger = world.party("cleo").await;
    let profile = Profile { name: "Cleo".to_owned(), ..Profile::default() };
    stranger.client.set_profile(profile).await.unwrap();
    let thread = stranger.client.direct_thread(user_of(&world, "ada").await).await.unwrap();
    thread.send_text("hello from a stranger").await.unwrap();

    // It is a request, which the keys of the list lead to.
    tmux.shows("ada", "Chats · 1 request").await;
    assert!(!tmux.screen("ada").await.contains("hello from"));
    tmux.key("ada", "Right").await;
    tmux.shows("ada", "hello from a str").await;
    tmux.key("ada", "Enter").await;
    tmux.shows("ada", "a request: /accept or /block").await;
    tmux.enter("ada", "/accept").await;
    tmux.shows("ada", "it is among your chats now").await;
    tmux.enter("ada", "/chats").await;
    tmux.shows("ada", "▌").await;
    tmux.key("ada", "Enter").await;

    // Somebody whom this machine does not know is called as they say, and by their user id, which nobody else can have.
    let id: String = stranger.client.user_id().to_string().chars().take(8).collect();
    tmux.shows("ada", &format!("Cleo ({id})")).await;

    // The marks of the list.
    tmux.enter("ada", "/top").await;
    tmux.shows("ada", " ^ ").await;
    tmux.enter("ada", "/mute 8").await;
    tmux.shows("ada", " ^ - ").await;
    tmux.enter("ada", "/archive").await;
    tmux.shows("ada", "none yet: /chat NAME").await;
    tmux.enter("ada", "/archived").await;
    tmux.shows("ada", "Archive ").await;
    tmux.shows("ada", " - ").await;
    tmux.enter("ada", "/unarchive").await;
    tmux.enter("ada", "/unread").await;
    tmux.enter("ada", "/chats").await;
    tmux.shows("ada", " * │").await;

    tmux.enter("ada", "/block").await;
    tmux.shows("ada", "blocked: /unblock").await;
    tmux.enter("ada", "/blocked").await;
    tmux.shows("ada", "Blocked people").await;
    tmux.shows("ada", &stranger.client.user_id().to_string()).await;
    tmux.escape("ada", "Blocked people").await;
    tmux.enter("ada", "/unblock").await;
    tmux.shows("ada", "is no longer blocked").await;

    // What could be reported, and what takes up how much, until it is cleaned up.
    tmux.enter("ada", "/report").await;
    tmux.shows("ada", "Nothing was sent to anybody").await;
    tmux.shows("ada", "│hello from a stranger").await;
    tmux.escape("ada", "Nothing was sent").await;
    tmux.enter("ada", "/storage").await;
    tmux.shows("ada", "1 message,").await;
    tmux.escape("ada", "The database takes up").await;
    tmux.enter("ada", "/cleanup 30").await;
    tmux.shows("ada", "0 messages were deleted on this device").await;
    tmux.shows("ada", "hello from a stranger  ").await;
    tmux.enter("ada", "/cleanup 0 here").await;
    tmux.shows("ada", "1 message was deleted on this device").await;
    tmux.shows("ada", "No messages yet.").await;
    thread.send_text("hello once more").await.unwrap();
    tmux.shows("ada", "hello once more  ").await;
    tmux.enter("ada", "/clear").await;
    tmux.shows("ada", "No messages yet.").await;
    thread.send_text("hello again").await.unwrap();
    tmux.shows("ada", "hello again  ").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_and_presence_are_seen_and_drafts_survive_the_program() {
    let world = World::start().await;
    let tmux = Tmux::start(world.dir()).await;
    meet(&world, &tmux).await;
    tmux.enter("ada", "hello").await;
    tmux.shows("ben", "hello  ").await;
    tmux.enter("ben", "hello yourself").await;
    tmux.shows("ada", "hello yourself  ").await;
    tmux.shows("ben", "✓✓").await;

    // What is never stored may be lost, so it is done again until it is seen.
    sealpost_testkit::eventually("typing", async || {
        tmux.type_in("ada", "x").await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        tmux.screen("ben").await.contains("ada · is typing").then_some(())
    })
    .await;
    tmux.key("ada", "C-u").await;
    tmux.type_in("ada", "/not a message").await;
    sealpost_testkit::eventually("the end of typing", async || {
        (!tmux.screen("ben").await.contains("is typing")).then_some(())
    })
    .await;
    tmux.key("ada", "C-u").await;
    tmux.enter("ada", "/presence on").await;
    tmux.shows("ada", "in this chat, others are told when you are here").await;
    tmux.shows("ben", "ada · is here").await;

    // A draft of this chat, also after the end of the program.
    tmux.type_in("ada", "half a line").await;
    tmux.shows("ada", "> half a line").await;
    tmux.key("ada", "C-c").await;
    tmux.shows("ada", "ended 0").await;
    tmux.open("again", (90, 24), &command(&world, "ada", None)).await;
    tmux.shows("again", "draft: half a line").await;
    tmux.key("again", "Enter").await;
    tmux.shows("again", "> half a line").await;
    tmux.key("again", "Enter").await;
    tmux.shows("ben", "half a line  ").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_terminals_of_one_name_show_the_same() {
    let world = World::start().await;
    let tmux = Tmux::start(world.dir()).await;
    meet(&world, &tmux).await;
    tmux.enter("ben", "from ben").await;
    tmux.shows("ada", "from ben  ").await;

    tmux.open("again", (90, 24), &command(&world, "ada", Some("ben"))).await;
    tmux.shows("again", "from ben  ").await;
    // The line mode shows the same, too.
    tmux.open("lines", (90, 24), &format!("{} --plain", command(&world, "ada", Some("ben")))).await;
    tmux.shows("lines", "ben: from ben").await;
    for (from, text) in [("ada", "in the first"), ("again", "in the second"), ("ben", "to both")] {
        tmux.enter(from, text).await;
        for shown_in in ["ada", "again", "ben"] {
            tmux.shows(shown_in, &format!("{text}  ")).await;
        }
        tmux.shows("lines", &format!(": {text}")).await;
    }

    // What is done with messages and with the chat in one is shown in the other.
    tmux.enter("ada", "/react 👍").await;
    tmux.shows("again", "[👍 1]").await;
    tmux.enter("again", "once more").await;
    tmux.shows("ada", "once more  ").await;
    tmux.enter("ada", "/edit once less").await;
    tmux.shows("again", "once less (edited)").await;
    tmux.enter("again", "/delete").await;
    tmux.gone("ada", "once less").await;
    tmux.shows("ada", "deleted").await;
    tmux.enter("ada", "/timer 3600").await;
    tmux.shows("again", "ben · disappear after 3600 s").await;

    // Both people see the same safety number; Ada confirms it in one terminal.
    tmux.enter("ada", "/verify").await;
    let hers = tmux.safety_number("ada").await;
    tmux.enter("ben", "/verify").await;
    assert_eq!(tmux.safety_number("ben").await, hers);
    tmux.enter("ada", "yes").await;
    tmux.shows("ada", "verified").await;
    tmux.key("ada", "Enter").await;
    for shown_in in ["ada", "again"] {
        tmux.shows(shown_in, "ben ✓ verified").await;
    }

    // In the line mode, what cannot be sent does not end the program.
    tmux.enter("ada", "/block").await;
    tmux.shows("ada", "blocked: /unblock").await;
    tmux.enter("lines", "to nobody").await;
    tmux.shows("lines", "not sent: you have blocked this person").await;
    tmux.enter("ada", "/unblock").await;
    tmux.gone("ada", "blocked: /unblock").await;
    tmux.enter("lines", "to ben again").await;
    tmux.escape("ben", "Safety number").await;
    tmux.shows("ben", "to ben again  ").await;
    assert!(!tmux.screen("ben").await.contains("to nobody"));
    tmux.enter("ada", "/archive").await;
    tmux.shows("again", "none yet: /chat NAME").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verified_contact_who_starts_over_gets_nothing_until_the_person_decides() {
    let world = World::start().await;
    let tmux = Tmux::start(world.dir()).await;
    let ben = world.party("ben").await;
    let user = ben.client.user_id();
    tmux.open("ada", (90, 24), &command(&world, "ada", Some(&user.to_string()))).await;
    tmux.shows("ada", "No messages yet.").await;
    tmux.enter("ada", "hello").await;
    tmux.shows("ada", "✓✓").await;
    tmux.enter("ada", "/verify").await;
    tmux.safety_number("ada").await;
    tmux.enter("ada", "yes").await;
    tmux.shows("ada", "verified").await;
    tmux.key("ada", "Enter").await;
    tmux.shows("ada", "✓ verified").await;

    let old = ben.close().await;
    let new = world.party("ben again").await;
    let ben = start_over(&world, user, &old, new).await.open().await;
    has_device_list(&world, user, 2).await;
    // Nothing is sent, and what was written can be discarded.
    tmux.enter("ada", "to the old one").await;
    tmux.shows("ada", "/verify or /accept it, then /retry, or /discard").await;
    tmux.enter("ada", "/discard").await;
    tmux.gone("ada", "to the old one").await;
    // Or it is sent once the person has accepted the change.
    tmux.enter("ada", "to the new one").await;
    tmux.shows("ada", "/verify or /accept it, then /retry, or /discard").await;
    tmux.enter("ada", "/retry").await;
    tmux.shows("ada", "/verify or /accept it, then /retry, or /discard").await;
    tmux.enter("ada", "/accept").await;
    tmux.shows("ada", "accepted; /retry sends what was held back").await;
    tmux.enter("ada", "/retry").await;
    tmux.gone("ada", "not sent").await;
    let his = ben.client.direct_thread(user_of(&world, "ada").await).await.unwrap();
    assert_eq!(ben.texts_when(&his, 1).await, ["to the new one"]);
    let delivered =
        |screen: &str| screen.lines().any(|line| line.contains("to the new one") && line.contains("✓✓"));
    sealpost_testkit::eventually("it was delivered", async || {
        delivered(&tmux.screen("ada").await).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_local_and_every_width_shows_the_messages() {
    let world = World::start().await;
    let tmux = Tmux::start(world.dir()).await;
    meet(&world, &tmux).await;
    let text = "日本 e\u{301}";
    tmux.enter("ada", text).await;
    tmux.shows("ben", text).await;
    // The same account nine hours east and five hours west of Greenwich.
    let mut hours = Vec::new();
    for (name, zone) in [("east", "EAST-9"), ("west", "WEST5")] {
        let command = format!("env TZ={zone} {}", command(&world, "ada", Some("ben")));
        tmux.open(name, (90, 24), &command).await;
        tmux.shows(name, "✓✓ read").await;
        let screen = tmux.screen(name).await;
        let line = screen.lines().find(|line| line.contains(text) && line.contains("read")).unwrap();
        let time = line.split_whitespace().find(|word| word.len() == 5 && word.contains(':')).unwrap();
        hours.push(time[..2].parse::<i32>().unwrap());
    }
    assert_eq!((hours[0] - hours[1]).rem_euclid(24), 14, "{hours:?}");
    for width in [200, 60, 59, 20, 9] {
        tmux.resize("ben", (width, 15)).await;
        tmux.shows("ben", text).await;
    }
    tmux.type_in("ben", "日本日本日本日").await;
    tmux.shows("ben", "> 日本日").await;
    tmux.shows("ben", "  本日本").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_wait_for_the_relay_and_the_terminal_is_restored() {
    let mut world = World::start().await;
    let tmux = Tmux::start(world.dir()).await;
    meet(&world, &tmux).await;
    world.stop_relay().await;
    tmux.shows("ada", &format!("no relay at {}", world.url())).await;
    tmux.enter("ada", "later").await;
    tmux.shows("ada", "…").await;
    // It also waits as long as the other person is blocked, to whom nothing else can be sent meanwhile.
    tmux.enter("ada", "/block").await;
    tmux.shows("ada", "blocked: /unblock").await;
    tmux.enter("ada", "hello?").await;
    tmux.shows("ada", "you have blocked this person").await;
    tmux.shows("ada", "> hello?").await;
    tmux.key("ada", "C-u").await;
    world.start_relay().await;
    tmux.shows("ada", "waits: they are blocked").await;
    tmux.enter("ada", "/unblock").await;
    tmux.shows("ben", "later  ").await;

    // A person ends it; the terminal is as it was before.
    let ended = "ended 0, icanon echo";
    assert!(tmux.is_in_use("ada").await);
    tmux.key("ada", "C-c").await;
    tmux.shows("ada", ended).await;
    assert!(!tmux.is_in_use("ada").await);
    assert!(!tmux.screen("ada").await.contains("panicked"));

    // A terminal that is closed ends it, too.
    let pid = tmux.pid_of_program("ben");
    tmux.close("ben").await;
    tmux.ends(pid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_relay_it_says_where_it_looked_and_how_to_start_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(PROGRAM);
    // Nothing listens on this port.
    command.args(["--name", "ada", "--relay", "http://127.0.0.1:1", "--state"]).arg(folder.path());
    let output = within("the end", command.stdin(Stdio::null()).output()).await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("no relay answers at http://127.0.0.1:1") && said.contains("./dev relay"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_ends_the_line_mode_quietly() {
    let world = World::start().await;
    let ben = world.party("ben").await;
    let mut command = Command::new(PROGRAM);
    command.args([
        "--name",
        "ada",
        "--with",
        &ben.client.user_id().to_string(),
        "--relay",
        &world.url(),
        "--state",
    ]);
    command.arg(world.dir().join("accounts")).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut chat = command.spawn().unwrap();
    let mut output = BufReader::new(chat.stdout.take().unwrap()).lines();
    let mut input = chat.stdin.take().unwrap();

    // A pipe has the line mode, which does not send what looks like a command either.
    input.write_all(b"hello\n/hepl\n").await.unwrap();
    let thread = ben.client.direct_thread(user_of(&world, "ada").await).await.unwrap();
    assert_eq!(ben.texts_when(&thread, 1).await, ["hello"]);
    prints(&mut output, "/hepl is not a command").await;
    // Ben has received it, so nothing is left to send.
    prints(&mut output, "has received: hello").await;
    input.write_all(b"/retry\n/discard\n/accept\n").await.unwrap();
    prints(&mut output, "there is nothing to send again").await;
    prints(&mut output, "there is nothing to discard").await;
    prints(&mut output, "accepted").await;

    // What the other side does with messages is printed, too, each once.
    let hello = sealpost_testkit::history(&thread).await[0].id;
    thread.react(hello, "👍").await.unwrap();
    prints(&mut output, "reactions to hello: 👍 1").await;
    thread.remove_reaction(hello).await.unwrap();
    prints(&mut output, "reactions to hello: none any more").await;
    let reply = thread.reply(hello, "an eror").await.unwrap().id;
    prints(&mut output, "[to: hello] an eror").await;
    thread.edit(reply, "an error").await.unwrap();
    prints(&mut output, "has edited").await;
    thread.delete_for_everyone(reply).await.unwrap();
    prints(&mut output, "has deleted").await;
    let call = thread.call(b"offer", false).await.unwrap();
    prints(&mut output, "the line mode cannot take calls").await;
    thread.hang_up(call).await.unwrap();

    drop(output);
    input.write_all(b"/help\n").await.unwrap();
    let output = within("the end", chat.wait_with_output()).await.unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert!(output.status.success());
}

/// Waits until a line contains this.
async fn prints(output: &mut Lines<BufReader<ChildStdout>>, wanted: &str) {
    loop {
        let line = within(wanted, output.next_line()).await.unwrap().unwrap();
        if line.contains(wanted) {
            return;
        }
    }
}

/// The user id that the program of somebody has written next to the database.
async fn user_of(world: &World, name: &str) -> sealpost_core::UserId {
    let file = world.dir().join(format!("accounts/{name}.id"));
    sealpost_testkit::eventually("a registration", async || {
        std::fs::read_to_string(&file).ok()?.trim().parse().ok()
    })
    .await
}
