//! Where things are, and how the tasks call cargo.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, not_started};
use crate::watch::{self, Ended};

/// The folders a task works in.
pub(crate) struct Workspace {
    /// The top of the checkout.
    root: PathBuf,
    /// Where cargo puts what it builds.
    target: PathBuf,
    /// Where the person stood who called `./dev`.
    caller: PathBuf,
}

impl Workspace {
    /// Finds the folders from where this program was built and started.
    pub(crate) fn locate() -> Result<Self, Error> {
        let here = std::env::current_dir().map_err(|source| Error::Io { subject: ".".into(), source })?;
        let program =
            std::env::current_exe().map_err(|source| Error::Io { subject: "xtask".into(), source })?;
        // `cargo run` says where it found us; what was true at build time may be another checkout with this cache.
        let manifest =
            std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| here.join("xtask"), PathBuf::from);
        let root = manifest.parent().unwrap_or(&here).to_owned();
        // target/debug/xtask: this holds wherever CARGO_TARGET_DIR or a cargo configuration put `target`.
        let target = program.ancestors().nth(2).map_or_else(|| root.join("target"), Path::to_owned);
        let caller = std::env::var_os("SEALPOST_CALLER_DIR").map_or(here, PathBuf::from);
        Ok(Self { root, target, caller })
    }

    /// A path inside the checkout.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A folder among what cargo builds.
    pub(crate) fn target(&self, relative: &str) -> PathBuf {
        self.target.join(relative)
    }

    /// Where a program of the workspace lies once built.
    pub(crate) fn binary(&self, profile: Profile, name: &str) -> PathBuf {
        self.built(profile).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }

    /// Where a shared library of the workspace lies once built.
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

    /// A cargo call at the top of the checkout.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments).current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// A built program, started where the caller stands.
    pub(crate) fn program(&self, binary: &Path) -> Command {
        let mut command = Command::new(binary);
        command.current_dir(&self.caller);
        command
    }
}

/// How a program was built.
#[derive(Clone, Copy)]
pub(crate) enum Profile {
    /// `target/debug`.
    Debug,
    /// `target/release`.
    Release,
}

/// Runs a command with our own input and output; an exit status other than 0 is an error. Says now and then that it still
/// runs.
pub(crate) fn run(command: Command) -> Result<(), Error> {
    run_to(command, &[0])
}

/// The same, where other exit statuses are no error either.
pub(crate) fn run_to(command: Command, accepted: &[i32]) -> Result<(), Error> {
    let name = describe(&command);
    match watch::run_within(&name, command, None)? {
        Ended::Itself(status) if status.code().is_some_and(|code| accepted.contains(&code)) => Ok(()),
        Ended::Itself(_) | Ended::Killed => Err(Error::Failed(name)),
    }
}

/// Runs a command and gives what it printed; its complaints go to our own standard error.
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
