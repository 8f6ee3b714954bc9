//! `demo`, `chat`, `relay`: build the program in release mode, and run it.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::error::{Error, not_started};
use crate::workspace::{Profile, Workspace, run};

const RELAY: &str = "sealpost-relay";
const DEMO: &str = "sealpost-demo";
const CHAT: &str = "sealpost-cli-chat";

/// The demonstration: people, a relay that is killed, and a comparison of what arrived.
pub(crate) fn demo(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode, Error> {
    build(workspace, &[RELAY, DEMO])?;
    let mut command = workspace.program(&workspace.binary(Profile::Release, DEMO));
    command.arg("--relay-bin").arg(workspace.binary(Profile::Release, RELAY)).args(arguments);
    hand_over(command)
}

/// A conversation in a terminal.
pub(crate) fn chat(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode, Error> {
    build(workspace, &[CHAT])?;
    let mut command = workspace.program(&workspace.binary(Profile::Release, CHAT));
    command.args(arguments);
    hand_over(command)
}

/// A relay for development; arguments of the caller override the defaults.
pub(crate) fn relay(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode, Error> {
    build(workspace, &[RELAY])?;
    let mut command = workspace.program(&workspace.binary(Profile::Release, RELAY));
    command.args(with_relay_defaults(arguments, &workspace.path(".cache/relay")));
    hand_over(command)
}

fn with_relay_defaults(arguments: &[String], data: &Path) -> Vec<OsString> {
    let defaults: [(&str, OsString); 3] =
        [("--data", data.into()), ("--listen", "127.0.0.1:8470".into()), ("--registration", "dev".into())];
    let said = |flag: &str| {
        arguments
            .iter()
            .any(|argument| argument.split_once('=').map_or(argument.as_str(), |(name, _)| name) == flag)
    };
    let missing = defaults.into_iter().filter(|(flag, _)| !said(flag));
    let mut all: Vec<OsString> = missing.flat_map(|(flag, value)| [flag.into(), value]).collect();
    all.extend(arguments.iter().map(OsString::from));
    all
}

fn build(workspace: &Workspace, packages: &[&str]) -> Result<(), Error> {
    let mut arguments = vec!["build", "--release"];
    if !packages.iter().all(|name| workspace.binary(Profile::Release, name).exists()) {
        eprintln!("dev: building {}; the first time takes some minutes", packages.join(" and "));
    }
    for package in packages {
        arguments.extend(["-p", package, "--bin", package]);
    }
    run(workspace.cargo(&arguments))
}

/// Waits for the program and returns its exit code.
fn hand_over(mut command: Command) -> Result<ExitCode, Error> {
    let status = command.status().map_err(|source| not_started(&command, source))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay_arguments(said: &[&str]) -> Vec<String> {
        let said: Vec<String> = said.iter().map(|word| (*word).to_owned()).collect();
        let all = with_relay_defaults(&said, Path::new("data"));
        all.into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn a_relay_without_arguments_gets_the_defaults() {
        assert_eq!(
            relay_arguments(&[]),
            ["--data", "data", "--listen", "127.0.0.1:8470", "--registration", "dev"]
        );
    }

    #[test]
    fn arguments_of_the_caller_take_precedence() {
        assert_eq!(
            relay_arguments(&["--data=elsewhere", "--listen", "127.0.0.1:1"]),
            ["--registration", "dev", "--data=elsewhere", "--listen", "127.0.0.1:1"]
        );
    }
}
