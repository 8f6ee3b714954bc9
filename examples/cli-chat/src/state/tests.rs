//! What the person does and what happens, as data, and what the state then shows and asks for.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use proptest::prelude::*;
use sealpost_core::{FailReason, Folder, MessageId, PrivacySetting, ThreadId};

use super::*;
use crate::marked::Marked;
use crate::news::{
    Asked, Author, Body, Call, CallStage, Change, Chat, Found, Marks, News, Overview, Peer, Row, Rows,
    Setting, Tick, Who,
};

/// Monday, 24 November 2025, 16:00 UTC.
pub(crate) const NOW: u64 = 1_764_000_000_000;
const MINUTE: u64 = 60_000;

pub(crate) fn thread(number: u8) -> ThreadId {
    ThreadId::from_bytes([number; 16])
}

pub(crate) fn theirs(id: i64, text: &str, read: bool) -> Row {
    row(id, Author::Them { read }, text)
}

pub(crate) fn ours(id: i64, text: &str, tick: Tick) -> Row {
    row(id, Author::Us(tick), text)
}

fn row(id: i64, author: Author, text: &str) -> Row {
    let sent_ms = NOW - MINUTE * 60 + id.unsigned_abs() * MINUTE;
    let body = Body::Text(Shown::lines(text));
    Row {
        id: MessageId(id),
        sent_ms,
        author,
        body,
        found: Vec::new(),
        is_pinned: false,
        waits: None,
        quoted: None,
    }
}

pub(crate) fn rows(rows: Vec<Row>) -> Rows {
    Rows { rows, has_older: false, has_newer: false }
}

pub(crate) fn chat(number: u8, name: &str, unread: u64) -> Chat {
    let newest = Some((Shown::line("the newest message"), None));
    let (name, marks) = (Shown::line(name), Marks::default());
    Chat { thread: thread(number), name, unread, activity_ms: NOW, newest, draft: None, marks }
}

fn list(chats: Vec<Chat>) -> News {
    News::Chats { folder: Folder::Chats, chats, has_more: false, requests: 0 }
}

pub(crate) fn state(size: (u16, u16)) -> State {
    let mut state =
        State::new("ada", UserId::from_bytes([7; 16]), "http://127.0.0.1:8470", Clock::at(NOW, 0), size);
    state.news(News::Connection(ConnectionState::Live));
    let chats = vec![chat(1, "ben", 0), chat(2, "cleo", 3)];
    state.news(list(chats));
    state
}

pub(crate) fn open(state: &mut State, number: u8, name: &str, messages: Vec<Row>) -> Vec<Request> {
    let rows = rows(messages);
    state.pane = Pane::Conversation;
    state.news(News::Opened {
        thread: thread(number),
        name: Shown::line(name),
        rows,
        around: None,
        draft: None,
    })
}

pub(crate) fn type_in(state: &mut State, text: &str) {
    for character in text.chars() {
        state.input(Input::Insert(character.to_string()));
    }
}

pub(super) fn enter(state: &mut State, text: &str) -> Vec<Request> {
    type_in(state, text);
    state.input(Input::Enter)
}

pub(super) fn with_ben(messages: Vec<Row>) -> State {
    let mut state = state((80, 24));
    open(&mut state, 1, "ben", messages);
    state
}

pub(super) fn many(count: i64) -> Vec<Row> {
    (1..=count).map(|id| theirs(id, &format!("message {id}"), true)).collect()
}

/// The texts on the screen.
fn texts(state: &State) -> Vec<String> {
    let open = state.conversation().unwrap();
    let lines = open.visible(usize::from(state.layout().messages.height));
    lines.iter().map(|line| line.text.clone()).collect()
}

fn last(state: &State) -> String {
    texts(state).pop().unwrap()
}

#[test]
fn a_text_is_sent_to_the_open_chat() {
    let mut state = with_ben(vec![]);
    let sent = Request::Send { thread: thread(1), text: "hello".to_owned() };
    assert_eq!(enter(&mut state, "hello"), [sent]);
    assert!(state.editor().is_empty());
    assert_eq!(enter(&mut state, "   "), []);
}

#[test]
fn an_unknown_command_is_kept_and_not_sent() {
    let mut state = with_ben(vec![]);
    assert_eq!(enter(&mut state, "/call cleo"), []);
    assert_eq!(state.editor().text(), "/call cleo");
    assert_eq!(state.status().text, "/call takes nothing after it");
    state.input(Input::DeleteToStart);
    assert_eq!(enter(&mut state, "/serach x"), []);
    assert_eq!(state.editor().text(), "/serach x");
    assert!(state.status().text.starts_with("/serach is not a command"));
    state.input(Input::DeleteToStart);
    let sent = Request::Send { thread: thread(1), text: "/etc".to_owned() };
    assert_eq!(enter(&mut state, "//etc"), [sent]);
}

#[test]
fn nothing_is_sent_without_an_open_chat() {
    let mut state = state((80, 24));
    assert_eq!(enter(&mut state, "hello"), []);
    assert_eq!(state.editor().text(), "hello");
    assert_eq!(state.status().kind, StatusKind::Note);
}

#[test]
fn each_chat_keeps_what_is_being_written_in_it() {
    let mut state = with_ben(vec![]);
    type_in(&mut state, "for ben");
    open(&mut state, 2, "cleo", vec![]);
    assert_eq!(state.editor().text(), "");
    type_in(&mut state, "for cleo");
    open(&mut state, 1, "ben", vec![]);
    assert_eq!(state.editor().text(), "for ben");
}

fn opened(number: u8, name: &str, draft: Option<&str>) -> News {
    let (name, rows, draft) = (Shown::line(name), rows(vec![]), draft.map(str::to_owned));
    News::Opened { thread: thread(number), name, rows, around: None, draft }
}

