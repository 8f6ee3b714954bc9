//! `mutants` changes the protocol, and the decisions of the client, in some thousands of ways, one at a time, and
//! checks whether a test notices.

use crate::error::Error;
use crate::workspace::{Workspace, run, run_to};

/// Another version would generate other mutants, and `.cargo/mutants.toml` explains those of this one.
const VERSION: &str = "27.1.0";

/// A set of mutants that are tested by the same tests.
struct Part {
    /// Its name.
    name: &'static str,
    /// Where the mutants are. `.cargo/mutants.toml` selects the files.
    package: &'static str,
    /// The unit tests notice most of them, and take a fraction of the time.
    first: &'static [&'static str],
    /// All tests, for the mutants that the unit tests have not noticed.
    then: &'static [&'static str],
}

const PARTS: [Part; 2] = [
    Part {
        name: "protocol",
        package: "sealpost-protocol",
        first: &["--cargo-arg=--lib"],
        then: &["--cargo-arg=--tests"],
    },
    // Wrong decisions of a client are noticed by its peer, over a real relay.
    Part {
        name: "client",
        package: "sealpost-core",
        first: &["--cargo-arg=--lib"],
        then: &["--test-package=sealpost-core,sealpost-e2e", "--cargo-arg=--tests"],
    },
];

/// The exit codes of cargo-mutants for mutants that no test noticed, and for tests that did not end.
const MISSED: i32 = 2;
const TIMED_OUT: i32 = 3;

/// Runs cargo-mutants, which reads `.cargo/mutants.toml`, for the part that the first argument names, or for both. A
/// mutant that no test notices is a failure.
pub(crate) fn run_all(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    let shown = workspace.cargo(&["mutants", "--version"]).output();
    if !shown.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).trim_end().ends_with(VERSION)) {
        eprintln!("dev: installing cargo-mutants {VERSION} with cargo; that takes some minutes, once");
        run(workspace.cargo(&["install", "--locked", &format!("cargo-mutants@{VERSION}")]))?;
    }
    let named = arguments.split_first().filter(|(first, _)| PARTS.iter().any(|part| part.name == *first));
    let (name, arguments) = named.map_or((None, arguments), |(first, rest)| (Some(first), rest));
    for part in PARTS.iter().filter(|part| name.is_none_or(|name| name == part.name)) {
        part.run(workspace, arguments)?;
    }
    Ok(())
}

impl Part {
    fn run(&self, workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
        let output = format!("--output=.cache/mutants/{}", self.name);
        let mutants = |more: &[&str]| {
            let mut command = workspace.cargo(&["mutants", "--package", self.package, &output]);
            command.args(more).args(arguments);
            command
        };
        std::fs::create_dir_all(workspace.path(".cache/mutants").join(self.name))
            .map_err(|source| Error::Io { subject: ".cache/mutants".into(), source })?;
        run_to(mutants(self.first), &[0, MISSED, TIMED_OUT])?;
        run_to(mutants(&[&["--iterate"], self.then].concat()), &[0, TIMED_OUT])
    }
}
