//! `mutants`: break the ratchets in some hundreds of ways, one at a time, and see whether a test notices.

use crate::error::Error;
use crate::workspace::{Workspace, run, run_to};

/// Another version would make other mutants, and `.cargo/mutants.toml` explains those of this one.
const VERSION: &str = "27.1.0";

/// The tests that a ratchet can fail.
const TESTS: [&str; 7] = [
    "--cargo-arg=--lib",
    "--cargo-arg=--test=first_talk",
    "--cargo-arg=--test=group",
    "--cargo-arg=--test=interaction",
    "--cargo-arg=--test=redaction",
    "--cargo-arg=--test=stored_sessions",
    "--cargo-arg=--test=vectors",
];

/// What cargo-mutants ends with when no test noticed one of them, and when a test did not end.
const MISSED: i32 = 2;
const TIMED_OUT: i32 = 3;

/// Runs cargo-mutants, which reads `.cargo/mutants.toml`. A mutant that no test notices is a failure.
///
/// The unit tests notice most of them, and are built and run in a third of the time: all tests see only what is left.
pub(crate) fn run_all(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    let shown = workspace.cargo(&["mutants", "--version"]).output();
    if !shown.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).trim_end().ends_with(VERSION)) {
        eprintln!("dev: installing cargo-mutants {VERSION} with cargo; that takes some minutes, once");
        run(workspace.cargo(&["install", "--locked", &format!("cargo-mutants@{VERSION}")]))?;
    }
    let [unit_tests, ..] = TESTS;
    let mut first = workspace.cargo(&["mutants", unit_tests]);
    first.args(arguments);
    run_to(first, &[0, MISSED, TIMED_OUT])?;
    let mut second = workspace.cargo(&["mutants", "--iterate"]);
    second.args(TESTS).args(arguments);
    run_to(second, &[0, TIMED_OUT])
}