#[test]
fn what_is_typed_is_for_the_chosen_chat_before_it_has_opened() {
    let mut state = with_ben(vec![]);
    type_in(&mut state, "for ben");
    let kept = |number, text: &str| Request::Draft { thread: thread(number), text: text.to_owned() };
    let left = [
        kept(1, "for ben"),
        Request::Typing { thread: thread(1), is_typing: false },
        Request::Open { thread: thread(2), around: None },
    ];
    state.chats.choose(thread(1), 9);
    assert_eq!(state.input(Input::NextChat), left);
    // Neither a text nor a command goes to the one on the screen, and nobody is told.
    assert_eq!(state.input(Input::Insert("hi".to_owned())), []);
    assert_eq!(state.input(Input::Enter), []);
    assert_eq!(state.editor().text(), "hi");
    assert_eq!(state.status().text, "the chat is being opened");
    state.input(Input::DeleteToStart);
    for typed in ["/call", "/clear", "/delete", "/block"] {
        refuses(&mut state, typed);
    }
    type_in(&mut state, "for cleo");
    assert_eq!(state.tick(NOW), [kept(2, "for cleo")]);
    // What was not sent to Ben does not get into the text for Cleo.
    let why = "too long".to_owned();
    state.news(News::NotQueued { thread: thread(1), text: "back".to_owned(), why });
    assert_eq!(state.editor().text(), "for cleo");
    state.news(opened(2, "cleo", Some("older")));
    assert_eq!(state.editor().text(), "for cleo");
    let sent = Request::Send { thread: thread(2), text: "for cleo".to_owned() };
    assert_eq!(state.input(Input::Enter), [sent]);
    open(&mut state, 1, "ben", vec![]);
    assert_eq!(state.editor().text(), "for ben");
}

#[test]
fn the_last_chat_that_was_chosen_is_meant() {
    let mut state = with_ben(vec![]);
    state.chats.choose(thread(1), 9);
    state.input(Input::NextChat);
    assert_eq!(state.input(Input::PreviousChat), [Request::Open { thread: thread(1), around: None }]);
    type_in(&mut state, "for ben");
    state.news(opened(2, "cleo", Some("a draft for cleo")));
    assert_eq!(state.editor().text(), "for ben");
    assert_eq!(state.input(Input::Enter), []);
    state.news(opened(1, "ben", None));
    let sent = Request::Send { thread: thread(1), text: "for ben".to_owned() };
    assert_eq!(state.input(Input::Enter), [sent]);
    state.news(opened(2, "cleo", Some("a draft for cleo")));
    assert_eq!(state.editor().text(), "a draft for cleo");
}

#[test]
fn a_chat_that_cannot_be_opened_leaves_the_one_before() {
    let mut state = with_ben(vec![]);
    type_in(&mut state, "for ben");
    state.chats.choose(thread(1), 9);
    state.input(Input::NextChat);
    type_in(&mut state, "for cleo");
    let failed = News::NotOpened { thread: thread(2), why: "the disk is full".to_owned() };
    state.news(failed.clone());
    assert_eq!(state.status().text, "the chat was not opened: the disk is full");
    assert_eq!(state.editor().text(), "for ben");
    let sent = Request::Send { thread: thread(1), text: "for ben".to_owned() };
    assert_eq!(state.input(Input::Enter), [sent]);
    // The text is there when it does open.
    state.news(opened(2, "cleo", None));
    assert_eq!(state.editor().text(), "for cleo");
    // In a list without an open chat, another one can be chosen.
    let mut state = self::state((80, 24));
    let asked = [Request::Open { thread: thread(1), around: None }];
    state.chats.choose(thread(1), 9);
    assert_eq!(state.input(Input::Enter), asked);
    refuses(&mut state, "/call");
    state.news(News::NotOpened { thread: thread(1), why: String::new() });
    refuses(&mut state, "/call");
}

#[test]
fn a_sheet_that_comes_late_does_not_cover_what_is_typed_into() {
    let mut state = with_ben(vec![]);
    let sheet = News::Sheet { title: "Storage", lines: vec![] };
    let number = News::SafetyNumber { thread: thread(1), number: None };
    state.input(Input::Find);
    type_in(&mut state, "old ");
    for late in [sheet.clone(), number.clone()] {
        state.news(late);
        assert!(matches!(state.overlay(), Some(Overlay::Search(_))));
    }
    state.input(Input::Escape);
    state.news(number);
    state.news(sheet.clone());
    assert!(matches!(state.overlay(), Some(Overlay::Safety(_))));
    state.input(Input::Escape);
    state.news(sheet);
    assert!(matches!(state.overlay(), Some(Overlay::Sheet(_))));
}

#[test]
fn a_search_leads_to_the_found_word_of_a_long_message() {
    let text: Vec<_> = (1..=60).map(|line| format!("line {line}")).collect();
    let text = text.join("\n");
    for (word, is_at_end) in [("line 2\n", false), ("line 60", true)] {
        let mut state = with_ben(vec![]);
        let at = text.find(word).unwrap();
        let mut found = theirs(1, &text, true);
        found.found.push(at..at + 6);
        let (name, around) = (Shown::line("cleo"), Some(MessageId(1)));
        let rows = rows(vec![found]);
        state.news(News::Opened { thread: thread(2), name, rows, around, draft: None });
        let marked = |line: &&str| line.contains(word.trim());
        assert!(texts(&state).iter().map(String::as_str).any(|line| marked(&line)), "{:?}", texts(&state));
        assert_eq!(state.conversation().unwrap().is_at_end(), is_at_end);
    }
}

