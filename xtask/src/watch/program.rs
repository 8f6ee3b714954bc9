//! Runs one test program for cargo, which runs all test programs through this module. The output is forwarded, and a
//! program that exceeds the limit is killed; the names of the tests that had not ended are printed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, not_started};

use super::LOOK;
use super::output::{lines, said_within};
use super::processes::Family;

/// The command with which cargo calls this program; it is not for users.
pub(crate) const VERB: &str = "test-program";
/// The environment variable for the limit of a program, in seconds.
pub(crate) const LIMIT: &str = "SEALPOST_TEST_LIMIT";
/// Many times what the longest test program takes on a busy machine.
const USUAL_LIMIT: Duration = Duration::from_secs(600);
/// How long the output may stay open after the program has ended.
const LEFT_OPEN: Duration = Duration::from_secs(10);
/// The exit code that `timeout` of coreutils uses.
const TIMED_OUT: u8 = 124;

/// The arguments that make cargo run its test programs through this program.
pub(crate) fn runner() -> Result<[String; 2], Error> {
    runner_before(&[])
}

/// The same for programs of another processor, which are run by the given command.
pub(crate) fn runner_before(words: &[&str]) -> Result<[String; 2], Error> {
    let us = std::env::current_exe().map_err(|source| Error::Io { subject: "xtask".into(), source })?;
    let us = us.display().to_string();
    let words: Vec<&str> = [&us, VERB].into_iter().chain(words.iter().copied()).collect();
    Ok(["--config".to_owned(), format!("target.'cfg(all())'.runner={words:?}")])
}

/// Runs `program`, and returns its exit code.
///
/// # Errors
/// [`Error::Io`] if it cannot be started.
pub(crate) fn run_test_program(arguments: &[String]) -> Result<ExitCode, Error> {
    let (program, arguments) = arguments.split_first().ok_or(Error::UnknownVerb(VERB.to_owned()))?;
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(ExitCode::from(watched(command, limit(), io::stdout())?.code))
}

/// Runs a test program with its output in a file, and returns whether its tests passed.
///
/// # Errors
/// [`Error::Io`] if it cannot be started.
pub(crate) fn passes(mut command: Command, output: File) -> Result<bool, Error> {
    let complaints = output.try_clone().map_err(|source| not_started(&command, source))?;
    command.stderr(complaints);
    Ok(watched(command, limit(), output)?.code == 0)
}

fn limit() -> Duration {
    let said = std::env::var(LIMIT).ok().and_then(|said| said.parse().ok());
    said.map_or(USUAL_LIMIT, Duration::from_secs)
}

/// How a test program ended.
#[derive(Debug, PartialEq)]
struct Outcome {
    code: u8,
    /// The tests that had not ended when it was killed.
    unended: Vec<String>,
}

impl Outcome {
    fn of(code: u8) -> Self {
        Self { code, unended: Vec::new() }
    }
}

fn watched(
    mut command: Command,
    limit: Duration,
    output: impl Write + Send + 'static,
) -> Result<Outcome, Error> {
    let family = Family::mark(&mut command);
    let start = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|source| not_started(&command, source))?;
    let lines = child.stdout.take().map(|theirs| lines(theirs, output));
    let mut ended = BTreeSet::new();
    let status = loop {
        let status = child.try_wait().map_err(|source| not_started(&command, source))?;
        while let Some(line) = lines.as_ref().and_then(|lines| lines.try_recv().ok()) {
            ended.extend(ended_test(&line));
        }
        if status.is_some() || start.elapsed() >= limit {
            break status;
        }
        thread::sleep(LOOK);
    };
    let Some(status) = status else {
        eprintln!("\ndev: {} has not ended after {} s", command.get_program().display(), limit.as_secs());
        let unended: Vec<_> = listed(&command).into_iter().filter(|test| !ended.contains(test)).collect();
        unended.iter().for_each(|test| eprintln!("dev: a test that has not ended: {test}"));
        family.show();
        family.kill();
        let _ = child.kill();
        let _ = child.wait();
        return Ok(Outcome { code: TIMED_OUT, unended });
    };
    if let Some(lines) = lines
        && !is_closed(&lines, LEFT_OPEN)
    {
        eprintln!("dev: {} left processes behind, which are killed", command.get_program().display());
        family.show();
        family.kill();
        return Ok(Outcome::of(1));
    }
    // A process that was killed by a signal has no exit code.
    Ok(Outcome::of(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// Whether the other end of the output has been closed.
fn is_closed(lines: &Receiver<String>, patience: Duration) -> bool {
    let start = Instant::now();
    while let Some(left) = patience.checked_sub(start.elapsed()) {
        match lines.recv_timeout(left) {
            Ok(_) => {}
            Err(RecvTimeoutError::Disconnected) => return true,
            Err(RecvTimeoutError::Timeout) => break,
        }
    }
    false
}

/// The test that has ended according to this line of libtest.
fn ended_test(line: &str) -> Option<String> {
    let (name, verdict) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let is_verdict = ["ok", "FAILED", "ignored"].iter().any(|word| verdict.starts_with(word));
    is_verdict.then(|| name.trim_end_matches(" - should panic").to_owned())
}

/// The tests that a program would run with these arguments.
fn listed(command: &Command) -> Vec<String> {
    let mut list = Command::new(command.get_program());
    list.args(command.get_args()).arg("--list");
    // A program without libtest may ignore the argument, so the time is limited.
    let lines = said_within(list, LEFT_OPEN).unwrap_or_default();
    lines.iter().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A test program with two tests, of which the second one does what is given here.
    fn program(second: &str) -> Command {
        let script = format!(
            "case $1 in --list) echo 'one: test'; echo 'two: test'; echo; echo '2 tests, 0 benchmarks'; exit;; esac
             echo 'test one ... ok'
             {second}"
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]);
        command
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_and_its_unended_tests_are_named() {
        let outcome = watched(program("sleep 1000"), Duration::from_millis(500), io::sink()).unwrap();
        assert_eq!(outcome, Outcome { code: TIMED_OUT, unended: vec!["two".to_owned()] });
    }

    #[test]
    fn the_code_of_a_program_that_ends_is_passed_on() {
        for (second, code) in [("exit 0", 0), ("exit 101", 101), ("kill -ABRT $$", 1)] {
            assert_eq!(
                watched(program(second), USUAL_LIMIT, io::sink()).unwrap(),
                Outcome::of(code),
                "{second}"
            );
        }
    }

    #[test]
    fn only_a_result_line_ends_a_test() {
        let ended = |line| ended_test(line);
        assert_eq!(ended("test store::tests::one ... ok").as_deref(), Some("store::tests::one"));
        assert_eq!(ended("test two - should panic ... FAILED").as_deref(), Some("two"));
        assert_eq!(ended("test three ... ignored, on request").as_deref(), Some("three"));
        assert_eq!(ended("test four has been running for over 60 seconds"), None);
        assert_eq!(ended("test five ... "), None);
        assert_eq!(ended("running 3 tests"), None);
    }
}
