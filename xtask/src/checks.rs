//! `test` and `lint`: named steps, each timed, all run even after one has failed.

use std::time::Instant;

use crate::bindings;
use crate::deps;
use crate::error::Error;
use crate::interop;
use crate::workspace::{Profile, Workspace, run};

/// A step: its name, and what it does.
type Step = (&'static str, fn(&Workspace) -> Result<(), Error>);

const LINT: &[Step] = &[("format", format), ("clippy", clippy), ("dependencies", deps::check)];
const TEST: &[Step] = &[
    ("documents", documents),
    ("build", build),
    ("tests", tests),
    ("doc tests", doc_tests),
    ("interop", interop::test),
    ("kotlin", bindings::test_kotlin),
    ("swift", bindings::test_swift),
    ("conversation", bindings::test_conversation),
];

/// The failure tests kill processes at named stations; only builds with these features have them.
const FAULTS: &[&str] = &["--features", "sealpost-e2e/faults,sealpost-relay/faults"];

/// Everything that must hold before a commit reaches others.
pub(crate) fn test(workspace: &Workspace) -> Result<(), Error> {
    run_steps(workspace, LINT.iter().chain(TEST))
}

/// What needs no test run; licences too where cargo-deny is installed.
pub(crate) fn lint(workspace: &Workspace) -> Result<(), Error> {
    let deny_is_here = workspace.cargo(&["deny", "--version"]).output().is_ok_and(|out| out.status.success());
    let licences: &[Step] = if deny_is_here { &[("licences", licences)] } else { &[] };
    run_steps(workspace, LINT.iter().chain(licences))
}

fn run_steps<'a>(workspace: &Workspace, steps: impl Iterator<Item = &'a Step>) -> Result<(), Error> {
    let mut results = Vec::new();
    for (name, step) in steps {
        eprintln!("\n== {name}");
        let start = Instant::now();
        let result = step(workspace);
        if let Err(error) = &result {
            eprintln!("{error}");
        }
        results.push((*name, result.is_ok(), start.elapsed()));
    }
    eprintln!();
    for (name, passed, time) in &results {
        eprintln!("{} {name:<14}{:>7.1} s", if *passed { "ok    " } else { "FAILED" }, time.as_secs_f64());
    }
    let failed: Vec<_> = results.iter().filter(|(_, passed, _)| !passed).map(|(name, ..)| *name).collect();
    if failed.is_empty() { Ok(()) } else { Err(Error::Steps(failed)) }
}

fn format(workspace: &Workspace) -> Result<(), Error> {
    run(workspace.cargo(&["fmt", "--all", "--check"]))
}

/// Lints what ships and what the failure tests run: the two differ by a feature.
fn clippy(workspace: &Workspace) -> Result<(), Error> {
    for features in [&[], FAULTS] {
        let mut command = workspace.cargo(&["clippy", "-q", "--workspace", "--all-targets"]);
        command.args(features).args(["--", "-D", "warnings"]);
        run(command)?;
    }
    Ok(())
}

fn licences(workspace: &Workspace) -> Result<(), Error> {
    run(workspace.cargo(&["deny", "check", "licenses", "bans", "sources"]))
}

fn documents(workspace: &Workspace) -> Result<(), Error> {
    let mut command = workspace.cargo(&["doc", "-q", "--workspace", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    run(command)
}

/// Builds tests, programs and the library that apps load together: cargo builds only those programs for a test that are
/// of its own package, tests of other packages start the relay too, and the bindings load the library.
fn build(workspace: &Workspace) -> Result<(), Error> {
    let mut command = workspace.cargo(&["build", "-q", "--workspace", "--lib", "--bins", "--tests"]);
    command.args(FAULTS);
    run(command)
}

fn tests(workspace: &Workspace) -> Result<(), Error> {
    let mut command =
        workspace.cargo(&["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"]);
    command.args(FAULTS).env("SEALPOST_RELAY_BIN", workspace.binary(Profile::Debug, "sealpost-relay"));
    run(command)
}

fn doc_tests(workspace: &Workspace) -> Result<(), Error> {
    let mut command = workspace.cargo(&["test", "--workspace", "--no-fail-fast", "--doc"]);
    command.args(FAULTS);
    run(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(_: &Workspace) -> Result<(), Error> {
        Ok(())
    }

    fn fails(_: &Workspace) -> Result<(), Error> {
        Err(Error::Failed("a command".to_owned()))
    }

    #[test]
    fn every_step_runs_and_the_failed_ones_are_named() {
        let workspace = Workspace::locate().unwrap();
        let steps: &[Step] = &[("first", fails), ("second", passes), ("third", fails)];
        let error = run_steps(&workspace, steps.iter()).unwrap_err();
        assert!(matches!(error, Error::Steps(names) if names == ["first", "third"]));
    }

    #[test]
    fn steps_that_all_pass_are_no_error() {
        let workspace = Workspace::locate().unwrap();
        let steps: &[Step] = &[("only", passes)];
        assert!(run_steps(&workspace, steps.iter()).is_ok());
    }
}
