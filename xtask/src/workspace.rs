//! The folders of the workspace, and how tasks call cargo.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, not_started};
use crate::watch::{self, Ended};

/// The folders that a task uses.
pub(crate) struct Workspace {
    /// The top of the checkout.
    root: PathBuf,
    /// The target folder of cargo.
    target: PathBuf,
    /// The folder in which the user called `./dev`.
    caller: PathBuf,
}

impl Workspace {
    /// Determines the folders from where this program was built and started.
    pub(crate) fn locate() -> Result<Self, Error> {
        let here = std::env::current_dir().map_err(|source| Error::Io { subject: ".".into(), source })?;
        let program =
            std::env::current_exe().map_err(|source| Error::Io { subject: "xtask".into(), source })?;
        // `cargo run` sets this variable; the path at build time may belong to another checkout that shares this
        // target folder.
        let manifest =
            std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| here.join("xtask"), PathBuf::from);
        let root = manifest.parent().unwrap_or(&here).to_owned();
        // The program is target/debug/xtask, wherever CARGO_TARGET_DIR or a cargo configuration has placed `target`.
        let target = program.ancestors().nth(2).map_or_else(|| root.join("target"), Path::to_owned);
        let caller = std::env::var_os("SEALPOST_CALLER_DIR").map_or(here, PathBuf::from);
        Ok(Self { root, target, caller })
    }

    /// A path inside the checkout.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A folder in cargo's target folder.
    pub(crate) fn target(&self, relative: &str) -> PathBuf {
        self.target.join(relative)
    }

    /// The path of a program of the workspace.
    pub(crate) fn binary(&self, profile: Profile, name: &str) -> PathBuf {
        self.built(profile).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }

    /// The path of a shared library of the workspace.
    pub(crate) fn library(&self, profile: Profile, name: &str) -> PathBuf {
        use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
        self.built(profile).join(format!("{DLL_PREFIX}{name}{DLL_SUFFIX}"))
    }

    fn built(&self, profile: Profile) -> PathBuf {
        self.target.join(match profile {
            Profile::Debug => "debug",
            Profile::Release => "release",
        })
    }

    /// A cargo command at the top of the checkout.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments).current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// A program that was built, started in the caller's folder.
    pub(crate) fn program(&self, binary: &Path) -> Command {
        let mut command = Command::new(binary);
        command.current_dir(&self.caller);
        command
    }
}

/// The profile of a build.
#[derive(Clone, Copy)]
pub(crate) enum Profile {
    /// `target/debug`.
    Debug,
    /// `target/release`.
    Release,
}

/// Runs a command with our standard input and output, and reports at intervals that it still runs. An exit status
/// other than 0 is an error.
pub(crate) fn run(command: Command) -> Result<(), Error> {
    run_to(command, &[0])
}

/// The same, with a list of accepted exit statuses.
pub(crate) fn run_to(command: Command, accepted: &[i32]) -> Result<(), Error> {
    let name = describe(&command);
    match watch::run_within(&name, command, None)? {
        Ended::Itself(status) if status.code().is_some_and(|code| accepted.contains(&code)) => Ok(()),
        Ended::Itself(_) | Ended::Killed => Err(Error::Failed(name)),
    }
}

/// Runs a command and returns its standard output; its standard error is ours.
pub(crate) fn capture(mut command: Command) -> Result<String, Error> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|source| not_started(&command, source))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(Error::Failed(describe(&command)))
    }
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
