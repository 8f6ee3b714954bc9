//! The pages show code that tests compile, and `docs/mobile.md` says what to do about every error there is.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    // Tests run in the folder of their package; where they were built may have been another checkout with this cache.
    fs::read_to_string(Path::new("..").join(path)).unwrap()
}

/// Whether every line of a page's examples stands in a source, `prefix` apart; and how many examples there are.
fn examples(page: &str, language: &str, sources: &[&str], prefix: &str) -> usize {
    let compiled: String = sources.iter().copied().map(read).collect();
    let compiled: BTreeSet<&str> =
        compiled.lines().map(|line| line.trim_start_matches(prefix).trim()).collect();
    let page = read(page);
    let examples: Vec<_> = page.split(&format!("```{language}\n")).skip(1).collect();
    for line in examples.iter().flat_map(|text| text.split("```").next().unwrap().lines()) {
        assert!(compiled.contains(line.trim()), "{line:?} is not in {sources:?}");
    }
    examples.len()
}

#[test]
fn the_code_is_compiled_by_tests() {
    let swift = [
        "examples/ios/Chat/Model/ChatModel.swift",
        "examples/ios/Chat/Model/News.swift",
        "bindings/swift/Tests/SealpostTests/ReadmeTests.swift",
    ];
    let kotlin = [
        "examples/android/app/src/main/kotlin/model/ChatModel.kt",
        "examples/android/app/src/main/kotlin/model/News.kt",
        "bindings/kotlin/src/test/kotlin/ReadmeTest.kt",
    ];
    for (page, count) in [("README.md", 1), ("docs/mobile.md", 3)] {
        assert_eq!(examples(page, "swift", &swift, ""), count, "{page}");
        assert_eq!(examples(page, "kotlin", &kotlin, ""), count, "{page}");
    }
    assert_eq!(examples("README.md", "rust", &["crates/sdk-core/src/lib.rs"], "//!"), 1);
}

#[test]
fn every_error_has_its_row() {
    let errors = read("crates/sdk-ffi/src/error.rs");
    let codes =
        errors.lines().filter_map(|line| line.split_once("=> \"")?.1.split_once("\",")).map(|(code, _)| code);
    let page = read("docs/mobile.md");
    let rows = page.split_once("| `code()`").unwrap().1.lines();
    let told = rows.filter_map(|row| row.strip_prefix("| `")?.split_once('`')).map(|(code, _)| code);
    let (codes, told): (BTreeSet<_>, BTreeSet<_>) = (codes.collect(), told.collect());
    assert!(codes.len() >= 20, "{codes:?}");
    assert_eq!(codes, told);
}
