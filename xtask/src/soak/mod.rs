//! `soak` runs for minutes what the tests do in seconds: with other seeds each time, on a busy machine, or many times.

mod busy;
mod exits;
mod kills;
mod outage;
mod programs;

use crate::error::Error;
use crate::workspace::Workspace;

/// The arguments: `[MINUTES] [SEED]`, `tests [ROUNDS] [PACKAGE…]`, `exits [ROUNDS]`, or `outage [CLIENTS]`.
pub(crate) fn run_all(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    match arguments.split_first() {
        Some((verb, rest)) if verb == "tests" => programs::run_all(workspace, rest),
        Some((verb, rest)) if verb == "exits" => exits::run_all(workspace, rest),
        Some((verb, rest)) if verb == "outage" => outage::run(workspace, rest),
        _ => kills::run_all(workspace, arguments),
    }
}

/// The first argument, a number of at least one.
fn number(arguments: &[String], default: u32) -> Result<u32, Error> {
    let Some(word) = arguments.first() else { return Ok(default) };
    word.parse().ok().filter(|number| *number > 0).ok_or_else(|| Error::NoNumber(word.clone()))
}
