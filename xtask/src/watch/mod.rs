//! Runs commands with a time limit: a command that exceeds it is reported and killed, with all processes that it has
//! started.

mod output;
mod processes;
mod program;

use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, not_started};

use processes::Family;
pub(crate) use program::{LIMIT, VERB, passes, run_test_program, runner, runner_before};

/// The interval at which a command is checked.
const LOOK: Duration = Duration::from_millis(20);
/// The interval at which it is reported that a command still runs.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);

/// How a command ended.
pub(crate) enum Ended {
    /// By itself.
    Itself(ExitStatus),
    /// It exceeded the limit and was killed.
    Killed,
}

/// Runs a command, reports at intervals that it still runs, and kills it at the limit, if there is one.
///
/// # Errors
/// [`Error::Io`] if it cannot be started.
pub(crate) fn run_within(name: &str, mut command: Command, limit: Option<Duration>) -> Result<Ended, Error> {
    let start = Instant::now();
    let family = Family::mark(&mut command);
    let mut child = command.spawn().map_err(|source| not_started(&command, source))?;
    let mut said = start;
    loop {
        let status = child.try_wait().map_err(|source| not_started(&command, source))?;
        if let Some(status) = status {
            return Ok(Ended::Itself(status));
        }
        if let Some(limit) = limit
            && start.elapsed() >= limit
        {
            eprintln!(
                "dev: {name} has not ended after {} s; it and what it started are killed",
                limit.as_secs()
            );
            family.show();
            family.kill();
            // If processes cannot be listed, at least this one is killed.
            let _ = child.kill();
            let _ = child.wait();
            return Ok(Ended::Killed);
        }
        if said.elapsed() >= SIGN_OF_LIFE {
            said = Instant::now();
            eprintln!("dev: {name} has been running for {} s", start.elapsed().as_secs());
        }
        thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_command_that_does_not_end_is_killed() {
        let ended =
            run_within("a sleeper", shell("sleep 1000; true"), Some(Duration::from_millis(300))).unwrap();
        assert!(matches!(ended, Ended::Killed));
    }

    #[test]
    fn a_command_that_ends_in_time_is_not_killed() {
        let ended = run_within("a script", shell("exit 3"), None).unwrap();
        assert!(matches!(ended, Ended::Itself(status) if status.code() == Some(3)));
    }
}
