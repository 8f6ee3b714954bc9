//! The demonstration: two people, or more in a group, talk over a relay, with every kind of content, while failures occur. One of them links
//! a companion in mid-talk; in a group, somebody is added and somebody is removed. All have what they may have in the end, and nothing is lost,
//! duplicated or readable by others.
//!
//! `./dev demo [--input FILE] [--seed NUMBER]`

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod act;
mod cut;
mod figures;
mod group;
mod live;
mod model;
mod perform;
mod plan;
mod run;
mod scan;
mod side;
mod stage;
mod talk;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;

use rand::RngExt as _;
use talk::Talk;

const HELP: &str = "\
sealpost-demo [--input FILE] [--seed NUMBER] [--relay-bin PATH]

  --input FILE      the conversation: UTF-8, lines of the form `name: text`, at least two names; `-` for standard input;
                    more than two make a group; a sample is built in
  --seed NUMBER     chooses what happens between the lines; a new one for each run by default
  --relay-bin PATH  the relay to start";

struct Arguments {
    input: Option<PathBuf>,
    relay: Option<PathBuf>,
    seed: Option<u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(what) => {
            eprintln!("demo: {what}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let talk = match &arguments.input {
        Some(path) => Talk::read(path),
        None => Talk::parse(include_bytes!("../talk.txt")),
    };
    let talk = match talk {
        Ok(talk) => talk,
        Err(error) => {
            eprintln!("demo: the input is not a conversation: {error}");
            return ExitCode::from(2);
        }
    };
    let relay = arguments.relay.unwrap_or_else(sealpost_testkit::relay_binary);
    let seed = arguments.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    match run::run(&talk, &relay, seed).await {
        Ok(table) => {
            println!("\n{table}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("demo: FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `None` if help was requested.
fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let mut arguments = Arguments { input: None, relay: None, seed: None };
    while let Some(word) = words.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        if matches!(flag.as_str(), "--help" | "-h") {
            return Ok(None);
        }
        if !matches!(flag.as_str(), "--input" | "--relay-bin" | "--seed") {
            return Err(format!("{flag} is not a known option"));
        }
        let value = value.or_else(|| words.next()).ok_or_else(|| format!("{flag} requires a value"))?;
        match flag.as_str() {
            "--seed" => {
                let seed =
                    value.parse().map_err(|_| format!("{value} is not a number from 0 to {}", u64::MAX));
                arguments.seed = Some(seed?);
            }
            "--input" if value == "-" => arguments.input = Some(value.into()),
            "--input" => arguments.input = Some(from_callers_folder(value.into())),
            _ => arguments.relay = Some(from_callers_folder(value.into())),
        }
    }
    Ok(Some(arguments))
}

/// Resolves a path relative to the folder in which the user called `./dev`, which itself runs at the top of the
/// checkout.
fn from_callers_folder(path: PathBuf) -> PathBuf {
    match std::env::var_os("SEALPOST_CALLER_DIR") {
        Some(folder) if path.is_relative() => PathBuf::from(folder).join(path),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(words: &[&str]) -> Option<PathBuf> {
        parse(words.iter().map(|word| (*word).to_owned())).unwrap().unwrap().input
    }

    #[test]
    fn a_seed_is_a_number() {
        let seed = |word: &str| parse(["--seed".to_owned(), word.to_owned()].into_iter());
        assert_eq!(seed("12").unwrap().unwrap().seed, Some(12));
        assert!(seed("twelve").is_err());
    }

    #[test]
    fn a_dash_means_standard_input() {
        assert_eq!(input(&["--input", "-"]), Some("-".into()));
        assert_eq!(input(&["--input=-"]), Some("-".into()));
        assert_eq!(input(&[]), None);
        assert!(parse(["--input".to_owned()].into_iter()).is_err());
    }
}