#[test]
fn a_user_who_appears_does_not_take_over_what_is_being_written() {
    let mut state = with_ben(vec![]);
    let met = News::Met { thread: thread(2), name: Shown::line("cleo") };
    type_in(&mut state, "for ben");
    assert_eq!(state.news(met.clone()), []);
    assert!(state.status().text.contains("/chat cleo"));
    state.input(Input::DeleteToStart);
    assert_eq!(state.news(met), [Request::Open { thread: thread(2), around: None }]);
    // Somebody begins to write before the chat has opened.
    type_in(&mut state, "for ben");
    let (name, rows) = (Shown::line("cleo"), rows(vec![]));
    let back = state.news(News::Opened { thread: thread(2), name, rows, around: None, draft: None });
    assert_eq!(back, [Request::Open { thread: thread(1), around: None }]);
    open(&mut state, 1, "ben", vec![]);
    assert_eq!(state.editor().text(), "for ben");
}

#[test]
fn a_text_that_was_not_queued_comes_back() {
    let mut state = with_ben(vec![]);
    enter(&mut state, "long");
    let refused = News::NotQueued { thread: thread(1), text: "long".to_owned(), why: "too long".to_owned() };
    state.news(refused.clone());
    assert_eq!(state.editor().text(), "long");
    // What has been written since is not touched; the text is in the history.
    enter(&mut state, "");
    type_in(&mut state, "next");
    state.news(refused);
    assert_eq!(state.editor().text(), "next");
    assert!(state.status().text.ends_with("Up brings it back"));
    state.input(Input::Up);
    assert_eq!(state.editor().text(), "long");
}

#[test]
fn what_is_on_the_screen_is_marked_as_read_once() {
    let mut state = state((80, 24));
    let messages = vec![theirs(1, "one", true), theirs(2, "two", false), theirs(3, "three", false)];
    let read = Request::MarkRead { thread: thread(1), up_to: MessageId(3) };
    assert_eq!(open(&mut state, 1, "ben", messages), [read]);
    assert!(texts(&state).contains(&"Unread".to_owned()));
    assert_eq!(state.input(Input::Left), []);
}

#[test]
fn messages_below_the_screen_or_behind_a_window_are_not_read() {
    let mut state = with_ben(many(100));
    state.input(Input::Help);
    let mut messages = many(100);
    messages.push(theirs(101, "new", false));
    assert_eq!(state.news(News::Rows { thread: thread(1), rows: rows(messages.clone()) }), []);
    let read = Request::MarkRead { thread: thread(1), up_to: MessageId(101) };
    assert_eq!(state.input(Input::Escape), [read]);

    state.input(Input::PageUp);
    messages.push(theirs(102, "newer", false));
    assert_eq!(state.news(News::Rows { thread: thread(1), rows: rows(messages) }), []);
    let open = state.conversation().unwrap();
    assert_eq!(open.unread_below(usize::from(state.layout().messages.height)), 2);
    let read = Request::MarkRead { thread: thread(1), up_to: MessageId(102) };
    assert_eq!(state.input(Input::Newest), [read]);
}

#[test]
fn a_chat_opens_at_its_first_unread_message() {
    let mut state = state((80, 24));
    let messages = (1..=100).map(|id| theirs(id, &format!("message {id}"), id < 50)).collect();
    open(&mut state, 1, "ben", messages);
    let shown = texts(&state);
    assert_eq!(shown.first().unwrap(), "Unread");
    assert_eq!(shown.get(1).unwrap(), "message 50");
}

#[test]
fn the_screen_stands_still_while_older_messages_are_read() {
    let mut state = with_ben(many(100));
    assert_eq!(last(&state), "message 100");
    state.input(Input::PageUp);
    let before = texts(&state);
    let mut messages = many(100);
    messages.insert(0, theirs(0, "older", true));
    messages.push(theirs(101, "newer", false));
    state.news(News::Rows { thread: thread(1), rows: rows(messages) });
    assert_eq!(texts(&state), before);
    state.input(Input::Escape);
    assert_eq!(last(&state), "newer");
}

#[test]
fn scrolling_loads_each_page_once() {
    let mut state = state((80, 24));
    let rows = Rows { rows: many(50), has_older: true, has_newer: false };
    state.news(News::Opened { thread: thread(1), name: Shown::line("ben"), rows, around: None, draft: None });
    assert_eq!(state.input(Input::Oldest), [Request::Older]);
    assert_eq!(state.input(Input::Oldest), []);
    let rows = Rows { rows: many(50), has_older: true, has_newer: false };
    state.news(News::Rows { thread: thread(1), rows });
    assert_eq!(state.input(Input::WheelUp(50, 5)), [Request::Older]);
}

#[test]
fn a_search_result_leads_to_its_message() {
    let mut state = with_ben(vec![]);
    let requests = enter(&mut state, "/search lost words");
    assert_eq!(requests, [Request::Search { words: "lost words".to_owned(), thread: None }]);
    let result = Found {
        thread: thread(2),
        message: MessageId(20),
        chat: Shown::line("cleo"),
        is_ours: false,
        sent_ms: NOW,
        text: Marked::line(&"the lost words".to_owned().into()),
    };
    let late =
        News::Found { words: "other".to_owned(), thread: None, found: vec![result.clone(), result.clone()] };
    state.news(late);
    state.news(News::Found { words: "lost words".to_owned(), thread: None, found: vec![result] });
    let opened = Request::OpenFound { thread: thread(2), message: MessageId(20) };
    assert_eq!(state.input(Input::Enter), [opened]);

    let rows = Rows { rows: many(40), has_older: true, has_newer: true };
    let (name, around) = (Shown::line("cleo"), Some(MessageId(20)));
    state.news(News::Opened { thread: thread(2), name, rows, around, draft: None });
    let open = state.conversation().unwrap();
    let lines = open.visible(usize::from(state.layout().messages.height));
    let found: Vec<_> = lines.iter().filter(|line| open.is_selected(line)).collect();
    assert_eq!(found.len(), 1);
    // The newest messages are not loaded.
    assert_eq!(state.input(Input::Escape), [Request::Open { thread: thread(2), around: None }]);
}

