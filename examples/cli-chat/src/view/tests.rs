//! What is drawn, read from a terminal in memory.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use sealpost_core::{CallEnd, CallId, ConnectionState, FailReason, Folder, TrustState, WaitReason};

use super::draw;
use crate::input::Input;
use crate::news::{Call, CallStage, Chat, Marks, News, Peer, Row, Tick};
use crate::state::State;
use crate::state::tests::{Step, any_steps, chat, open, ours, state, theirs, thread, type_in};
use crate::text::Shown;

/// The lines of the screen, without the space at their ends, and the place of the cursor.
fn drawn(state: &State, (width, height): (u16, u16)) -> (Vec<String>, (u16, u16)) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, state)).unwrap();
    let buffer = terminal.backend().buffer();
    let lines = (0..height).map(|y| {
        let mut line = String::new();
        let mut x = 0;
        while x < width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            // The second column of a wide character is empty.
            x += u16::try_from(crate::wrap::columns(symbol)).unwrap().max(1);
        }
        line.trim_end().to_owned()
    });
    let lines = lines.collect();
    let cursor = terminal.get_cursor_position().unwrap();
    (lines, (cursor.x, cursor.y))
}

fn lines(state: &State, size: (u16, u16)) -> Vec<String> {
    drawn(state, size).0
}

fn a_talk(size: (u16, u16)) -> State {
    let mut state = state(size);
    let failed = Tick::Failed(FailReason::IdentityChanged);
    let messages = vec![
        theirs(1, "hello", true),
        ours(2, "hi", Tick::Read),
        ours(3, "there", Tick::Delivered),
        ours(4, "sent", Tick::Sent),
        ours(5, "waits", Tick::Queued),
        ours(6, "failed", failed),
        theirs(7, "new", false),
    ];
    open(&mut state, 1, "ben", messages);
    state
}

#[test]
fn a_wide_terminal_shows_the_list_and_the_conversation() {
    let size = (80, 20);
    let mut state = a_talk(size);
    type_in(&mut state, "writing");
    let (lines, cursor) = drawn(&state, size);
    let expected = "\
Chats                     │ben
▌ben                16:00 │
▌the newest message       │
 cleo               16:00 │
 the newest message     3 │
                          │─────────────────────── Today ───────────────────────
                          │hello  15:01
                          │
                          │                                    hi  15:02 ✓✓ read
                          │                                      there  15:03 ✓✓
                          │                                        sent  15:04 ✓
                          │                                       waits  15:05 …
                          │     failed  15:06 ✗ not sent
                          │     the safety number of a verified contact has
                          │     changed · /verify or /accept it, then /retry, or
                          │     /discard
                          │────────────────────── Unread ───────────────────────
                          │new  15:07
                          │> writing
ada · online · ? help                                                   3 unread";
    assert_eq!(lines.join("\n"), expected);
    assert_eq!(cursor, (36, 18));
}

#[test]
fn a_narrow_terminal_shows_one_of_them() {
    let size = (30, 12);
    let mut state = a_talk(size);
    let shown = lines(&state, size);
    assert_eq!(shown[0], "‹ ben");
    assert!(shown.iter().any(|line| line == "new  15:07"), "{shown:?}");
    assert!(!shown.iter().any(|line| line.contains("cleo")), "{shown:?}");
    state.input(Input::Escape);
    let shown = lines(&state, size);
    assert_eq!(shown[0], "Chats");
    assert_eq!(shown[3], " cleo                    16:00");
    assert_eq!(shown[4], " the newest message          3");
}

#[test]
fn a_message_that_waits_for_somebody_says_why() {
    let size = (40, 12);
    let mut state = state(size);
    let waits = |reason| Row { waits: Some(reason), ..ours(1, "hello", Tick::Queued) };
    open(&mut state, 1, "ben", vec![waits(WaitReason::NotAccepted)]);
    let shown = lines(&state, size);
    assert!(shown[7].ends_with("hello  15:01 …"), "{shown:?}");
    assert_eq!(shown[8].trim(), "waits: they have not accepted this");
    // That there is no connection is in the status.
    open(&mut state, 1, "ben", vec![waits(WaitReason::NotConnected)]);
    assert!(lines(&state, size)[9].ends_with("hello  15:01 …"), "{:?}", lines(&state, size));
}

