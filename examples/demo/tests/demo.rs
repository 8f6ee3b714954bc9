//! The demonstration itself: it fails if somebody does not have what they may have, so a run that ends well is the test.

#![cfg(test)]

use std::process::{Command, Output};

/// Runs it, and returns what it prints.
fn demo(arguments: &[&str]) -> String {
    let relay = sealpost_testkit::relay_binary();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealpost-demo"));
    let Output { status, stdout, stderr } =
        command.arg("--relay-bin").arg(relay).args(arguments).output().unwrap();
    let (printed, errors) = (String::from_utf8(stdout).unwrap(), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{errors}\n{printed}");
    printed
}

/// What the table says about something.
fn row<'p>(printed: &'p str, what: &str) -> &'p str {
    printed.lines().find_map(|line| line.trim().strip_prefix(what)).unwrap().trim()
}

#[test]
fn both_sides_have_every_kind_of_content_after_the_failures() {
    let printed = demo(&["--seed", "1"]);
    assert!(printed.starts_with("the events between the lines are chosen by --seed 1\n"), "{printed}");
    for incident in ["goes offline", "the relay is killed", "sends it twice", "links a companion"] {
        assert!(printed.contains(incident), "{incident}\n{printed}");
    }
    let companion = row(&printed, "Noor's companion");
    assert!(companion.starts_with("has all of them") && !companion.contains("; 0 lines"), "{companion}");
    let kinds = [
        ("of these kinds", "text", 8),
        ("and their changes", "edit", 8),
        ("of the people", "notes to self", 3),
        ("seen at once", "typing", 3),
        ("seen at once", "refused as busy", 3),
    ];
    for (what, first, count) in kinds {
        let row = row(&printed, what);
        assert!(row.contains(first) && row.matches(", ").count() + 1 >= count, "{row}");
    }
}

#[test]
fn a_conversation_of_two_lines_has_every_kind_too() {
    let folder = tempfile::tempdir().unwrap();
    let talk = folder.path().join("talk.txt");
    std::fs::write(&talk, "A: the first line\nB: the second line\n").unwrap();
    let printed = demo(&["--seed", "2", "--input", talk.to_str().unwrap()]);
    assert!(row(&printed, "of these kinds").starts_with("2 texts, "), "{printed}");
    assert!(!row(&printed, "seen at once").is_empty());
}

#[test]
fn more_than_two_people_make_a_group_in_which_somebody_is_added_and_somebody_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let talk = folder.path().join("talk.txt");
    let lines = "Ada: Who comes along?\nBen: I do!\nCleo: So do I.\nAda: At nine, then.\nDee: Am I late?\n\
                 Ada: Not yet.\nCleo: There is half a lemon left.\nDee: 檸檬!\nAda: The train is here.\n";
    std::fs::write(&talk, lines).unwrap();
    let printed = demo(&["--seed", "3", "--input", talk.to_str().unwrap()]);
    for incident in [
        "Ada creates a group of 3",
        "Dee is added, and gets nothing that was said before",
        "Ben is removed, and gets nothing that is said from now on",
        "goes offline",
        "the relay is killed",
        "sends it twice",
        "Ada has a companion",
    ] {
        assert!(printed.contains(incident), "{incident}\n{printed}");
    }
    let companion = row(&printed, "Ada's companion");
    assert!(companion.starts_with("has all of them") && !companion.contains("; 0 lines"), "{companion}");
    let count = |name: &str| -> usize {
        let mut rows = printed.lines().map(str::trim).filter(|line| line.starts_with(name));
        let count = rows.find_map(|row| row.split_once("has the ")?.1.split_once(' '));
        count.unwrap().0.parse().unwrap()
    };
    let all = row(&printed, "messages").split_once(':').unwrap().0.parse::<usize>().unwrap();
    assert_eq!(count("Ada"), all);
    assert!(count("Ben") < all && count("Dee") < all, "{printed}");
    assert!(row(&printed, "and their changes").matches(", ").count() >= 7, "{printed}");
}

/// What cannot be a conversation is refused before anything starts.
#[test]
fn input_that_is_not_a_conversation_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let crowd: String = (0..300).map(|n| format!("Person {n}: hi\n")).collect();
    let cases = [
        (crowd.as_str(), "line 13 is by one more person, \"Person 12\": a conversation has at most 12"),
        ("Ada: hi\nBen: hi\nada: hi\n", "line 3 is by \"ada\", who looks like \"Ada\""),
        ("Ada: hi\nBen: hi\nCleo:\n", "line 3 has no text after its colon"),
        ("Ada: is anybody there?\n", "only \"Ada\" speaks: a conversation has at least two people"),
    ];
    for (input, expected) in cases {
        let talk = folder.path().join("talk.txt");
        std::fs::write(&talk, input).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealpost-demo"));
        let Output { status, stdout, stderr } = command.arg("--input").arg(&talk).output().unwrap();
        let errors = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(2), "{errors}");
        assert!(errors.contains(expected), "{errors}");
        assert!(stdout.is_empty());
    }
}