#[test]
fn one_chat_can_be_searched() {
    let mut state = with_ben(vec![]);
    let here = Some(thread(1));
    let wanted = Request::Search { words: "word".to_owned(), thread: here };
    assert_eq!(enter(&mut state, "/find word"), std::slice::from_ref(&wanted));
    let result = || Found {
        thread: thread(1),
        message: MessageId(1),
        chat: Shown::line("ben"),
        is_ours: false,
        sent_ms: NOW,
        text: Marked::line(&"a word".to_owned().into()),
    };
    // What the same words have found elsewhere comes too late.
    state.news(News::Found { words: "word".to_owned(), thread: None, found: vec![result(), result()] });
    state.news(News::Found { words: "word".to_owned(), thread: here, found: vec![result()] });
    let Some(Overlay::Search(search)) = state.overlay() else { panic!("it is not shown") };
    assert_eq!(search.found().len(), 1);
    assert_eq!(state.tick(NOW), [wanted]);
    state.input(Input::Escape);
    let mut state = self::state((80, 24));
    refuses(&mut state, "/find word");
}

#[test]
fn the_note_to_self_is_opened_by_a_command() {
    let mut state = with_ben(vec![]);
    assert_eq!(enter(&mut state, "/note"), [Request::Note]);
    let opened = state.news(News::Met { thread: thread(9), name: Shown::line("Note to self") });
    assert_eq!(opened, [Request::Open { thread: thread(9), around: None }]);
}

#[test]
fn an_open_search_is_repeated_and_the_choice_stays() {
    let mut state = with_ben(vec![]);
    assert_eq!(state.tick(NOW), []);
    enter(&mut state, "/search word");
    assert_eq!(state.tick(NOW), [Request::Search { words: "word".to_owned(), thread: None }]);
    let found = |ids: &[i64]| {
        let result = |id: &i64| Found {
            thread: thread(1),
            message: MessageId(*id),
            chat: Shown::line("ben"),
            is_ours: false,
            sent_ms: NOW,
            text: Marked::line(&"a word".to_owned().into()),
        };
        News::Found { words: "word".to_owned(), thread: None, found: ids.iter().map(result).collect() }
    };
    state.news(found(&[2, 1]));
    state.input(Input::Down);
    state.news(found(&[3, 2, 1]));
    let opened = Request::OpenFound { thread: thread(1), message: MessageId(1) };
    assert_eq!(state.input(Input::Enter), [opened]);
    assert_eq!(state.tick(NOW), []);
}

#[test]
fn a_safety_number_is_compared_with_digits_or_a_yes() {
    let mut state = with_ben(many(1));
    assert_eq!(enter(&mut state, "/verify"), [Request::SafetyNumber(thread(1))]);
    let number = "1234567890".repeat(6);
    state.news(News::SafetyNumber { thread: thread(1), number: Some(number.clone()) });
    let Some(Overlay::Safety(safety)) = state.overlay() else { panic!("it is not shown") };
    assert_eq!(safety.groups.as_ref().unwrap().len(), 12);
    assert_eq!(safety.groups.as_ref().unwrap()[0], "12345");
    let answer = enter(&mut state, "54321");
    assert_eq!(answer, [Request::Verify { thread: thread(1), digits: "54321".to_owned() }]);
    state.news(News::Compared { thread: thread(1), are_equal: false });
    let answer = enter(&mut state, "yes");
    let [Request::Verify { digits, .. }] = answer.as_slice() else { panic!("{answer:?}") };
    assert_eq!(digits.replace(' ', ""), number);
}

#[test]
fn what_failed_is_sent_again_or_discarded() {
    let failed = Tick::Failed(FailReason::IdentityChanged);
    let messages = vec![ours(1, "one", failed), ours(2, "two", Tick::Sent), ours(3, "three", failed)];
    let mut state = with_ben(messages);
    let both = vec![MessageId(1), MessageId(3)];
    assert_eq!(enter(&mut state, "/retry"), [Request::Retry { thread: thread(1), messages: both }]);
    let newest = Request::Discard { thread: thread(1), message: MessageId(3) };
    assert_eq!(enter(&mut state, "/discard"), [newest]);
    state.news(News::MayHaveLeft(MessageId(3)));
    let given_up = Request::GiveUp { thread: thread(1), message: MessageId(3) };
    assert_eq!(enter(&mut state, "/discard"), [given_up]);
}

#[test]
fn a_change_is_about_the_newest_message_that_it_can_be_about() {
    let mut state =
        with_ben(vec![ours(1, "one", Tick::Read), theirs(2, "two", true), theirs(3, "three", true)]);
    let (mine, his) = (MessageId(1), MessageId(3));
    let cases = [
        ("/reply hello", Change::Reply { message: his, text: "hello".to_owned() }),
        ("/react 👍", Change::React { message: his, emoji: "👍".to_owned() }),
        ("/react", Change::React { message: his, emoji: String::new() }),
        ("/edit uno", Change::Edit { message: mine, text: "uno".to_owned() }),
        ("/delete", Change::Delete(mine)),
        ("/timer 60", Change::Timer { seconds: 60 }),
    ];
    for (typed, change) in cases {
        assert_eq!(enter(&mut state, typed), [Request::Change(thread(1), change)], "{typed}");
    }
    for typed in
        ["/reply", "/edit", "/timer", "/timer soon", "/timer -1", "/forward", "/poll tea", "/vote 1", "/undo"]
    {
        refuses(&mut state, typed);
    }
    let mut state = with_ben(Vec::new());
    for typed in ["/reply hello", "/react 👍", "/edit uno", "/delete", "/pin", "/details", "/jump"] {
        refuses(&mut state, typed);
    }
}

