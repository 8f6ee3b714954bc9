//! `test` and `lint`: named steps that are timed, and that all run even after one has failed.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::arm;
use crate::bindings;
use crate::deps;
use crate::error::Error;
use crate::interop;
use crate::watch::{self, Ended};
use crate::workspace::{Profile, Workspace, run};

/// A step of a check.
struct Step {
    name: &'static str,
    /// Many times what the step takes, so that only a step that hangs is ended.
    limit: Duration,
    work: fn(&Workspace) -> Result<(), Error>,
}

const fn step_of(name: &'static str, minutes: u64, work: fn(&Workspace) -> Result<(), Error>) -> Step {
    Step { name, limit: Duration::from_mins(minutes), work }
}

const LINT: &[Step] =
    &[step_of("format", 5, format), step_of("clippy", 40, clippy), step_of("dependencies", 5, deps::check)];
const TEST: &[Step] = &[
    step_of("documents", 30, documents),
    step_of("build", 40, build),
    step_of("tests", 25, tests),
    step_of("doc tests", 15, doc_tests),
    step_of("arm", 20, arm::quick),
    step_of("interop", 15, interop::test),
    step_of("kotlin", 20, bindings::test_kotlin),
    step_of("swift", 20, bindings::test_swift),
    step_of("conversation", 10, bindings::test_conversation),
];
const LICENCES: &[Step] = &[step_of("licences", 10, licences)];

/// The command with which a check calls this program again for one of its steps, so that the step can be killed.
pub(crate) const STEP: &str = "step";

/// Crash tests kill processes at named stations, which exist only in builds with these features.
pub(crate) const FAULTS: &[&str] = &["--features", "sealpost-e2e/faults,sealpost-relay/faults"];

/// Everything that must pass before a commit is shared.
pub(crate) fn test(workspace: &Workspace) -> Result<(), Error> {
    run_steps(workspace, LINT.iter().chain(TEST))
}

/// The checks that run no tests, including licences if cargo-deny is installed.
pub(crate) fn lint(workspace: &Workspace) -> Result<(), Error> {
    let deny_is_here = workspace.cargo(&["deny", "--version"]).output().is_ok_and(|out| out.status.success());
    let licences = if deny_is_here { LICENCES } else { &[] };
    run_steps(workspace, LINT.iter().chain(licences))
}

/// Runs one step, by its name.
pub(crate) fn step(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    let named = |step: &&Step| arguments.first().is_some_and(|name| name == step.name);
    let step = LINT.iter().chain(TEST).chain(LICENCES).find(named);
    step.map_or_else(|| Err(Error::UnknownVerb(STEP.to_owned())), |step| (step.work)(workspace))
}

fn run_steps<'a>(workspace: &Workspace, steps: impl Iterator<Item = &'a Step>) -> Result<(), Error> {
    judge(steps, |step| {
        let us = std::env::current_exe().map_err(|source| Error::Io { subject: "xtask".into(), source })?;
        let mut command = Command::new(us);
        command.args([STEP, step.name]).current_dir(workspace.path(""));
        match watch::run_within(step.name, command, Some(step.limit))? {
            // The step has already printed what was wrong.
            Ended::Itself(status) => Ok(status.success()),
            Ended::Killed => Ok(false),
        }
    })
}

fn judge<'a>(
    steps: impl Iterator<Item = &'a Step>,
    mut passes: impl FnMut(&Step) -> Result<bool, Error>,
) -> Result<(), Error> {
    let mut results = Vec::new();
    for step in steps {
        eprintln!("\n== {}", step.name);
        let start = Instant::now();
        results.push((step.name, passes(step)?, start.elapsed()));
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

/// Lints both the code that ships and the code for crash tests, which differ by a feature.
fn clippy(workspace: &Workspace) -> Result<(), Error> {
    for features in [&[], FAULTS] {
        let mut command = workspace.cargo(&["clippy", "--workspace", "--all-targets"]);
        command.args(features).args(["--", "-D", "warnings"]);
        run(command)?;
    }
    Ok(())
}

fn licences(workspace: &Workspace) -> Result<(), Error> {
    run(workspace.cargo(&["deny", "check", "licenses", "bans", "sources"]))
}

fn documents(workspace: &Workspace) -> Result<(), Error> {
    let mut command = workspace.cargo(&["doc", "--workspace", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    run(command)
}

/// Builds tests, programs and the library together. For a test, cargo builds only the programs of the same package,
/// but tests of other packages start the relay too, and the bindings load the library.
fn build(workspace: &Workspace) -> Result<(), Error> {
    let mut command = workspace.cargo(&["build", "--workspace", "--lib", "--bins", "--tests"]);
    command.args(FAULTS);
    run(command)
}

/// Cargo runs each test program through this program, so that one that hangs is killed and the others still run.
fn tests(workspace: &Workspace) -> Result<(), Error> {
    let mut command =
        workspace.cargo(&["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"]);
    command.args(watch::runner()?).args(FAULTS);
    command.env("SEALPOST_RELAY_BIN", workspace.binary(Profile::Debug, "sealpost-relay"));
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

    fn nothing(_: &Workspace) -> Result<(), Error> {
        Ok(())
    }

    #[test]
    fn every_step_runs_and_the_failed_ones_are_named() {
        let steps = ["first", "second", "third"].map(|name| step_of(name, 1, nothing));
        let error = judge(steps.iter(), |step| Ok(step.name == "second")).unwrap_err();
        assert!(matches!(error, Error::Steps(names) if names == ["first", "third"]));
        assert!(judge(steps.iter(), |_| Ok(true)).is_ok());
    }

    #[test]
    fn a_step_is_found_by_its_name() {
        let workspace = Workspace::locate().unwrap();
        assert!(step(&workspace, &["dependencies".to_owned()]).is_ok());
        assert!(step(&workspace, &["no such step".to_owned()]).is_err());
    }
}
