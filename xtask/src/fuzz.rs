//! `fuzz` runs every target for some seconds, and reports the results.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::error::{Error, not_started};
use crate::workspace::{Workspace, run};

/// The programs, and their corpora: `fuzz/corpus/NAME`.
const PROGRAMS: &str = "fuzz/libfuzzer";
const CORPORA: &str = "fuzz/corpus";
/// The inputs that runs on this machine found, and their logs.
const FOUND: &str = ".cache/fuzz";

/// The default duration for a target, in seconds.
const SECONDS: u32 = 60;
/// Limits for one allocation, for all allocations, and for the time of one input; exceeding them is a finding.
const LIMITS: [&str; 4] = ["-malloc_limit_mb=64", "-rss_limit_mb=1024", "-timeout=10", "-max_len=16384"];

/// The arguments: `[SECONDS] [TARGET]`, or `keep [TARGET]`.
pub(crate) fn run_targets(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    let (verb, name) = match arguments {
        [first, ..] if first == "keep" => (Verb::Keep, arguments.get(1)),
        [first, ..] => match first.parse() {
            Ok(seconds) => (Verb::Run(seconds), arguments.get(1)),
            Err(_) => (Verb::Run(SECONDS), Some(first)),
        },
        [] => (Verb::Run(SECONDS), None),
    };
    let mut targets = targets(workspace)?;
    if let Some(name) = name {
        targets.retain(|target| target == name);
        if targets.is_empty() {
            return Err(Error::UnknownFuzzTarget(name.clone()));
        }
    }
    match verb {
        Verb::Run(seconds) => run_all(workspace, &targets, seconds),
        Verb::Keep => targets.iter().try_for_each(|target| keep(workspace, target)),
    }
}

enum Verb {
    Run(u32),
    Keep,
}

/// The names of the programs, in order.
fn targets(workspace: &Workspace) -> Result<Vec<String>, Error> {
    let sources = files(&workspace.path(PROGRAMS).join("fuzz_targets"))?;
    let stem = |path: &PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    Ok(sources.iter().filter_map(stem).collect())
}

fn run_all(workspace: &Workspace, targets: &[String], seconds: u32) -> Result<(), Error> {
    eprintln!("building the targets; the first time takes some minutes");
    run(cargo_fuzz(workspace, "build"))?;
    let mut reports = Vec::new();
    for target in targets {
        eprintln!("\n== {target}, {seconds} s");
        let report = Report::of(&fuzz(workspace, target, seconds)?);
        if let Some(finding) = &report.finding {
            eprintln!("{finding}\nits output is in {}", log(workspace, target).display());
        }
        eprintln!("{report}");
        reports.push((target, report));
    }
    eprintln!();
    for (target, report) in &reports {
        eprintln!("{} {target:<12} {report}", if report.finding.is_none() { "ok    " } else { "FOUND " });
    }
    let found = reports.iter().filter(|(_, report)| report.finding.is_some());
    let found: Vec<String> = found.map(|(target, _)| (*target).clone()).collect();
    if found.is_empty() { Ok(()) } else { Err(Error::Findings(found)) }
}

/// Runs one target, starting with the corpus and with what earlier runs found.
fn fuzz(workspace: &Workspace, target: &str, seconds: u32) -> Result<Output, Error> {
    let found = found(workspace, target)?;
    let mut command = cargo_fuzz(workspace, "run");
    command.arg(target).arg(found).arg(workspace.path(CORPORA).join(target));
    command.arg("--").args(LIMITS).arg("-print_final_stats=1").arg(format!("-max_total_time={seconds}"));
    let output = command.output().map_err(|source| not_started(&command, source))?;
    let log = log(workspace, target);
    fs::write(&log, &output.stderr).map_err(|source| Error::Io { subject: log, source })?;
    Ok(output)
}

/// Replaces the corpus by the fewest inputs with the same coverage, out of the seeds, the corpus and what was found.
fn keep(workspace: &Workspace, target: &str) -> Result<(), Error> {
    let (corpus, work) = (workspace.path(CORPORA).join(target), workspace.path(FOUND).join("keep"));
    let (seeds, kept) = (work.join("seeds"), work.join(target));
    for folder in [&corpus, &seeds, &kept] {
        if folder != &corpus && folder.exists() {
            fs::remove_dir_all(folder).map_err(|source| Error::Io { subject: folder.clone(), source })?;
        }
        create(folder)?;
    }
    let mut write_seeds = workspace.cargo(&["run", "-p", "sealpost-fuzz", "--bin", "seeds", "--", target]);
    write_seeds.arg(&seeds);
    run(write_seeds)?;
    let mut merge = cargo_fuzz(workspace, "run");
    merge.arg(target).args([&kept, &seeds, &corpus, &found(workspace, target)?]);
    // Without counters, only whether code was reached counts, not how often; this needs a tenth of the files.
    merge.args(["--", "-set_cover_merge=1", "-use_counters=0"]).args(LIMITS);
    run(merge)?;
    replace(&corpus, &kept)
}

