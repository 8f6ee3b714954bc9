//! `relay-check HISTORY [--log FILE]` checks a recorded history of a relay, and its log.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::process::ExitCode;

use sealpost_relay_check::{History, check, linear};

const USAGE: &str = "\
relay-check HISTORY [--log FILE]

  HISTORY     events of the clients and the dump of the store, one JSON object a line
  -- log FILE  the log of the relay

Exit code: 0 if both checkers accept the history, 1 if one rejects it, 2 if it cannot be read.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (history, log) = match arguments[..] {
        [history] => (history, None),
        [history, "--log", log] => (history, Some(log)),
        _ => return say(USAGE),
    };
    match read(history, log) {
        Ok(history) => report(&history),
        Err(error) => say(&error.to_string()),
    }
}

fn say(error: &str) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(2)
}

fn read(history: &str, log: Option<&str>) -> Result<History, Box<dyn std::error::Error>> {
    let mut history = History::parse(&std::fs::read_to_string(history)?)?;
    if let Some(log) = log {
        history.log = std::fs::read_to_string(log)?;
    }
    Ok(history)
}

fn report(history: &History) -> ExitCode {
    let mut good = true;
    for (invariant, found) in check(history) {
        match found {
            Ok(checked) => println!("ok      {invariant:<28}{checked:>8} checked"),
            Err(violation) => {
                good = false;
                println!("FAILED  {invariant:<28}{violation}");
            }
        }
    }
    match linear::check(history) {
        Ok(checked) => println!("ok      {:<28}{checked:>8} checked", "linearizable"),
        Err(violation) => {
            good = false;
            println!("FAILED  {:<28}{violation}", "linearizable");
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