#[test]
fn a_deletion_is_taken_back_in_its_chat() {
    let message = |state: &mut State, typed: &str| match enter(state, typed).as_slice() {
        [Request::Change(of, Change::Hide(id) | Change::Restore(id))] => (*of, id.0),
        other => panic!("{other:?}"),
    };
    let mut state = with_ben(many(3));
    assert_eq!(message(&mut state, "/hide"), (thread(1), 3));
    state.news(News::Rows { thread: thread(1), rows: rows(many(2)) });
    assert_eq!(message(&mut state, "/hide"), (thread(1), 2));
    // Nothing can be taken back in another chat, and nothing is lost by trying.
    open(&mut state, 2, "cleo", many(1));
    refuses(&mut state, "/undo");
    assert_eq!(message(&mut state, "/hide"), (thread(2), 1));
    open(&mut state, 1, "ben", many(1));
    assert_eq!(message(&mut state, "/undo"), (thread(1), 2));
    // If that fails, it can be tried again.
    state.news(News::NotRestored { thread: thread(1), message: MessageId(2) });
    assert_eq!(message(&mut state, "/undo"), (thread(1), 2));
    assert_eq!(message(&mut state, "/undo"), (thread(1), 3));
    refuses(&mut state, "/undo");
    open(&mut state, 2, "cleo", vec![]);
    assert_eq!(message(&mut state, "/undo"), (thread(2), 1));
}

/// A command that cannot be carried out stays, and says why.
pub(super) fn refuses(state: &mut State, typed: &str) {
    assert_eq!(enter(state, typed), [], "{typed}");
    assert_eq!(state.editor().text(), typed);
    assert_eq!(state.status().kind, StatusKind::Note, "{typed}");
    state.input(Input::DeleteToStart);
}

fn selected(state: &State) -> Option<i64> {
    state.conversation().unwrap().selected().map(|row| row.id.0)
}

#[test]
fn commands_act_on_the_selected_message() {
    let poll = Row { body: Body::Poll(Shown::lines("poll: tea?")), ..theirs(2, "", true) };
    let messages =
        vec![ours(1, "one", Tick::Read), poll, theirs(3, "three", true), ours(4, "four", Tick::Read)];
    let mut state = with_ben(messages);
    let id = MessageId;
    let text = |text: &str| text.to_owned();
    let cases = [
        (3, "/reply hello", Change::Reply { message: id(2), text: text("hello") }),
        (4, "/react 👍", Change::React { message: id(1), emoji: text("👍") }),
        (4, "/edit uno", Change::Edit { message: id(1), text: text("uno") }),
        (4, "/delete", Change::Delete(id(1))),
        (2, "/hide", Change::Hide(id(3))),
        (0, "/undo", Change::Restore(id(3))),
        (2, "/pin", Change::Pin { message: id(3), is_pinned: true }),
        (1, "/unpin", Change::Pin { message: id(4), is_pinned: false }),
        (2, "/forward cleo", Change::Forward { message: id(3), to: text("cleo") }),
        (3, "/vote 2 1", Change::Vote { poll: id(2), choices: vec![1, 0] }),
        (0, "/vote", Change::Vote { poll: id(2), choices: vec![] }),
    ];
    for (steps, typed, change) in cases {
        for _ in 0..steps {
            state.input(Input::SelectAbove);
        }
        assert_eq!(enter(&mut state, typed), [Request::Change(thread(1), change)], "{typed}");
        // The next command is about the newest message again.
        assert_eq!(selected(&state), None, "{typed}");
    }
    // What is selected is meant, even if it cannot be done.
    state.input(Input::SelectAbove);
    state.input(Input::SelectAbove);
    refuses(&mut state, "/edit theirs");
    refuses(&mut state, "/vote 1");
    assert_eq!(selected(&state), Some(3));
}

#[test]
fn keys_and_mouse_select_a_message() {
    let mut state = with_ben(many(100));
    state.input(Input::SelectAbove);
    assert_eq!(selected(&state), Some(100));
    for _ in 0..60 {
        state.input(Input::SelectAbove);
    }
    assert_eq!(selected(&state), Some(40));
    // It is on the screen.
    assert_eq!(texts(&state).first().unwrap(), "message 40");
    for _ in 0..30 {
        state.input(Input::SelectBelow);
    }
    assert_eq!(last(&state), "message 70");
    // What is being written stays, and Enter sends it.
    type_in(&mut state, "text");
    assert_eq!(enter(&mut state, ""), [Request::Send { thread: thread(1), text: "text".to_owned() }]);
    assert_eq!(selected(&state), None);

    // The lowest line of the conversation is above the line that is being written and the status.
    state.input(Input::Click(50, 21));
    assert_eq!(selected(&state), Some(100));
    let details = Request::Show(thread(1), Asked::Details(MessageId(100)));
    assert_eq!(state.input(Input::Enter), [details]);
    state.input(Input::Click(50, 21));
    assert_eq!(selected(&state), None);
    state.input(Input::Click(50, 20));
    assert_eq!(selected(&state), Some(99));
    state.input(Input::Escape);
    assert_eq!((selected(&state), state.pane()), (None, Pane::Conversation));

    // A click beside the messages of a short conversation selects nothing.
    let mut state = with_ben(many(2));
    state.input(Input::Click(50, 5));
    assert_eq!(selected(&state), None);
    state.input(Input::Click(50, 21));
    assert_eq!(selected(&state), Some(2));
    // A message that is gone cannot be meant any more.
    state.news(News::Rows { thread: thread(1), rows: rows(many(1)) });
    assert_eq!(selected(&state), None);
}

