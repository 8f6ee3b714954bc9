//! `bench` runs the benchmarks of one part, or of all.

mod bindings;
mod instructions;
mod measured;
mod protocol;

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::workspace::{Workspace, run};

/// The name of a part, its folder, its package, and the features that its benchmarks need.
const PARTS: &[(&str, &str, &str, &str)] = &[
    ("relay", "crates/relay", "sealpost-relay", "statements"),
    ("client", "crates/sdk-core", "sealpost-core", ""),
    ("groups", "crates/testkit", "sealpost-testkit", ""),
];

/// The part that is compared with other implementations.
const PROTOCOL: &str = "protocol";

/// The part that is measured from other languages.
const BINDINGS: &str = "bindings";

/// Runs the benchmarks of the given part, or of all parts.
pub(crate) fn run_part(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    let wanted = arguments.first().map_or("all", String::as_str);
    if !["all", PROTOCOL, BINDINGS].contains(&wanted) && !PARTS.iter().any(|(name, ..)| *name == wanted) {
        return Err(Error::UnknownBench(wanted.to_owned()));
    }
    if wanted == "all" || wanted == PROTOCOL {
        protocol::compare(workspace)?;
    }
    for (name, folder, package, features) in
        PARTS.iter().filter(|(name, ..)| wanted == "all" || *name == wanted)
    {
        let benches = benches(&workspace.path(folder).join("benches"));
        if benches.is_empty() {
            eprintln!("{name} has no benchmarks");
        }
        // Each benchmark is named, because a plain `cargo bench` would run the unit tests of the package too.
        for bench in benches {
            eprintln!("\n== {name}: {bench}");
            run(workspace.cargo(&["bench", "-p", package, "--bench", &bench, "--features", features]))?;
        }
    }
    if wanted == "all" || wanted == BINDINGS {
        bindings::measure(workspace)?;
    }
    Ok(())
}

/// The names of the benchmarks in a folder; empty if the folder does not exist.
fn benches(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let sources = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut names: Vec<String> =
        sources.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

/// The last executable in cargo's messages. No JSON parser is needed for file names.
fn executable(messages: &str) -> Option<PathBuf> {
    let mut found =
        messages.lines().filter_map(|line| line.split_once("\"executable\":\"")?.1.split_once('"'));
    found.next_back().map(|(path, _)| path.into())
}

/// Formats a number with commas between thousands; empty if there is no number.
fn shown(number: Option<f64>) -> String {
    let Some(number) = number else { return String::new() };
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && digits.len().saturating_sub(place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let shown = [0.4, 7.0, 999.0, 1_000.0, 1_234_567.8].map(|number| shown(Some(number)));
        assert_eq!(shown, ["0", "7", "999", "1,000", "1,234,568"]);
        assert_eq!(super::shown(None), "");
    }

    #[test]
    fn the_program_is_found_among_cargos_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
            {\"target\":{\"name\":\"protocol\"},\"executable\":\"/t/release/deps/protocol-1f\",\"fresh\":true}\n\
            {\"reason\":\"build-finished\",\"success\":true}";
        assert_eq!(executable(messages), Some("/t/release/deps/protocol-1f".into()));
        assert_eq!(executable("{\"executable\":null}"), None);
    }
}
