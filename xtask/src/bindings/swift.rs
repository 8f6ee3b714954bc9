//! The Swift binding, built and tested with Swift's package manager: the installed one, or the one of
//! `toolchain/setup.sh`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{ROUNDS, TROUBLE, api, bindgen, border, build, check_api, empty_folder, rewrite, stand_in};
use crate::error::Error;
use crate::workspace::{Profile, Workspace, run};

/// The tool that generates the sources.
const PROGRAM: &str = "uniffi-bindgen-swift";
/// The symbolic links of the package: part of an app, for the tests, and the chat in a terminal.
const EXAMPLES: [&str; 2] = ["examples/ios", "examples/swift-cli"];

/// The chat in a terminal.
const CHAT: &str = "debug/chat";
/// The program that a test runs with a library that panics.
const PANICS: &str = "debug/panics";
/// The program that a test ends while its client is at work.
const EXITS: &str = "debug/exits";

/// Generates the sources from the library that was built, compares their names with the golden copy, and runs the
/// tests.
pub(crate) fn test(workspace: &Workspace) -> Result<(), Error> {
    let folder = workspace.path("bindings/swift");
    let scratch = workspace.target("swift");
    let source = generate(workspace, &folder)?;
    fs::create_dir_all(&scratch).map_err(|source| Error::Io { subject: scratch.clone(), source })?;
    let written = folder.join("Sources/Sealpost");
    check_api(&folder.join("api.txt"), &api::of_swift(&source), &written, &scratch.join("api.txt"))?;
    run(lint(workspace, &folder))?;
    run(tests(workspace, &[])?)
}

/// Runs only the test in which processes end while a client is at work, with this many processes in each way.
pub(crate) fn test_exits(workspace: &Workspace, rounds: u32) -> Result<(), Error> {
    let scratch = workspace.target("swift");
    fs::create_dir_all(&scratch).map_err(|source| Error::Io { subject: scratch.clone(), source })?;
    generate(workspace, &workspace.path("bindings/swift"))?;
    let mut tests = tests(workspace, &["--filter", "ExitTests"])?;
    tests.env(ROUNDS, rounds.to_string());
    run(tests)
}

/// The tests, compiled with the sources that were generated, with further arguments.
fn tests(workspace: &Workspace, arguments: &[&str]) -> Result<Command, Error> {
    let (folder, scratch) = (workspace.path("bindings/swift"), workspace.target("swift"));
    let verb = [&["test", "--disable-xctest"], arguments].concat();
    let mut test = package(workspace, &folder, &scratch, &library_folder(workspace), &verb);
    test.env("SEALPOST_ANOTHER", stand_in::another_version(workspace)?)
        .env("SEALPOST_CHAT", scratch.join(CHAT));
    test.env("SEALPOST_PANICKING", stand_in::panicking(workspace)?)
        .env("SEALPOST_PANICS", scratch.join(PANICS));
    test.env("SEALPOST_TROUBLE", workspace.binary(Profile::Debug, TROUBLE))
        .env("SEALPOST_EXITS", scratch.join(EXITS));
    Ok(test)
}

/// Builds the chat in a terminal.
pub(super) fn build_chat(workspace: &Workspace) -> Result<(), Error> {
    let folder = workspace.path("bindings/swift");
    let scratch = workspace.target("swift");
    fs::create_dir_all(&scratch).map_err(|source| Error::Io { subject: scratch.clone(), source })?;
    generate(workspace, &folder)?;
    run(package(workspace, &folder, &scratch, &library_folder(workspace), &["build", "--product", "chat"]))
}

/// The chat in a terminal, which is built with the tests, with access to its folder of accounts.
pub(super) fn chat(workspace: &Workspace, state: &Path, arguments: &[String]) -> Command {
    let folder = workspace.path("bindings/swift");
    let scratch = workspace.target("swift");
    let mut chat = in_toolchain(&folder, &[&scratch, &library_folder(workspace), state]);
    chat.arg(scratch.join(CHAT)).args(arguments);
    chat
}

/// The benchmark in Swift, optimised like an app.
pub(crate) struct Bench {
    folder: PathBuf,
    scratch: PathBuf,
    library: PathBuf,
}

