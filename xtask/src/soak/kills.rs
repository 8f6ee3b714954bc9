//! Runs the tests that kill the relay for minutes, with another seed each time.

use super::minutes_and_seed;
use crate::error::Error;
use crate::workspace::{Workspace, run};

/// Kills the relay repeatedly, and checks each history. The first seed is the argument, or the time; it is printed,
/// so that a history can be reproduced as far as scheduling allows.
pub(crate) fn run_all(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    let (minutes, seed) = minutes_and_seed(arguments)?;
    eprintln!("dev: the relay is killed for {minutes} minutes, with the seeds from {seed} on");
    let mut command = workspace.cargo(&["test", "-p", "sealpost-relay", "--features", "faults"]);
    command.args(["--test", "relay", "kills::", "--", "--nocapture"]);
    command.env("SEALPOST_SOAK_MINUTES", minutes).env("SEALPOST_SOAK_SEED", seed);
    run(command)
}
