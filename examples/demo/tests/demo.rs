//! The demonstration itself: it fails if the two sides differ, so a run that ends well is the test.

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
    assert!(companion.starts_with("has all ") && !companion.contains("; 0 lines"), "{companion}");
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