impl Bench {
    /// Builds it with the given library.
    pub(crate) fn build(workspace: &Workspace, library: &Path) -> Result<Self, Error> {
        build(workspace)?;
        let folder = workspace.path("bindings/swift");
        let scratch = workspace.target("swift");
        let library = library.parent().unwrap_or(&folder).to_owned();
        fs::create_dir_all(&scratch).map_err(|source| Error::Io { subject: scratch.clone(), source })?;
        generate(workspace, &folder)?;
        let build = ["build", "-c", "release", "--product", "bench"];
        run(package(workspace, &folder, &scratch, &library, &build))?;
        Ok(Self { folder, scratch, library })
    }

    /// Starts a new process.
    pub(crate) fn command(&self, what: &str, database: &Path) -> Command {
        let data = database.parent().unwrap_or(&self.folder);
        let mut bench = in_toolchain(&self.folder, &[&self.scratch, &self.library, data]);
        bench.arg(self.scratch.join("release/bench")).arg(what).arg(database);
        bench
    }
}

/// Builds what a release consists of, which requires a Mac with Xcode. The URL is the location of the library in the
/// release.
pub(crate) fn xcframework(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    let folder = workspace.path("bindings/swift");
    let script = |step: &str| {
        let mut command = Command::new(folder.join("release/xcframework.sh"));
        command.arg(step).arg(workspace.target("apple"));
        command
    };
    run(script("check"))?;
    run(workspace.cargo(&["build", "-p", "sealpost-ffi", "--lib"]))?;
    generate(workspace, &folder)?;
    let mut build = script("build");
    build.args(arguments);
    run(build)
}

/// The generated Swift source.
fn generate(workspace: &Workspace, folder: &Path) -> Result<String, Error> {
    let library = workspace.library(Profile::Debug, "sealpost");
    let sources = folder.join("Sources/Sealpost/Generated");
    let headers = folder.join("Sources/SealpostFFI");
    let mut swift = bindgen(workspace, PROGRAM)?;
    let mut c = bindgen(workspace, PROGRAM)?;
    empty_folder(&sources)?;
    empty_folder(&headers)?;
    swift.arg("--swift-sources").arg(&library).arg(&sources);
    run(swift)?;
    c.args(["--headers", "--modulemap", "--module-name", "SealpostFFI"]);
    c.args(["--modulemap-filename", "module.modulemap"]).arg(&library).arg(&headers);
    run(c)?;
    rewrite(&sources.join("Sealpost.swift"), border::of_swift)
}

/// Checks the formatting of the handwritten sources.
fn lint(workspace: &Workspace, folder: &Path) -> Command {
    let examples = EXAMPLES.map(|example| workspace.path(example));
    let mut lint = in_toolchain(folder, &examples.each_ref().map(PathBuf::as_path));
    let links = EXAMPLES.map(|example| format!("../../{example}")).join(" ");
    let by_hand = format!("Package.swift release Tests Sources/Sealpost/*.swift {links}");
    let form = "--configuration .swift-format";
    lint.args(["sh", "-c"]).arg(format!("swift format lint --strict --recursive {form} {by_hand}"));
    lint
}

/// The location of the library for the tests.
fn library_folder(workspace: &Workspace) -> PathBuf {
    let library = workspace.library(Profile::Debug, "sealpost");
    library.parent().map_or_else(|| workspace.target("debug"), Path::to_owned)
}

/// The package manager, configured for a library.
fn package(workspace: &Workspace, folder: &Path, scratch: &Path, library: &Path, verb: &[&str]) -> Command {
    let mut search = OsString::from("-L");
    search.push(library);
    let [app, chat] = EXAMPLES.map(|example| workspace.path(example));
    let mut swift = in_toolchain(folder, &[scratch, library, &app, &chat]);
    swift.arg("swift").args(verb).arg("--scratch-path").arg(scratch);
    swift.arg("-Xlinker").arg(search);
    swift.args(["-Xlinker", "-rpath", "-Xlinker"]).arg(library);
    swift.env("SEALPOST_RELAY", workspace.binary(Profile::Debug, "sealpost-relay"));
    swift
}

/// A command in the folder of the package, with access to other folders.
fn in_toolchain(package: &Path, others: &[&Path]) -> Command {
    let mut folders = package.as_os_str().to_owned();
    for folder in others {
        folders.push(":");
        folders.push(folder);
    }
    let mut command = Command::new(package.join("toolchain/run.sh"));
    command.arg(folders);
    command
}
