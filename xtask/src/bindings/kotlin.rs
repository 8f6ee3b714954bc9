//! Kotlin on the JVM, built and tested by Maven.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{api, bindgen, check_api, empty_folder};
use crate::error::Error;
use crate::workspace::{Profile, Workspace, run};

/// Generates the sources from the library that was built, compares their names with the golden copy, and runs the tests.
pub(crate) fn test(workspace: &Workspace) -> Result<(), Error> {
    let folder = workspace.path("bindings/kotlin");
    let generated = folder.join("target/generated");
    generate(workspace, &generated)?;
    let source = generated.join("io/github/sealpost/sealpost.kt");
    let source = fs::read_to_string(&source).map_err(|error| Error::Io { subject: source, source: error })?;
    check_api(&folder.join("api.txt"), &api::of_kotlin(&source), &folder.join("target/api.txt"))?;
    maven(workspace, &folder)
}

fn generate(workspace: &Workspace, folder: &Path) -> Result<(), Error> {
    let mut command = bindgen(workspace, "uniffi-bindgen")?;
    empty_folder(folder)?;
    command.arg("generate").arg(workspace.library(Profile::Debug, "sealpost"));
    command.args(["--language", "kotlin", "--no-format", "--out-dir"]).arg(folder);
    run(command)
}

fn maven(workspace: &Workspace, folder: &Path) -> Result<(), Error> {
    let relay = workspace.binary(Profile::Debug, "sealpost-relay");
    let library = workspace.library(Profile::Debug, "sealpost");
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "test"]).current_dir(folder);
    maven.arg(property("sealpost.relay", &relay));
    maven.arg(property("sealpost.library.path", library.parent().unwrap_or(folder)));
    run(maven)
}

fn property(name: &str, path: &Path) -> OsString {
    let mut property = OsString::from(format!("-D{name}="));
    property.push(path);
    property
}
