//! `relay-check HISTORY [--log FILE]` checks a recorded history of a relay, and its log.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that talks to a person at a terminal"
)]

use std::process::ExitCode;

use sealpost_relay_check::{History, judge, linear};

const USAGE: &str = "\
relay-check HISTORY [--log FILE]

  HISTORY     events of the clients and the dump of the store, one JSON object a line
  --log FILE  what the relay logged meanwhile

Exit code 0: both judges find nothing; 1: one of them does; 2: there is nothing to judge.";

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
    for (invariant, found) in judge(history) {
        match found {
            Ok(judged) => println!("ok      {invariant:<28}{judged:>8} judged"),
            Err(violation) => {
                good = false;
                println!("BROKEN  {invariant:<28}{violation}");
            }
        }
    }
    match linear::judge(history) {
        Ok(judged) => println!("ok      {:<28}{judged:>8} judged", "linearizable"),
        Err(violation) => {
            good = false;
            println!("BROKEN  {:<28}{violation}", "linearizable");
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