#[test]
fn selecting_loads_pages() {
    let mut state = state((80, 24));
    let rows = Rows { rows: many(3), has_older: true, has_newer: true };
    let (thread, name) = (thread(1), Shown::line("ben"));
    state.news(News::Opened { thread, name, rows: rows.clone(), around: Some(MessageId(2)), draft: None });
    assert_eq!(selected(&state), Some(2));
    assert_eq!(state.input(Input::SelectAbove), [Request::Older]);
    state.news(News::Rows { thread, rows });
    assert_eq!(state.input(Input::SelectBelow), []);
    assert_eq!(state.input(Input::SelectBelow), [Request::Newer]);
}

#[test]
fn a_reply_leads_to_its_message() {
    let reply = Row { quoted: Some(MessageId(2)), ..theirs(100, "yes", true) };
    let mut state = with_ben(many(99).into_iter().chain([reply.clone()]).collect());
    assert_eq!(enter(&mut state, "/jump"), []);
    assert_eq!(selected(&state), Some(2));
    assert!(texts(&state).contains(&"message 2".to_owned()));
    refuses(&mut state, "/jump");
    // It is not loaded.
    let elsewhere = Row { quoted: Some(MessageId(-7)), ..reply };
    let mut state = with_ben(vec![elsewhere]);
    let open = Request::Open { thread: thread(1), around: Some(MessageId(-7)) };
    assert_eq!(enter(&mut state, "/jump"), [open]);
}

#[test]
fn what_is_asked_for_is_shown_on_a_sheet_that_scrolls() {
    let mut state = with_ben(many(1));
    assert_eq!(enter(&mut state, "/pins"), [Request::Show(thread(1), Asked::Pins)]);
    assert_eq!(enter(&mut state, "/profile"), [Request::Show(thread(1), Asked::Profiles)]);
    let profile = Request::Profile { name: "Ada".to_owned(), about: "on a train".to_owned() };
    assert_eq!(enter(&mut state, "/profile Ada | on a train"), [profile]);
    let lines: Vec<_> = (1..=30).map(|line| Shown::line(&format!("line {line}"))).collect();
    state.news(News::Sheet { title: "Details", lines });
    let first = |state: &State| {
        let Some(Overlay::Sheet(sheet)) = state.overlay() else { return String::new() };
        sheet.visible(78, 22).next().unwrap().to_owned()
    };
    assert_eq!(first(&state), "line 1");
    state.input(Input::PageDown);
    assert_eq!(first(&state), "line 9");
    state.input(Input::Up);
    assert_eq!(first(&state), "line 8");
    state.input(Input::Escape);
    assert!(state.overlay().is_none());
}

#[test]
fn commands_decide_about_the_chat_and_the_person() {
    let mut state = with_ben(many(1));
    let here = thread(1);
    let block = |who, is_blocked| Request::Block { who, is_blocked };
    let cleo = || Who::Name("cleo".to_owned());
    let privacy = |thread, what, is_on| Request::Privacy { thread, what, is_on };
    let cases = [
        ("/accept", Request::Accept(here)),
        ("/block", block(Who::Thread(here), true)),
        ("/unblock", block(Who::Thread(here), false)),
        ("/block cleo", block(cleo(), true)),
        ("/unblock cleo", block(cleo(), false)),
        ("/blocked", Request::Overview(Overview::Blocked)),
        ("/mute", Request::Set(here, Setting::Muted { hours: None })),
        ("/mute 8", Request::Set(here, Setting::Muted { hours: Some(8) })),
        ("/unmute", Request::Set(here, Setting::Loud)),
        ("/archive", Request::Set(here, Setting::Archived(true))),
        ("/unarchive", Request::Set(here, Setting::Archived(false))),
        ("/top", Request::Set(here, Setting::OnTop(true))),
        ("/untop", Request::Set(here, Setting::OnTop(false))),
        ("/presence on", privacy(Some(here), PrivacySetting::Presence, true)),
        ("/presence off", privacy(Some(here), PrivacySetting::Presence, false)),
        ("/storage", Request::Overview(Overview::Storage)),
        ("/cleanup 30", Request::CleanUp { thread: None, days: 30 }),
        ("/cleanup 30 here", Request::CleanUp { thread: Some(here), days: 30 }),
        ("/links", Request::Show(here, Asked::Links)),
        ("/report", Request::Show(here, Asked::Report)),
        ("/privacy", Request::Overview(Overview::Privacy(Some(here)))),
        ("/privacy delivered off", privacy(None, PrivacySetting::DeliveryReceipts, false)),
        ("/privacy read on here", privacy(Some(here), PrivacySetting::ReadReceipts, true)),
        ("/privacy typing  off here", privacy(Some(here), PrivacySetting::Typing, false)),
        ("/clear", Request::Set(here, Setting::Deleted)),
        ("/unread", Request::Set(here, Setting::MarkedUnread)),
        ("/requests", Request::Folder(Folder::Requests)),
        ("/archived", Request::Folder(Folder::Archive)),
        ("/chats", Request::Folder(Folder::Chats)),
    ];
    for (typed, request) in cases {
        assert_eq!(enter(&mut state, typed), [request], "{typed}");
    }
    for typed in [
        "/mute long",
        "/presence",
        "/presence maybe",
        "/privacy read",
        "/cleanup",
        "/cleanup old",
        "/cleanup 3 there",
        "/privacy all off",
        "/privacy read off there",
    ] {
        refuses(&mut state, typed);
    }
    // Without an open chat, what is about all chats can be decided.
    let mut state = self::state((80, 24));
    assert_eq!(enter(&mut state, "/privacy"), [Request::Overview(Overview::Privacy(None))]);
    assert_eq!(enter(&mut state, "/privacy read off"), [privacy(None, PrivacySetting::ReadReceipts, false)]);
    assert_eq!(enter(&mut state, "/blocked"), [Request::Overview(Overview::Blocked)]);
    refuses(&mut state, "/privacy read off here");
}

