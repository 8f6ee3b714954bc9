//! `soak exits` ends many processes in each way in which a process can end while a client is at work.

use crate::bindings;
use crate::error::Error;
use crate::workspace::{Workspace, run};

/// The default number of processes for each way.
const ROUNDS: u32 = 200;

/// `[ROUNDS]`: Rust programs first, then JVMs and Swift programs.
pub(super) fn run_all(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    let rounds = rounds(arguments)?;
    eprintln!("dev: {rounds} processes end in each way, in Rust, on the JVM, and in Swift");
    let mut command = workspace.cargo(&["test", "-p", "sealpost-e2e", "--test", "process_exit"]);
    command.env(bindings::ROUNDS, rounds.to_string());
    run(command)?;
    bindings::test_exits(workspace, rounds)
}

fn rounds(arguments: &[String]) -> Result<u32, Error> {
    super::number(arguments, ROUNDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_rounds_is_at_least_one() {
        assert_eq!(rounds(&[]).unwrap(), ROUNDS);
        assert_eq!(rounds(&["3".to_owned()]).unwrap(), 3);
        for nonsense in ["0", "-1", "many"] {
            assert!(matches!(rounds(&[nonsense.to_owned()]), Err(Error::NoNumber(word)) if word == nonsense));
        }
    }
}
