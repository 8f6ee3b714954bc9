//! `soak tests` runs test programs repeatedly on a busy machine, to find tests that fail only sometimes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::error::Error;
use crate::watch;
use crate::workspace::{Workspace, capture};

use super::busy::Busy;

/// The default number of rounds.
const ROUNDS: u32 = 20;
/// The default packages.
const PACKAGES: [&str; 3] = ["sealpost-relay", "sealpost-core", "sealpost-protocol"];
/// The packages whose crash tests need a feature.
const WITH_FAULTS: [&str; 4] = ["sealpost-relay", "sealpost-core", "sealpost-testkit", "sealpost-e2e"];
/// The number of lines that are printed of the end of a failed run.
const TAIL: usize = 60;

/// `[ROUNDS] [PACKAGE…]`: builds the test programs, and runs all of them in each round, even after one has failed.
pub(super) fn run_all(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    let (rounds, packages) = read(arguments)?;
    let programs = build(workspace, &packages)?;
    if programs.is_empty() {
        return Err(Error::NoTests(packages));
    }
    let logs = workspace.target("soak");
    eprintln!("dev: {} test programs, {rounds} times, with a loop on each core", programs.len());
    let busy = Busy::start();
    let failed = run_rounds(&programs, rounds, &logs, watch::passes)?;
    drop(busy);
    let all = programs.len().saturating_mul(usize::try_from(rounds).unwrap_or(usize::MAX));
    if failed == 0 {
        eprintln!("dev: {all} runs of {} test programs passed", programs.len());
        Ok(())
    } else {
        eprintln!("dev: the output of the failed runs is in {}", logs.display());
        Err(Error::Runs { failed, all })
    }
}

/// The number of rounds, and the packages.
fn read(arguments: &[String]) -> Result<(u32, Vec<String>), Error> {
    let is_number = |word: &String| word.starts_with(|first: char| first.is_ascii_digit());
    let (rounds, packages) = match arguments.split_first() {
        Some((word, packages)) if is_number(word) => {
            let rounds = word.parse().ok().filter(|rounds| *rounds > 0);
            (rounds.ok_or_else(|| Error::NoNumber(word.clone()))?, packages)
        }
        _ => (ROUNDS, arguments),
    };
    let packages = if packages.is_empty() { PACKAGES.map(str::to_owned).to_vec() } else { packages.to_vec() };
    Ok((rounds, packages))
}

/// A test program that was built.
#[derive(Debug, PartialEq)]
struct Program {
    /// The source file of its root, which identifies it.
    name: String,
    /// The program.
    path: PathBuf,
    /// The folder of its package, in which cargo runs tests.
    folder: PathBuf,
}

fn build(workspace: &Workspace, packages: &[String]) -> Result<Vec<Program>, Error> {
    let mut command = workspace.cargo(&["test", "--no-run", "--lib", "--bins", "--tests"]);
    command.arg("--message-format=json-render-diagnostics");
    for package in packages {
        command.args(["-p", package]);
        if WITH_FAULTS.contains(&package.as_str()) {
            command.args(["--features", &format!("{package}/faults")]);
        }
    }
    let root = workspace.path("");
    Ok(capture(command)?.lines().filter_map(|line| Program::of(line, &root)).collect())
}

impl Program {
    /// The program that a message of cargo describes.
    fn of(message: &str, root: &Path) -> Option<Self> {
        let profile = message.split_once("\"profile\":{")?.1.split_once('}')?.0;
        if !profile.contains("\"test\":true") {
            return None;
        }
        let path = PathBuf::from(text(message, "executable")?);
        let source = PathBuf::from(text(message, "src_path")?);
        let name = source.strip_prefix(root).unwrap_or(&source).display().to_string();
        let folder = Path::new(text(message, "manifest_path")?).parent()?.to_owned();
        Some(Self { name, path, folder })
    }
}

/// The value of a string field. Paths on the supported systems contain nothing that has to be unescaped.
fn text<'a>(message: &'a str, field: &str) -> Option<&'a str> {
    Some(message.split_once(&format!("\"{field}\":\""))?.1.split_once('"')?.0)
}

