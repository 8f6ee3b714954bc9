//! Kotlin on the JVM, built and tested by Maven.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use super::{another_version, api, bindgen, border, check_api, empty_folder, rewrite};
use crate::error::Error;
use crate::workspace::{Profile, Workspace, run};

/// Generates the sources from the library that was built, compares their names with the golden copy, and runs the tests.
pub(crate) fn test(workspace: &Workspace) -> Result<(), Error> {
    let folder = workspace.path("bindings/kotlin");
    let generated = folder.join("target/generated");
    let source = generate(workspace, &generated)?;
    check_api(&folder.join("api.txt"), &api::of_kotlin(&source), &folder.join("target/api.txt"))?;
    let mut maven = maven(workspace, "test");
    maven.arg(property("sealpost.another", &another_version(workspace)?));
    run(maven)
}

/// Generates the sources and compiles everything, without a look at the names.
pub(super) fn build_chat(workspace: &Workspace) -> Result<(), Error> {
    generate(workspace, &workspace.path("bindings/kotlin/target/generated"))?;
    run(maven(workspace, "test-compile"))
}

/// The chat in a terminal, which is compiled with the tests.
pub(super) fn chat(workspace: &Workspace, arguments: &[String]) -> Command {
    let words: Vec<_> = arguments.iter().map(|word| format!("\"{word}\"")).collect();
    let mut chat = maven(workspace, "exec:java");
    chat.arg(format!("-Dexec.args={}", words.join(" ")));
    chat
}

/// What the source says.
fn generate(workspace: &Workspace, folder: &Path) -> Result<String, Error> {
    let mut command = bindgen(workspace, "uniffi-bindgen")?;
    empty_folder(folder)?;
    command.arg("generate").arg(workspace.library(Profile::Debug, "sealpost"));
    command.args(["--language", "kotlin", "--no-format", "--out-dir"]).arg(folder);
    run(command)?;
    rewrite(&folder.join("io/github/sealpost/sealpost.kt"), border::of_kotlin)
}

fn maven(workspace: &Workspace, goal: &str) -> Command {
    let folder = workspace.path("bindings/kotlin");
    let relay = workspace.binary(Profile::Debug, "sealpost-relay");
    let library = workspace.library(Profile::Debug, "sealpost");
    let library = library.parent().unwrap_or(&folder);
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", goal]).current_dir(&folder);
    maven.arg(property("sealpost.relay", &relay));
    maven.arg(property("sealpost.library.path", library));
    // For what runs inside Maven.
    maven.arg(property("jna.library.path", library));
    maven
}

fn property(name: &str, path: &Path) -> OsString {
    let mut property = OsString::from(format!("-D{name}="));
    property.push(path);
    property
}
