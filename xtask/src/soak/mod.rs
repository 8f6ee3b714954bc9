//! `soak` runs for minutes what the tests do in seconds: with other seeds each time, on a busy machine, or many times.

mod busy;
mod exits;
mod kills;
mod programs;

use crate::error::Error;
use crate::workspace::Workspace;

/// The arguments: `[MINUTES] [SEED]`, `tests [ROUNDS] [PACKAGE…]`, or `exits [ROUNDS]`.
pub(crate) fn run_all(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    match arguments.split_first() {
        Some((verb, rest)) if verb == "tests" => programs::run_all(workspace, rest),
        Some((verb, rest)) if verb == "exits" => exits::run_all(workspace, rest),
        _ => kills::run_all(workspace, arguments),
    }
}
