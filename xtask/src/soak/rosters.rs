//! Repeats the race of removals and messages of a group.

use super::number;
use crate::error::Error;
use crate::workspace::{Workspace, run};

/// 1,000 rounds, or the given number.
pub(crate) fn run_all(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    let rounds = number(arguments, 1_000)?;
    let mut command = workspace.cargo(&["test", "-p", "sealpost-relay", "--test", "relay"]);
    command.args(["roster_race::", "--", "--nocapture"]).env("SEALPOST_SOAK_ROUNDS", rounds.to_string());
    run(command)
}
