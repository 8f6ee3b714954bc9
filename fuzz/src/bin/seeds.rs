//! Writes the seed inputs of a target: `seeds TARGET FOLDER`.

#![allow(clippy::print_stderr, reason = "a program for the terminal")]

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use sealpost_fuzz::TARGETS;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [name, folder] = arguments.as_slice() else {
        eprintln!("usage: seeds TARGET FOLDER");
        return ExitCode::FAILURE;
    };
    match write(name, Path::new(folder)) {
        Ok(count) => eprintln!("{count} inputs for {name}"),
        Err(error) => {
            eprintln!("seeds: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn write(name: &str, folder: &Path) -> io::Result<usize> {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.ok_or_else(|| io::Error::other(format!("no target {name:?}")))?;
    fs::create_dir_all(folder)?;
    let seeds = (target.seeds)();
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(format!("seed-{number:04}")), seed)?;
    }
    Ok(seeds.len())
}