/// Runs every program in every round, prints how each ended, and counts the failures. The output is kept in `logs`.
fn run_rounds(
    programs: &[Program],
    rounds: u32,
    logs: &Path,
    mut passes: impl FnMut(Command, File) -> Result<bool, Error>,
) -> Result<usize, Error> {
    let subject = |source: io::Error| Error::Io { subject: logs.to_owned(), source };
    fs::create_dir_all(logs).map_err(subject)?;
    let mut failed = 0_usize;
    for round in 1..=rounds {
        for program in programs {
            let start = Instant::now();
            let file = program.path.file_name().unwrap_or_default().to_string_lossy();
            let log = logs.join(format!("{file}-{round}.log"));
            let mut command = Command::new(&program.path);
            command.current_dir(&program.folder).env("CARGO_MANIFEST_DIR", &program.folder);
            let passed = passes(command, File::create(&log).map_err(subject)?)?;
            let verdict = if passed { "ok    " } else { "FAILED" };
            let seconds = start.elapsed().as_secs_f64();
            eprintln!("{verdict} round {round} of {rounds} {seconds:>7.1} s  {}", program.name);
            if passed {
                fs::remove_file(&log).map_err(subject)?;
            } else {
                failed = failed.saturating_add(1);
                let printed = fs::read(&log).map_err(subject)?;
                eprintln!("{}\n", tail(&String::from_utf8_lossy(&printed)));
            }
        }
    }
    Ok(failed)
}

/// The last lines of a text.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_first_word_is_the_rounds_if_it_is_a_number() {
        assert_eq!(read(&[]).unwrap(), (ROUNDS, PACKAGES.map(str::to_owned).to_vec()));
        assert_eq!(read(&words("3 sealpost-wire")).unwrap(), (3, words("sealpost-wire")));
        assert_eq!(read(&words("sealpost-wire")).unwrap(), (ROUNDS, words("sealpost-wire")));
        for nonsense in ["0", "3x"] {
            assert!(matches!(read(&words(nonsense)), Err(Error::NoNumber(word)) if word == nonsense));
        }
    }

    #[test]
    fn only_messages_about_test_programs_name_one() {
        let message = |test: bool, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/root/crates/relay/Cargo.toml","target":{{"kind":["test"],"name":"relay","src_path":"/root/crates/relay/tests/relay/main.rs","test":true}},"profile":{{"opt_level":"0","test":{test}}},"features":[],"filenames":[],"executable":{executable},"fresh":true}}"#
            )
        };
        let root = Path::new("/root");
        let program = Program {
            name: "crates/relay/tests/relay/main.rs".to_owned(),
            path: "/target/debug/deps/relay-1".into(),
            folder: "/root/crates/relay".into(),
        };
        assert_eq!(Program::of(&message(true, r#""/target/debug/deps/relay-1""#), root), Some(program));
        assert_eq!(Program::of(&message(false, r#""/target/debug/relay""#), root), None);
        assert_eq!(Program::of(&message(true, "null"), root), None);
        assert_eq!(Program::of(r#"{"reason":"build-finished","success":true}"#, root), None);
    }

    #[test]
    fn every_program_runs_in_every_round_and_only_failures_leave_a_log() {
        let logs = std::env::temp_dir().join(format!("sealpost-soak-{}", std::process::id()));
        let program = |path: &str| Program { name: path.to_owned(), path: path.into(), folder: "/".into() };
        let programs = [program("false"), program("true")];
        assert_eq!(run_rounds(&programs, 3, &logs, watch::passes).unwrap(), 3);
        let mut left: Vec<_> =
            fs::read_dir(&logs).unwrap().map(|log| log.unwrap().file_name().into_string().unwrap()).collect();
        left.sort_unstable();
        fs::remove_dir_all(&logs).unwrap();
        assert_eq!(left, ["false-1.log", "false-2.log", "false-3.log"]);
    }

    #[test]
    fn the_tail_is_the_last_lines() {
        let text: Vec<String> = (0..TAIL + 5).map(|number| number.to_string()).collect();
        assert_eq!(tail(&text.join("\n")), text[5..].join("\n"));
        assert_eq!(tail("one\ntwo"), "one\ntwo");
    }
}
