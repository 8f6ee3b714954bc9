//! The errors of tasks, as sentences for the caller.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use crate::deps::Violation;

/// Why a task stopped.
#[derive(Debug)]
pub(crate) enum Error {
    /// The command does not exist.
    UnknownVerb(String),
    /// An argument must be a number.
    NoNumber(String),
    /// The group of benchmarks does not exist.
    UnknownBench(String),
    /// The fuzz target does not exist.
    UnknownFuzzTarget(String),
    /// These fuzz targets found something, which was printed.
    Findings(Vec<String>),
    /// A program could not be started, or a file could not be read.
    Io {
        /// The program or file.
        subject: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A command failed, and has printed the reason.
    Failed(String),
    /// Some steps of a check failed, in this order.
    Steps(Vec<&'static str>),
    /// These packages have no test programs.
    NoTests(Vec<String>),
    /// Runs of test programs failed; each was printed.
    Runs {
        /// The number of failed runs.
        failed: usize,
        /// The number of all runs.
        all: usize,
    },
    /// The names that apps compile against differ from the golden copy.
    Api {
        /// The golden copy.
        golden: PathBuf,
        /// The names of this build.
        draft: PathBuf,
    },
    /// Dependency rules are violated.
    Rules(Vec<Violation>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownVerb(verb) => write!(f, "there is no command {verb:?}; ./dev help lists them"),
            Self::NoNumber(word) => write!(f, "{word:?} is not a number"),
            Self::UnknownBench(name) => {
                write!(
                    f,
                    "there are no benchmarks {name:?}; choose protocol, relay, client, groups, bindings or all"
                )
            }
            Self::UnknownFuzzTarget(name) => {
                write!(f, "there is no fuzz target {name:?} in fuzz/libfuzzer/fuzz_targets")
            }
            Self::Findings(targets) => write!(f, "these targets have findings: {}", targets.join(", ")),
            Self::Io { subject, source } => write!(f, "{}: {source}", subject.display()),
            Self::Failed(command) => write!(f, "failed: {command}"),
            Self::Steps(names) => write!(f, "failed: {}", names.join(", ")),
            Self::NoTests(packages) => write!(f, "no test programs in {}", packages.join(", ")),
            Self::Runs { failed, all } => write!(f, "{failed} of {all} runs of test programs failed"),
            Self::Api { golden, draft } => write!(
                f,
                "{} differs from what apps would compile against; if that is intended, replace it by {}",
                golden.display(),
                draft.display()
            ),
            Self::Rules(violations) => {
                write!(f, "{} dependency rules are violated", violations.len())?;
                violations.iter().try_for_each(|violation| write!(f, "\n  {violation}"))
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// A program that could not be started.
pub(crate) fn not_started(command: &Command, source: io::Error) -> Error {
    Error::Io { subject: command.get_program().into(), source }
}
