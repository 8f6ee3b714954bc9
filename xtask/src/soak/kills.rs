//! Runs the tests that kill the relay for minutes, with another seed each time.

use crate::error::Error;
use crate::workspace::{Workspace, run};

/// The default duration.
const MINUTES: &str = "10";

/// Kills the relay repeatedly, and checks each history. The first seed is the argument, or the time; it is printed,
/// so that a history can be reproduced as far as scheduling allows.
pub(crate) fn run_all(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    let minutes = arguments.first().map_or(MINUTES, String::as_str);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seed = arguments.get(1).cloned().unwrap_or_else(|| now.as_secs().to_string());
    if let Some(word) = [minutes, &seed].into_iter().find(|word| word.parse::<u64>().is_err()) {
        return Err(Error::NoNumber(word.to_owned()));
    }
    eprintln!("dev: the relay is killed for {minutes} minutes, with the seeds from {seed} on");
    let mut command = workspace.cargo(&["test", "-p", "sealpost-relay", "--features", "faults"]);
    command.args(["--test", "relay", "kills::", "--", "--nocapture"]);
    command.env("SEALPOST_SOAK_MINUTES", minutes).env("SEALPOST_SOAK_SEED", seed);
    run(command)
}
