//! `mutants`: break the ratchets in some hundreds of ways, one at a time, and see whether a test notices.

use crate::error::Error;
use crate::workspace::{Workspace, run};

/// Another version would make other mutants, and `.cargo/mutants.toml` explains those of this one.
const VERSION: &str = "27.1.0";

/// Runs cargo-mutants, which reads `.cargo/mutants.toml`. A mutant that no test notices is a failure.
pub(crate) fn run_all(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    let shown = workspace.cargo(&["mutants", "--version"]).output();
    if !shown.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).trim_end().ends_with(VERSION)) {
        eprintln!("dev: installing cargo-mutants {VERSION} with cargo; that takes some minutes, once");
        run(workspace.cargo(&["install", "--locked", &format!("cargo-mutants@{VERSION}")]))?;
    }
    let mut command = workspace.cargo(&["mutants"]);
    command.args(arguments);
    run(command)
}
