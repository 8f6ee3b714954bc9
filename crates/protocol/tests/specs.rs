//! `docs/specs.md` is the index of the protocol: every file, function and test that it names exists.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "documents and sources are files")]

use std::fs;
use std::path::{Path, PathBuf};

/// Every file below `folder`.
fn files(folder: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(path) } else { vec![path] }).collect()
}

/// Expands `a/{b,c}.rs` to two paths.
fn expanded(path: &str) -> Vec<String> {
    match path.split_once('{').and_then(|(head, rest)| Some((head, rest.split_once('}')?))) {
        Some((head, (names, tail))) => names.split(',').map(|name| format!("{head}{name}{tail}")).collect(),
        None => vec![path.to_owned()],
    }
}

/// The names in a row besides its subject: in most tables a file and a test, in some only a test.
fn names(row: &str) -> impl Iterator<Item = &str> {
    let cells: Vec<_> = row.trim_matches('|').split('|').collect();
    let last = if cells.len() < 3 { 1 } else { 2 };
    let cells = cells.into_iter().rev().take(last);
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2))
}

/// A path contains a slash, and a name with underscores is a function. The others are titles of cases and names of files
/// and types.
#[test]
fn everything_that_the_index_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src", "tests", "../sdk-core/src", "../../tests/tests"];
    let is_text = |path: &PathBuf| path.extension().is_some_and(|end| end == "rs" || end == "json");
    let texts = folders.into_iter().flat_map(|folder| files(root.join(folder))).filter(is_text);
    let sources: String = texts.map(|path| fs::read_to_string(path).unwrap()).collect();
    let index = fs::read_to_string(root.join("../../docs/specs.md")).unwrap();
    let rows = || index.lines().filter(|line| line.starts_with("| ") && !line.ends_with(" Test |"));
    let is_untested = |row: &&str| {
        !row.ends_with("| – |") && !row.trim_end_matches('|').rsplit('|').next().unwrap().contains('`')
    };
    assert_eq!(rows().find(is_untested), None);
    let names: Vec<_> = rows().flat_map(names).collect();
    assert!(names.len() > 250, "{} names are not the index", names.len());
    let is_missing = |name: &&str| {
        if name.contains('/') {
            return !expanded(name).iter().all(|path| root.join(path).exists());
        }
        let is_function =
            name.contains('_') && !name.contains(|c: char| c != '_' && !c.is_ascii_alphanumeric());
        !if is_function {
            sources.contains(&format!("fn {name}(")) || sources.contains(&format!("fn {name}<"))
        } else {
            sources.contains(*name)
        }
    };
    let missing: Vec<_> = names.into_iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