#[test]
fn keys_and_the_mouse_show_the_other_lists() {
    let mut state = state((80, 24));
    let folder = |folder| [Request::Folder(folder)];
    assert_eq!(state.input(Input::Right), folder(Folder::Requests));
    assert_eq!(state.input(Input::Left), folder(Folder::Archive));
    assert_eq!(state.input(Input::Click(3, 0)), folder(Folder::Requests));
    let requests = vec![chat(4, "stranger", 1)];
    state.news(News::Chats { folder: Folder::Requests, chats: requests, has_more: false, requests: 1 });
    assert_eq!(state.chats().title(), "Requests");
    assert_eq!(state.input(Input::Enter), [Request::Open { thread: thread(4), around: None }]);
    state.input(Input::Escape);
    assert_eq!(state.input(Input::Right), folder(Folder::Archive));
    assert_eq!(state.input(Input::Left), folder(Folder::Chats));
    state.news(News::Chats { folder: Folder::Chats, chats: vec![], has_more: false, requests: 2 });
    assert_eq!(state.chats().title(), "Chats · 2 requests");
}

#[test]
fn what_is_being_written_is_kept_and_comes_back() {
    let mut state = with_ben(vec![]);
    assert_eq!(state.tick(NOW), []);
    type_in(&mut state, "half");
    let kept = |number, text: &str| Request::Draft { thread: thread(number), text: text.to_owned() };
    assert_eq!(state.tick(NOW), [kept(1, "half")]);
    assert_eq!(state.tick(NOW), []);
    type_in(&mut state, " a line");
    // The other chat has a draft from before.
    let (name, rows) = (Shown::line("cleo"), rows(vec![]));
    let opened = |number, draft: &str| News::Opened {
        thread: thread(number),
        name: name.clone(),
        rows: rows.clone(),
        around: None,
        draft: Some(draft.to_owned()),
    };
    let stopped = Request::Typing { thread: thread(1), is_typing: false };
    assert_eq!(state.news(opened(2, "for cleo")), [kept(1, "half a line"), stopped]);
    assert_eq!(state.editor().text(), "for cleo");
    assert_eq!(state.keep_draft(), None);
    state.news(opened(1, "half a line"));
    assert_eq!(state.editor().text(), "half a line");
    // What is sent, is no longer a draft; a chat that is opened again does not bring it back.
    state.input(Input::Enter);
    state.news(opened(1, "half a line"));
    assert_eq!(state.editor().text(), "");
    assert_eq!(state.keep_draft(), Some(kept(1, "")));
}

#[test]
fn the_other_person_is_told_of_writing_but_not_of_commands() {
    let mut state = with_ben(vec![]);
    let typing = |is_typing| Request::Typing { thread: thread(1), is_typing };
    let insert = |text: &str| Input::Insert(text.to_owned());
    assert_eq!(state.input(insert("a")), [typing(true)]);
    assert_eq!(state.input(Input::Left), []);
    assert_eq!(state.input(insert("b")), [typing(true)]);
    assert_eq!(state.input(Input::DeleteToStart), [typing(true)]);
    assert_eq!(state.input(Input::Delete), [typing(false)]);
    assert_eq!(state.input(insert("/")), []);
    assert_eq!(state.input(insert("chat")), []);
    state.input(Input::DeleteToStart);
    assert_eq!(state.input(insert("//etc")), [typing(true)]);
    let sent = Request::Send { thread: thread(1), text: "/etc".to_owned() };
    assert_eq!(state.input(Input::Enter), [sent]);
}

#[test]
fn a_second_question_mark_is_a_text() {
    let mut state = with_ben(vec![]);
    state.input(Input::QuestionMark);
    assert!(matches!(state.overlay(), Some(Overlay::Help(_))));
    state.input(Input::QuestionMark);
    assert!(state.overlay().is_none());
    assert_eq!(state.editor().text(), "?");
    state.input(Input::QuestionMark);
    assert_eq!(state.editor().text(), "??");
    // What is typed over the help is written, too.
    state.input(Input::Help);
    state.input(Input::Insert("!".to_owned()));
    assert!(state.overlay().is_none());
    assert_eq!(state.editor().text(), "??!");
}

#[test]
fn the_mouse_opens_a_chat_and_scrolls() {
    let mut state = with_ben(many(100));
    let second = state.layout().list.y + 2;
    assert_eq!(state.input(Input::Click(3, second)), [Request::Open { thread: thread(2), around: None }]);
    let before = last(&state);
    state.input(Input::WheelUp(50, 5));
    assert_ne!(last(&state), before);
    state.input(Input::WheelDown(50, 5));
    assert_eq!(last(&state), before);
}

#[test]
fn keys_choose_a_chat_in_the_list() {
    let mut state = state((30, 12));
    assert_eq!(state.input(Input::Down), []);
    assert_eq!(state.input(Input::Enter), [Request::Open { thread: thread(2), around: None }]);
    open(&mut state, 2, "cleo", vec![]);
    assert_eq!(state.pane(), Pane::Conversation);
    state.input(Input::Escape);
    assert_eq!(state.pane(), Pane::Chats);
}

