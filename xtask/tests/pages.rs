//! Checks the pages: tests compile their examples, their links are valid, the index of the documentation is complete,
//! and `docs/mobile.md` covers every error.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn read(path: &str) -> String {
    // Tests run in the folder of their package. The path at build time may belong to another checkout with the same
    // target folder.
    fs::read_to_string(Path::new("..").join(path)).unwrap()
}

/// Asserts that every line of a page's examples is in one of the sources, after `prefix`, and returns the number of
/// examples.
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
fn examples_are_compiled_by_tests() {
    let swift = [
        "examples/ios/Chat/Model/ChatModel.swift",
        "examples/ios/Chat/Model/News.swift",
        "bindings/swift/Tests/SealpostTests/ReadmeTests.swift",
        "bindings/swift/Tests/SealpostTests/RecipeTests.swift",
    ];
    let kotlin = [
        "examples/android/app/src/main/kotlin/model/ChatModel.kt",
        "examples/android/app/src/main/kotlin/model/News.kt",
        "bindings/kotlin/src/test/kotlin/ReadmeTest.kt",
        "bindings/kotlin/src/test/kotlin/RecipesTest.kt",
    ];
    for (page, count) in [("README.md", 1), ("docs/mobile.md", 11)] {
        assert_eq!(examples(page, "swift", &swift, ""), count, "{page}");
        assert_eq!(examples(page, "kotlin", &kotlin, ""), count, "{page}");
    }
    assert_eq!(examples("README.md", "rust", &["crates/sdk-core/src/lib.rs"], "//!"), 1);
}

#[test]
fn every_error_has_a_row() {
    let files = ["error.rs", "error/content.rs", "error/link.rs"];
    let errors: String = files.iter().map(|file| read(&format!("crates/sdk-ffi/src/{file}"))).collect();
    let codes =
        errors.lines().filter_map(|line| line.split_once("=> \"")?.1.split_once("\",")).map(|(code, _)| code);
    let page = read("docs/mobile.md");
    let rows = page.split_once("| `code()`").unwrap().1.lines();
    let told = rows.filter_map(|row| row.strip_prefix("| `")?.split_once('`')).map(|(code, _)| code);
    let (codes, told): (BTreeSet<_>, BTreeSet<_>) = (codes.collect(), told.collect());
    assert!(codes.len() >= 20, "{codes:?}");
    assert_eq!(codes, told);
}

/// Every page of the repository, by its path from the top.
fn pages() -> Vec<PathBuf> {
    let (mut pages, mut folders) = (Vec::new(), vec![PathBuf::from("..")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !name.starts_with('.') && !matches!(name, "target" | "node_modules") {
                folders.push(path);
            } else if name.ends_with(".md") {
                pages.push(path.strip_prefix("..").unwrap().to_owned());
            }
        }
    }
    pages
}

/// The targets of the links of a page, without those to other sites.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    targets.filter(|target| !target.contains("://"))
}

/// The name by which GitHub links to a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn every_link_points_to_an_existing_file_and_heading() {
    let mut checked = 0;
    for page in pages() {
        let text = read(page.to_str().unwrap());
        for link in links(&text) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let place = Path::new("..").join(&target);
            assert!(place.exists(), "{}: {link}", page.display());
            if !heading.is_empty() {
                let text = fs::read_to_string(place).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                let found = headings.any(|line| anchor(line.trim_start_matches('#')) == heading);
                assert!(found, "{}: {link}", page.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 100, "{checked}");
}

#[test]
fn the_index_lists_every_page_of_the_documentation() {
    let index = read("docs/README.md");
    let linked: BTreeSet<_> = links(&index).map(|link| Path::new("docs").join(link)).collect();
    let documentation = pages().into_iter().filter(|page| page.starts_with("docs"));
    let missing: Vec<_> =
        documentation.filter(|page| !page.ends_with("README.md") && !linked.contains(page)).collect();
    assert_eq!(missing, Vec::<PathBuf>::new());
}

#[test]
fn the_tests_in_the_table_of_features_exist() {
    let page = read("README.md");
    let table = page.split_once("| Test in Kotlin and Swift |").unwrap().1.split_once("\n\n").unwrap().0;
    let folder = |path: &str| -> String {
        let files = fs::read_dir(Path::new("..").join(path)).unwrap().map(|file| file.unwrap().path());
        files.filter(|file| file.is_file()).map(|file| fs::read_to_string(file).unwrap()).collect()
    };
    let kotlin = folder("bindings/kotlin/src/test/kotlin");
    let swift = folder("bindings/swift/Tests/SealpostTests");
    let tested = |row: &str, test: &str| {
        let (program, function) = test.trim_matches('`').split_once("::").unwrap();
        assert!(read(&format!("tests/tests/{program}.rs")).contains(&format!("fn {function}(")), "{row}");
    };
    let in_rust_only = page.split_once("| Test in Rust only |").unwrap().1.split_once("\n\n").unwrap().0;
    let mut rows = 0;
    for row in in_rust_only.lines().skip(2) {
        tested(row, row.trim_matches('|').rsplit('|').next().unwrap().trim());
        rows += 1;
    }
    assert!(rows > 0);
    for row in table.lines().skip(2) {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [_, _, in_rust, elsewhere] = cells[..] else { panic!("{row}") };
        tested(row, in_rust);
        assert!(kotlin.contains(&format!("fun `{elsewhere}`()")), "{row}");
        assert!(swift.contains(&format!("@Test(\"{elsewhere}\")")), "{row}");
        rows += 1;
    }
    assert!(rows >= 20, "{rows}");
}
