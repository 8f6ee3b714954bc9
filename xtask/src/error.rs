//! What can go wrong in a task, as a sentence for the person who called it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use crate::deps::Violation;

/// Why a task stopped.
#[derive(Debug)]
pub(crate) enum Error {
    /// The caller named a verb that is not there.
    UnknownVerb(String),
    /// This is to be a number.
    NoNumber(String),
    /// The caller named a group of benchmarks that is not there.
    UnknownBench(String),
    /// The caller named a fuzz target that is not there.
    UnknownFuzzTarget(String),
    /// These fuzz targets found something; it has been printed.
    Findings(Vec<String>),
    /// A program could not be started, or a file not be read.
    Io {
        /// The program or file.
        subject: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A command ran and failed; it has printed why.
    Failed(String),
    /// Some steps of a check failed, in this order.
    Steps(Vec<&'static str>),
    /// These packages have no test programs.
    NoTests(Vec<String>),
    /// So many runs of test programs failed; each has been printed.
    Runs {
        /// Those that failed.
        failed: usize,
        /// All of them.
        all: usize,
    },
    /// The names that apps compile against are not those that were agreed on.
    Api {
        /// The agreed ones.
        golden: PathBuf,
        /// Those of this build.
        draft: PathBuf,
    },
    /// Dependency rules are broken.
    Rules(Vec<Violation>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownVerb(verb) => write!(f, "no verb {verb:?}; ./dev help lists them"),
            Self::NoNumber(word) => write!(f, "{word:?} is no number"),
            Self::UnknownBench(name) => {
                write!(f, "no benchmarks {name:?}; there are protocol, relay, client, bindings and all")
            }
            Self::UnknownFuzzTarget(name) => {
                write!(f, "no fuzz target {name:?} in fuzz/libfuzzer/fuzz_targets")
            }
            Self::Findings(targets) => write!(f, "found something: {}", targets.join(", ")),
            Self::Io { subject, source } => write!(f, "{}: {source}", subject.display()),
            Self::Failed(command) => write!(f, "failed: {command}"),
            Self::Steps(names) => write!(f, "failed: {}", names.join(", ")),
            Self::NoTests(packages) => write!(f, "no test programs in {}", packages.join(", ")),
            Self::Runs { failed, all } => write!(f, "{failed} of {all} runs of test programs failed"),
            Self::Api { golden, draft } => write!(
                f,
                "{} is not what apps would compile against; if that is meant, replace it by {}",
                golden.display(),
                draft.display()
            ),
            Self::Rules(violations) => {
                write!(f, "{} dependency rules broken", violations.len())?;
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

/// A program that could not even be started.
pub(crate) fn not_started(command: &Command, source: io::Error) -> Error {
    Error::Io { subject: command.get_program().into(), source }
}
