//! `soak` runs for minutes what the tests do in seconds: with other seeds each time, on a busy machine, or many times.

mod busy;
mod devices;
mod exits;
mod kills;
mod outage;
mod programs;

use crate::error::Error;
use crate::workspace::Workspace;

/// The arguments: `[MINUTES] [SEED]`, `devices [MINUTES] [SEED]`, `tests [ROUNDS] [PACKAGE…]`, `exits [ROUNDS]`, or `outage [CLIENTS]`.
pub(crate) fn run_all(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    match arguments.split_first() {
        Some((verb, rest)) if verb == "devices" => devices::run_all(workspace, rest),
        Some((verb, rest)) if verb == "tests" => programs::run_all(workspace, rest),
        Some((verb, rest)) if verb == "exits" => exits::run_all(workspace, rest),
        Some((verb, rest)) if verb == "outage" => outage::run(workspace, rest),
        _ => kills::run_all(workspace, arguments),
    }
}

/// The duration in minutes, 10 by default, and the first seed, which is the time by default.
fn minutes_and_seed(arguments: &[String]) -> Result<(String, String), Error> {
    let minutes = arguments.first().cloned().unwrap_or_else(|| "10".to_owned());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seed = arguments.get(1).cloned().unwrap_or_else(|| now.as_secs().to_string());
    let wrong = [&minutes, &seed].into_iter().find(|word| word.parse::<u64>().is_err()).cloned();
    match wrong {
        Some(word) => Err(Error::NoNumber(word)),
        None => Ok((minutes, seed)),
    }
}

/// The first argument, a number of at least one.
fn number(arguments: &[String], default: u32) -> Result<u32, Error> {
    let Some(word) = arguments.first() else { return Ok(default) };
    word.parse().ok().filter(|number| *number > 0).ok_or_else(|| Error::NoNumber(word.clone()))
}
