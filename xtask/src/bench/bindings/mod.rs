//! Measures what the bindings cost an app: the size of the library and of its parts, and the times that a user would
//! notice.

mod cuts;
mod elf;
mod parts;
mod sizes;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::measured::Measured;
use super::{executable, shown};
use crate::bindings::release::{Crypto, library};
use crate::bindings::{KotlinBench, SwiftBench};
use crate::error::Error;
use crate::workspace::{Workspace, capture};

/// The number of times that each program is started.
const STARTS: usize = 9;

/// The rows of the pages of 50 threads and of 50 messages.
const THREADS: &str = "threads, µs";
const HISTORY: &str = "history, µs";

/// Prints the table of sizes, and then the table of times and memory, as Markdown.
pub(super) fn measure(workspace: &Workspace) -> Result<(), Error> {
    let library = library(workspace, Crypto::Linked)?;
    sizes::print(workspace, &library)?;
    let stripped = library.stripped()?;
    let folder = workspace.target("bench-bindings");
    let device = build_device(workspace)?;
    let history = prepare(&device, &folder)?;

    eprintln!("measuring Rust");
    let mut rust = Command::new(&device);
    rust.arg("measure").arg(&folder);
    let rust = Measured::parse(&capture(rust)?);
    eprintln!("measuring Kotlin");
    let kotlin = KotlinBench::build(workspace, &stripped)?;
    let kotlin = Column::measure(|what| kotlin.command(what, &history))?;
    eprintln!("measuring Swift");
    let swift = SwiftBench::build(workspace, &stripped)?;
    let swift = Column::measure(|what| swift.command(what, &history))?;

    println!("| | Rust | Kotlin | Swift |\n|---|---:|---:|---:|");
    for (row, digits) in [
        ("open to first page, ms", 1),
        ("call, ns", 0),
        ("asynchronous call, ns", 0),
        (THREADS, 0),
        (HISTORY, 0),
    ] {
        let number = rust.number(row, 0);
        let rust =
            if digits == 0 { shown(number) } else { number.map(|ms| format!("{ms:.1}")).unwrap_or_default() };
        let [kotlin, swift] = [&kotlin, &swift].map(|column| column.shown(row));
        println!("| {row} | {rust} | {kotlin} | {swift} |");
    }
    for row in rust.names.iter().filter(|row| row.ends_with(", MB")) {
        let grown = rust.number(row, 0).map(|grown| format!("{grown:.1}")).unwrap_or_default();
        println!("| {row} | {grown} | | |");
    }
    Ok(())
}

/// The figures of one language.
struct Column {
    open_ms: f64,
    call_ns: f64,
    waited_ns: f64,
    threads_us: f64,
    history_us: f64,
}

impl Column {
    /// A program that prints milliseconds when it is given `open`, nanoseconds of two kinds of calls when it is given `calls`, and
    /// microseconds of two kinds of pages when it is given `pages`.
    fn measure(command: impl Fn(&str) -> Command) -> Result<Self, Error> {
        let mut opens = Vec::new();
        for _ in 0..STARTS {
            opens.extend(numbers(&capture(command("open"))?));
        }
        opens.sort_unstable_by(f64::total_cmp);
        let calls = numbers(&capture(command("calls"))?);
        let pages = numbers(&capture(command("pages"))?);
        match (opens.get(opens.len() / 2), calls.as_slice(), pages.as_slice()) {
            (Some(&open_ms), &[call_ns, waited_ns], &[threads_us, history_us]) => {
                Ok(Self { open_ms, call_ns, waited_ns, threads_us, history_us })
            }
            _ => Err(Error::Failed("a benchmark printed unexpected numbers".to_owned())),
        }
    }

    fn shown(&self, row: &str) -> String {
        match row {
            "call, ns" => shown(Some(self.call_ns)),
            "asynchronous call, ns" => shown(Some(self.waited_ns)),
            THREADS => shown(Some(self.threads_us)),
            HISTORY => shown(Some(self.history_us)),
            _ => format!("{:.1}", self.open_ms),
        }
    }
}

/// One number on each line; other lines are ignored.
fn numbers(output: &str) -> Vec<f64> {
    output.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

fn build_device(workspace: &Workspace) -> Result<PathBuf, Error> {
    let arguments = ["bench", "-p", "sealpost-ffi", "--bench", "device", "--no-run", "--message-format=json"];
    let messages = capture(workspace.cargo(&arguments))?;
    executable(&messages).ok_or(Error::Failed("cargo has not reported the path of the benchmark".to_owned()))
}

/// A new account with a long history.
fn prepare(device: &Path, folder: &Path) -> Result<PathBuf, Error> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|source| Error::Io { subject: folder.into(), source })?;
    }
    fs::create_dir_all(folder).map_err(|source| Error::Io { subject: folder.into(), source })?;
    eprintln!("writing a history of 100,000 messages");
    let mut prepare = Command::new(device);
    prepare.arg("prepare").arg(folder);
    capture(prepare)?;
    Ok(folder.join("history.db"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_among_lines() {
        assert_eq!(numbers("[INFO] hello\n12.5\n 7\n\n"), [12.5, 7.0]);
    }
}