#[test]
fn every_script_is_placed_by_its_width() {
    let size = (40, 12);
    let mut state = state(size);
    let messages = vec![
        ours(1, "日本語", Tick::Sent),
        ours(2, "👨‍👩‍👧 e\u{301}", Tick::Sent),
        theirs(3, "שלום עולם", true),
        theirs(4, "नमस्ते", true),
    ];
    open(&mut state, 1, "ben", messages);
    type_in(&mut state, "日本");
    let (shown, cursor) = drawn(&state, size);
    for line in ["                      日本語  15:01 ✓", "שלום עולם  15:03", "नमस्ते  15:04"]
    {
        assert!(shown.iter().any(|shown| shown.ends_with(line.trim())), "{line}: {shown:?}");
    }
    // Our messages end at the right edge.
    for sent in shown.iter().filter(|line| line.ends_with('✓')) {
        assert_eq!(crate::wrap::columns(sent), 40, "{sent:?}");
    }
    assert_eq!(cursor, (6, 10));
}

#[test]
fn what_others_write_cannot_control_the_terminal() {
    let size = (60, 10);
    let mut state = state(size);
    let name = Shown::line("\u{202e}ben\u{1b}]0;x\u{7}");
    let messages = crate::state::tests::rows(vec![theirs(1, "a\u{1b}[2J\u{202e}b", true)]);
    state.news(News::Opened { thread: thread(1), name, rows: messages, around: None, draft: None });
    let shown = lines(&state, size).join("\n");
    assert!(shown.contains("a␛[2Jb  15:01"), "{shown}");
    assert!(!shown.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')), "{shown:?}");
}

#[test]
fn the_status_says_which_relay_does_not_answer() {
    let size = (100, 10);
    let mut state = state(size);
    assert!(lines(&state, size)[9].starts_with("ada · online · ? help"));
    assert!(lines(&state, size)[9].ends_with("3 unread"));
    state.news(News::Connection(ConnectionState::Offline));
    let status = lines(&state, size)[9].clone();
    assert!(status.contains("no relay at http://127.0.0.1:8470; ./dev relay"), "{status}");
}

#[test]
fn a_safety_number_fits_into_the_narrowest_terminal() {
    let size = (30, 24);
    let mut state = a_talk(size);
    state.news(News::SafetyNumber { thread: thread(1), number: Some("1234567890".repeat(6)) });
    let shown = lines(&state, size).join("\n");
    assert_eq!(shown.matches("12345 67890 12345 67890").count(), 3, "{shown}");
    state.news(News::Compared { thread: thread(1), are_equal: false });
    assert!(lines(&state, size).join(" ").contains("NOT"));
    // In a smaller one, too, and what is typed is seen below the number.
    let small = (20, 12);
    let mut narrow = a_talk(small);
    narrow.news(News::SafetyNumber { thread: thread(1), number: Some("1234567890".repeat(6)) });
    type_in(&mut narrow, "yes");
    let shown = lines(&narrow, small);
    assert_eq!(
        shown[1..5],
        ["│12345 67890 12345 │", "│67890 12345 67890 │", "│12345 67890 12345 │", "│67890 12345 67890 │"]
    );
    assert_eq!(shown[5], "│> yes             │");
    narrow.news(News::Compared { thread: thread(1), are_equal: false });
    assert!(lines(&narrow, small)[5].contains("These digits are"), "{:?}", lines(&narrow, small));
    state.news(News::Compared { thread: thread(1), are_equal: true });
    state.input(Input::Enter);
    state.news(News::Trust { thread: thread(1), trust: TrustState::Verified });
    assert_eq!(lines(&state, size)[0], "‹ ben ✓ verified");
}

#[test]
fn a_list_shows_the_marks_of_chats_and_a_title_the_other_person() {
    let size = (80, 10);
    let mut state = a_talk(size);
    let marks = Marks { is_verified: true, is_muted: true, is_pinned: true, ..Marks::default() };
    let draft = Some(Shown::line("for cleo"));
    let cleo = Chat { marks, draft, ..chat(2, "cleo", 0) };
    let doe = Marks { is_marked_unread: true, is_blocked: true, ..Marks::default() };
    let doe = Chat { marks: doe, ..chat(3, "a name that is too long for the list", 0) };
    let (folder, chats) = (Folder::Chats, vec![cleo, doe]);
    state.news(News::Chats { folder, chats, has_more: false, requests: 1 });
    let shown = lines(&state, size);
    assert!(shown[0].starts_with("Chats · 1 request"), "{shown:?}");
    assert!(shown[1].starts_with(" cleo ✓ ^ -         16:00 │"), "{shown:?}");
    assert!(shown[2].starts_with(" draft: for cleo          │"), "{shown:?}");
    assert!(shown[3].starts_with(" a name that is … x 16:00 │"), "{shown:?}");
    assert!(shown[4].starts_with(" the newest message     * │"), "{shown:?}");

    let marks = Marks { is_mentioned: true, ..Marks::default() };
    let chats = vec![Chat { marks, ..chat(2, "cleo", 3) }];
    state.news(News::Chats { folder, chats, has_more: false, requests: 0 });
    let shown = lines(&state, size);
    assert!(shown[2].starts_with(" the newest message   @ 3 │"), "{shown:?}");

    let seen = Some(crate::state::tests::NOW);
    let nobody = Peer::default();
    let cases = [
        (nobody, "│ben"),
        (Peer { is_request: true, ..nobody }, "│ben · a request: /accept or /block"),
        (Peer { is_blocked: true, is_typing: true, ..nobody }, "│ben · blocked: /unblock"),
        (Peer { is_typing: true, is_present: true, ..nobody }, "│ben · is typing …"),
        (Peer { is_present: true, last_seen_ms: seen, ..nobody }, "│ben · is here"),
        (Peer { last_seen_ms: seen, ..nobody }, "│ben · last seen 16:00"),
        (Peer { shares_presence: true, ..nobody }, "│ben · sees when you are here"),
        (Peer { timer_s: 60, is_typing: true, ..nobody }, "│ben · is typing … · disappear after 60 s"),
    ];
    for (peer, title) in cases {
        state.news(News::Peer { thread: thread(1), peer });
        assert!(lines(&state, size)[0].ends_with(title), "{title}: {:?}", lines(&state, size)[0]);
    }
}

#[test]
fn a_long_note_is_broken_in_a_narrow_terminal() {
    let size = (30, 12);
    let mut state = a_talk(size);
    type_in(&mut state, "/hepl");
    state.input(Input::Enter);
    let shown = lines(&state, size);
    assert_eq!(shown[8], "> /hepl");
    assert_eq!(shown[9], "/hepl is not a");
    assert_eq!(shown[10], "command: /help shows");
    assert_eq!(shown[11], "all, // sends a text  3 unread");
    // The newest message is still above the text that is being written.
    assert_eq!(shown[7], "new  15:07");
}

#[test]
fn a_call_that_rings_is_shown_whatever_has_ended() {
    let size = (80, 10);
    let mut state = a_talk(size);
    let mut happens = |number: u8, with: &str, stage| {
        let (id, with) = (CallId([number; 16]), Shown::line(with));
        state.news(News::Call(Call { id, thread: thread(1), with, stage }));
    };
    happens(1, "cleo", CallStage::Answered);
    happens(2, "ben", CallStage::Ringing { is_video: false });
    for number in [3, 4] {
        happens(number, "ben", CallStage::Ended(CallEnd::Unanswered));
    }
    let shown = lines(&state, size);
    assert!(shown[7].starts_with("in a call with cleo"), "{shown:?}");
    assert!(shown[8].starts_with("ben "), "{shown:?}");
    assert!(shown[8].ends_with(": /answer or /decline"), "{shown:?}");
}

#[test]
fn before_a_chat_is_open_the_user_id_is_shown() {
    let size = (80, 20);
    let shown = lines(&state(size), size).join("\n");
    assert!(
        shown.contains("Choose a chat") && shown.contains("07070707-0707-0707-0707-070707070707"),
        "{shown}"
    );
}

#[test]
fn the_help_can_be_read_in_a_small_terminal() {
    let size = (30, 8);
    let mut state = a_talk(size);
    state.input(Input::Help);
    let mut seen = lines(&state, size).join("\n");
    for _ in 0..400 {
        state.input(Input::Down);
        let shown = lines(&state, size);
        if let Some(last) = shown.get(6).filter(|last| !seen.ends_with(last.as_str())) {
            seen.push_str(&format!("\n{last}"));
        }
    }
    assert!(seen.contains("/verify") && seen.contains("✗ not sent"), "{seen}");
}

#[test]
fn pasted_lines_are_shown_as_lines() {
    let size = (80, 20);
    let mut state = a_talk(size);
    state.input(Input::Insert("first\r\nsecond".to_owned()));
    let (shown, cursor) = drawn(&state, size);
    assert!(shown[17].ends_with("> first"), "{shown:?}");
    assert!(shown[18].ends_with("  second"), "{shown:?}");
    assert_eq!(cursor, (35, 18));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Every state can be drawn at every size, also before the state has learned of the size.
    #[test]
    fn every_state_can_be_drawn(steps in any_steps(), width in 1_u16..120, height in 1_u16..40) {
        let mut state = state((width, height));
        for step in steps {
            match step {
                Step::Input(input) => drop(state.input(input)),
                Step::News(news) => drop(state.news(news)),
            }
            lines(&state, (width, height));
        }
    }
}
