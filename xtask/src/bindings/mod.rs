//! The bindings: sources that are generated from the library, and the layers and tests of each language.

mod android;
mod api;
mod border;
mod conversation;
mod kotlin;
pub(crate) mod release;
mod stand_in;
mod swift;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::workspace::{Profile, Workspace, run};

pub(crate) use android::package as android;
pub(crate) use conversation::test as test_conversation;
pub(crate) use kotlin::{Bench as KotlinBench, install as install_jar, test as test_kotlin};
pub(crate) use swift::{Bench as SwiftBench, test as test_swift, xcframework};

/// The program that causes failures around an app, for the tests of both languages: see tests/src/bin/trouble.rs.
const TROUBLE: &str = "trouble";

/// Tells the tests in which processes end how many end in each way.
pub(crate) const ROUNDS: &str = "SEALPOST_ROUNDS";

/// Builds what the tests of the Kotlin binding need, and runs them.
pub(crate) fn build_and_test_kotlin(workspace: &Workspace) -> Result<(), Error> {
    build_for_tests(workspace)?;
    test_kotlin(workspace)
}

/// Builds what the tests of the Swift binding need, and runs them.
pub(crate) fn build_and_test_swift(workspace: &Workspace) -> Result<(), Error> {
    build_for_tests(workspace)?;
    test_swift(workspace)
}

/// Ends this many JVMs and this many Swift programs in each way while a client is at work.
pub(crate) fn test_exits(workspace: &Workspace, rounds: u32) -> Result<(), Error> {
    build_for_tests(workspace)?;
    kotlin::test_exits(workspace, rounds)?;
    swift::test_exits(workspace, rounds)
}

/// Builds what the conversation needs, and runs it.
pub(crate) fn build_and_test_conversation(workspace: &Workspace) -> Result<(), Error> {
    build(workspace)?;
    kotlin::build_chat(workspace)?;
    swift::build_chat(workspace)?;
    test_conversation(workspace)
}

/// The chat in a terminal, in Kotlin.
pub(crate) fn chat_kotlin(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    build(workspace)?;
    kotlin::build_chat(workspace)?;
    run(kotlin::chat(workspace, &with_state(arguments, &chat_state(workspace)?)))
}

/// The chat in a terminal, in Swift.
pub(crate) fn chat_swift(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    build(workspace)?;
    swift::build_chat(workspace)?;
    let state = chat_state(workspace)?;
    run(swift::chat(workspace, &state, &with_state(arguments, &state)))
}

/// The folder in which `./dev chat` keeps its accounts if it is called at the top of the checkout.
fn chat_state(workspace: &Workspace) -> Result<PathBuf, Error> {
    let state = workspace.path(".cache/chat");
    fs::create_dir_all(&state).map_err(|source| Error::Io { subject: state.clone(), source })?;
    Ok(state)
}

fn with_state(arguments: &[String], state: &Path) -> Vec<String> {
    let state = ["--state".to_owned(), state.to_string_lossy().into_owned()];
    arguments.iter().cloned().chain(state).collect()
}

fn build(workspace: &Workspace) -> Result<(), Error> {
    run(workspace.cargo(&["build", "-p", "sealpost-ffi", "-p", "sealpost-relay", "--lib", "--bins"]))
}

/// The library, the relay, and the program that causes failures.
fn build_for_tests(workspace: &Workspace) -> Result<(), Error> {
    let mut command = workspace.cargo(&["build", "-p", "sealpost-ffi", "-p", "sealpost-relay"]);
    command.args(["-p", "sealpost-e2e", "--lib", "--bin", "sealpost-relay", "--bin", TROUBLE]);
    run(command)
}

/// The program that generates the sources, built if it is missing or outdated. It is the most expensive debug build
/// in the workspace, so nothing else builds it.
fn bindgen(workspace: &Workspace, name: &str) -> Result<Command, Error> {
    run(workspace.cargo(&["build", "-p", "sealpost-bindgen", "--features", "cli", "--bin", name]))?;
    let mut bindgen = Command::new(workspace.binary(Profile::Debug, name));
    // It asks cargo for the location of the library's sources, and thus of its uniffi.toml.
    bindgen.current_dir(workspace.path("."));
    Ok(bindgen)
}

/// Rewrites a generated source, and returns the new text.
fn rewrite(path: &Path, change: impl FnOnce(&str) -> Result<String, Error>) -> Result<String, Error> {
    let failed = |source| Error::Io { subject: path.into(), source };
    let source = change(&fs::read_to_string(path).map_err(failed)?)?;
    fs::write(path, &source).map_err(failed)?;
    Ok(source)
}

/// Creates an empty folder.
fn empty_folder(folder: &Path) -> Result<(), Error> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|source| Error::Io { subject: folder.into(), source })?;
    }
    fs::create_dir_all(folder).map_err(|source| Error::Io { subject: folder.into(), source })
}

/// Compares what apps compile against with the golden copy: the declarations of the generated source, and those of the sources in this
/// folder, which are written by hand.
fn check_api(golden: &Path, generated: &str, sources: &Path, draft: &Path) -> Result<(), Error> {
    let failed = |source| Error::Io { subject: sources.into(), source };
    let mut files: Vec<_> = fs::read_dir(sources)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(failed)?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "kt" || ending == "swift"))
        .collect();
    files.sort();
    let files = files.iter().map(fs::read_to_string).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let found = format!("{generated}\n{}", api::of_written(&files));
    let found = found.as_str();
    let agreed = fs::read_to_string(golden).unwrap_or_default();
    if agreed == found {
        return Ok(());
    }
    fs::write(draft, found).map_err(|source| Error::Io { subject: draft.into(), source })?;
    // For the reader of the output; if there is no such program, the error names both files.
    let _ = Command::new("diff").arg("-uN").args([golden, draft]).status();
    Err(Error::Api { golden: golden.into(), draft: draft.into() })
}
