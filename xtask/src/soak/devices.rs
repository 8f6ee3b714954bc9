//! Lets devices come and go while people talk, for minutes, with another seed each time.

use super::minutes_and_seed;
use crate::error::Error;
use crate::workspace::{Workspace, run};

/// The first seed is the argument, or the time. Each is printed, so that a talk can be repeated as far as scheduling allows.
pub(crate) fn run_all(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    let (minutes, seed) = minutes_and_seed(arguments)?;
    eprintln!("dev: devices come and go for {minutes} minutes, with the seeds from {seed} on");
    let mut command = workspace.cargo(&["test", "-p", "sealpost-e2e", "--test", "devices_come_and_go"]);
    command.args(["--", "--nocapture"]);
    command.env("SEALPOST_SOAK_MINUTES", minutes).env("SEALPOST_SOAK_SEED", seed);
    run(command)
}
