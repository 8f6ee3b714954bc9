//! Waits for a process to end, with a time limit.

use std::io;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Much longer than any of the processes takes: the exit itself waits for the database for at most five seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It exited with this code.
    Code(i32),
    /// It crashed, or was killed from outside.
    Signal,
    /// It did not end, and was killed by [`ending_of`].
    Hung,
}

/// Runs a process to its end, without its output.
///
/// # Errors
/// If it cannot be started or watched.
pub fn ending_of(command: &mut Command) -> io::Result<Ending> {
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let started = Instant::now();
    loop {
        if let Some(status) = process.try_wait()? {
            return Ok(status.code().map_or(Ending::Signal, Ending::Code));
        }
        if started.elapsed() > LIMIT {
            process.kill()?;
            process.wait()?;
            return Ok(Ending::Hung);
        }
        sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Ending {
        ending_of(Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn a_crash_is_not_taken_for_an_exit() {
        assert_eq!(shell("exit 0"), Ending::Code(0));
        assert_eq!(shell("exit 101"), Ending::Code(101));
        assert_eq!(shell("kill -SEGV $$"), Ending::Signal);
    }
}
