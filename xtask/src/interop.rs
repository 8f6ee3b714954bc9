//! The suite in `tests/interop`, which tests our implementation against Signal's own published library, in both
//! directions.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::checks::FAULTS;
use crate::error::Error;
use crate::workspace::{Profile, Workspace, run};

/// Builds our program, and runs the suite with it.
pub(crate) fn build_and_test(workspace: &Workspace) -> Result<(), Error> {
    run(workspace.cargo(&["build", "-p", "interop-peer"]))?;
    test(workspace)
}

/// Runs the suite with the program that was built.
pub(crate) fn test(workspace: &Workspace) -> Result<(), Error> {
    let folder = workspace.path("tests/interop");
    install(&folder)?;
    let mut suite = Command::new("node");
    suite.args(["--test", "--test-reporter=spec"]).current_dir(folder);
    suite.env("SEALPOST_INTEROP_PEER", workspace.binary(Profile::Debug, "interop-peer"));
    run(suite)?;
    // With the features of the other tests, so that nothing is built twice.
    let mut clients = workspace.cargo(&["test", "-p", "sealpost-e2e", "--test", "signal_in_groups"]);
    clients.args(FAULTS).args(["--", "--ignored"]);
    run(clients)
}

/// Installs what the lock file names, unless it is already installed.
pub(crate) fn install(folder: &Path) -> Result<(), Error> {
    let lock_file = folder.join("package-lock.json");
    let lock = fs::read(&lock_file).map_err(|source| Error::Io { subject: lock_file, source })?;
    let installed = folder.join("node_modules/.installed-lock.json");
    if fs::read(&installed).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    eprintln!("installing the published versions of Signal's library in tests/interop (once, 400 MB)");
    let mut npm = Command::new("npm");
    npm.args(["ci", "--loglevel=error"]).current_dir(folder);
    run(npm)?;
    // Written last, so that an incomplete installation is repeated.
    fs::write(&installed, lock).map_err(|source| Error::Io { subject: installed, source })
}