/// Replaces the files of `corpus` by those of `new`, except the regression inputs.
fn replace(corpus: &Path, new: &Path) -> Result<(), Error> {
    let is_regression =
        |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("regression-"));
    for old in files(corpus)?.iter().filter(|path| !is_regression(path)) {
        fs::remove_file(old).map_err(|source| Error::Io { subject: old.clone(), source })?;
    }
    let new = files(new)?;
    for (from, name) in new.iter().filter_map(|path| Some((path, path.file_name()?))) {
        fs::copy(from, corpus.join(name)).map_err(|source| Error::Io { subject: from.clone(), source })?;
    }
    eprintln!("{} inputs in {}", new.len(), corpus.display());
    Ok(())
}

/// A call of cargo-fuzz with a nightly compiler, which the sanitizer needs.
fn cargo_fuzz(workspace: &Workspace, verb: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "fuzz", verb, "--fuzz-dir"]).arg(workspace.path(PROGRAMS));
    command.arg("--target-dir").arg(workspace.target("fuzz"));
    // The variables that cargo sets for the programs that it starts refer to the stable toolchain.
    command.env_remove("CARGO").env_remove("CARGO_TARGET_DIR");
    command
}

fn found(workspace: &Workspace, target: &str) -> Result<PathBuf, Error> {
    let folder = workspace.path(FOUND).join(target);
    create(&folder)?;
    Ok(folder)
}

fn log(workspace: &Workspace, target: &str) -> PathBuf {
    workspace.path(FOUND).join(target).with_extension("log")
}

fn create(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|source| Error::Io { subject: folder.to_owned(), source })
}

/// The files of a folder by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|source| Error::Io { subject: folder.to_owned(), source })?;
    let mut files: Vec<_> = entries.iter().map(fs::DirEntry::path).collect();
    files.sort();
    Ok(files)
}

/// The result that libFuzzer printed at the end.
#[derive(Debug, PartialEq, Eq)]
struct Report {
    executions: String,
    coverage: String,
    corpus: String,
    /// Why it stopped early, and the input.
    finding: Option<String>,
}

impl Report {
    fn of(output: &Output) -> Self {
        let said = String::from_utf8_lossy(&output.stderr);
        let finding = (!output.status.success()).then(|| Self::finding(&said));
        Self { finding, ..Self::of_statistics(&said) }
    }

    /// Parses lines such as `#4242 DONE cov: 17 ft: 18 corp: 5/13b lim: 4096 exec/s: 70 rss: 30Mb`.
    fn of_statistics(said: &str) -> Self {
        let last = said.lines().rev().find(|line| line.starts_with('#') && line.contains(" cov: "));
        let words: Vec<&str> = last.unwrap_or_default().split_whitespace().collect();
        let after = |word: &str| words.iter().skip_while(|other| **other != word).nth(1);
        let owned = |word: Option<&&str>| word.map_or_else(|| "?".to_owned(), |word| (*word).to_owned());
        let executions = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        let first = words.first().map(|word| word.trim_start_matches('#'));
        Self {
            executions: executions.map(str::trim).or(first).unwrap_or("?").to_owned(),
            coverage: owned(after("cov:")),
            corpus: owned(after("corp:")),
            finding: None,
        }
    }

    fn finding(said: &str) -> String {
        let marks = ["panicked at", "ERROR: ", "SUMMARY: ", "Test unit written to "];
        let mut lines = said.lines().peekable();
        let mut telling = Vec::new();
        while let Some(line) = lines.next() {
            if marks.iter().any(|mark| line.contains(mark)) {
                telling.push(line);
                // The message of a panic is on the next line.
                if line.contains("panicked at") {
                    telling.extend(lines.peek());
                }
            }
        }
        telling.join("\n")
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { executions, coverage, corpus, finding: _ } = self;
        write!(f, "{executions:>10} executions   coverage {coverage:>6}   corpus {corpus}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_final_statistics_are_parsed() {
        let said = "#2\tINITED cov: 3 ft: 3 corp: 1/1b exec/s: 0 rss: 30Mb\n\
                    #4242\tDONE   cov: 17 ft: 18 corp: 5/13b lim: 4096 exec/s: 70 rss: 30Mb\n\
                    stat::number_of_executed_units: 4243\n";
        let report = Report::of_statistics(said);
        assert_eq!(
            report.to_string().split_whitespace().collect::<Vec<_>>(),
            ["4243", "executions", "coverage", "17", "corpus", "5/13b"]
        );
    }

    #[test]
    fn the_statistics_of_an_interrupted_run_are_parsed() {
        let report = Report::of_statistics("#77\tNEW    cov: 9 ft: 9 corp: 2/2b exec/s: 0 rss: 30Mb\n");
        assert_eq!((report.executions.as_str(), report.coverage.as_str()), ("77", "9"));
        assert_eq!(Report::of_statistics("").executions, "?");
    }

    #[test]
    fn a_finding_is_reported_with_its_message() {
        let said =
            "thread panicked at src/a.rs:1:1:\nindex out of bounds\nnoise\nTest unit written to x/crash-1\n";
        let expected =
            "thread panicked at src/a.rs:1:1:\nindex out of bounds\nTest unit written to x/crash-1";
        assert_eq!(Report::finding(said), expected);
    }
}