#[test]
fn a_person_who_has_gone_back_to_the_list_stays_there() {
    let mut state = state((30, 12));
    state.input(Input::Enter);
    assert_eq!(state.pane(), Pane::Conversation);
    state.input(Input::Escape);
    let (thread, name, rows) = (thread(1), Shown::line("ben"), rows(many(3)));
    state.news(News::Opened { thread, name, rows, around: None, draft: None });
    assert_eq!(state.pane(), Pane::Chats);
}

#[test]
fn the_end_of_input_ends_only_an_empty_line() {
    let mut state = with_ben(vec![]);
    type_in(&mut state, "x");
    state.input(Input::EndOrDelete);
    assert!(!state.is_over());
    state.input(Input::Backspace);
    state.input(Input::EndOrDelete);
    assert!(state.is_over());
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        4 => "[a-z/ ?日e\u{301}\n]{1,4}".prop_map(Input::Insert),
        1 => Just(Input::QuestionMark),
        2 => Just(Input::Backspace),
        1 => Just(Input::DeleteWord),
        1 => Just(Input::Left),
        1 => Just(Input::Up),
        1 => Just(Input::Down),
        2 => Just(Input::PageUp),
        1 => Just(Input::PageDown),
        1 => Just(Input::Oldest),
        2 => Just(Input::SelectAbove),
        1 => Just(Input::SelectBelow),
        1 => Just(Input::OtherPane),
        1 => Just(Input::Find),
        2 => Just(Input::Escape),
        1 => Just(Input::Enter),
        1 => (0_u16..120, 0_u16..40).prop_map(|(x, y)| Input::Click(x, y)),
        1 => (0_u16..120, 0_u16..40).prop_map(|(x, y)| Input::WheelUp(x, y)),
        1 => (1_u16..120, 1_u16..40).prop_map(|(x, y)| Input::Resize(x, y)),
    ]
}

fn any_row(id: i64) -> impl Strategy<Value = Row> {
    let author = prop_oneof![
        any::<bool>().prop_map(|read| Author::Them { read }),
        Just(Author::Us(Tick::Read)),
        Just(Author::Us(Tick::Queued)),
        Just(Author::Us(Tick::Failed(FailReason::TooOld))),
    ];
    (author, any::<String>()).prop_map(move |(author, text)| row(id, author, &text))
}

fn any_stage() -> impl Strategy<Value = CallStage> {
    prop_oneof![
        Just(CallStage::Calling),
        any::<bool>().prop_map(|is_video| CallStage::Ringing { is_video }),
        Just(CallStage::Answered),
        Just(CallStage::Ended(sealpost_core::CallEnd::Busy)),
    ]
}

fn any_news() -> impl Strategy<Value = News> {
    let some_rows = || {
        let rows = proptest::collection::vec(any::<()>(), 0..20)
            .prop_flat_map(|rows| (1_i64..).zip(rows).map(|(id, ())| any_row(id)).collect::<Vec<_>>());
        (rows, any::<bool>(), any::<bool>()).prop_map(|(rows, has_older, has_newer)| Rows {
            rows,
            has_older,
            has_newer,
        })
    };
    prop_oneof![
        (0_u8..3, some_rows()).prop_map(|(of, rows)| News::Rows { thread: thread(of), rows }),
        (0_u8..3, some_rows(), proptest::option::of(0_i64..25)).prop_map(|(of, rows, around)| News::Opened {
            thread: thread(of),
            name: Shown::line("somebody"),
            rows,
            around: around.map(MessageId),
            draft: None,
        }),
        (0_u8..5).prop_map(|count| News::Chats {
            folder: Folder::Chats,
            chats: (0..count).map(|number| chat(number, "somebody", u64::from(number))).collect(),
            has_more: count > 3,
            requests: usize::from(count),
        }),
        (0_u8..3, any::<[bool; 5]>(), any::<Option<u64>>()).prop_map(|(of, is, last_seen_ms)| News::Peer {
            thread: thread(of),
            peer: Peer {
                is_request: is[0],
                is_blocked: is[1],
                is_typing: is[2],
                is_present: is[3],
                last_seen_ms,
                shares_presence: is[4],
                timer_s: u32::from(is[0]),
            },
        }),
        (0_u8..4, 0_u8..3, any_stage()).prop_map(|(id, of, stage)| {
            let with = Shown::line("somebody");
            News::Call(Call { id: sealpost_core::CallId([id; 16]), thread: thread(of), with, stage })
        }),
        Just(News::SafetyNumber { thread: thread(1), number: Some("12345".repeat(12)) }),
        any::<String>().prop_map(News::Note),
        any::<String>().prop_map(|text| News::Sheet { title: "Details", lines: vec![Shown::lines(&text)] }),
    ]
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Input(Input),
    News(News),
}

pub(crate) fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![3 => any_input().prop_map(Step::Input), 1 => any_news().prop_map(Step::News)];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever arrives, what is being written in the chosen chat stays as it is, and nothing but the Enter key sends it.
    #[test]
    fn what_arrives_does_not_touch_what_is_written(steps in any_steps()) {
        let mut state = state((80, 24));
        for step in steps {
            match step {
                Step::Input(input) => {
                    let is_enter = matches!(input, Input::Enter);
                    let requests = state.input(input);
                    let sends = requests.iter().any(|request| matches!(request, Request::Send { .. }));
                    prop_assert!(is_enter || !sends);
                }
                Step::News(news) => {
                    let was = (state.chosen, state.editor().clone());
                    let requests = state.news(news);
                    let sends = requests.iter().any(|request| matches!(request, Request::Send { .. }));
                    prop_assert!(!sends);
                    if state.chosen == was.0 {
                        prop_assert_eq!(state.editor(), &was.1);
                    }
                }
            }
        }
    }
}
