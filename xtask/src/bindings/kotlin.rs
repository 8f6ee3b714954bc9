//! The Kotlin binding on the JVM, built and tested with Maven.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::release::{self, Crypto};
use super::{ROUNDS, TROUBLE, api, bindgen, border, build, check_api, empty_folder, rewrite, stand_in};
use crate::error::Error;
use crate::workspace::{Profile, Workspace, capture, run};

const GENERATED: &str = "target/generated";

/// Generates the sources from the library that was built, compares their names with the golden copy, and runs the
/// tests.
pub(crate) fn test(workspace: &Workspace) -> Result<(), Error> {
    let folder = workspace.path("bindings/kotlin");
    let source = generate(workspace)?;
    let written = folder.join("src/main/kotlin");
    check_api(&folder.join("api.txt"), &api::of_kotlin(&source), &written, &folder.join("target/api.txt"))?;
    run(tests(workspace)?)
}

/// Runs only the test in which JVMs end while a client is at work, with this many JVMs in each way.
pub(crate) fn test_exits(workspace: &Workspace, rounds: u32) -> Result<(), Error> {
    generate(workspace)?;
    let mut tests = tests(workspace)?;
    // Hours, in seconds.
    tests.args(["-Dtest=ExitTest", "-Dsurefire.timeout=86400"]).env(ROUNDS, rounds.to_string());
    run(tests)
}

/// The tests, compiled with the sources that were generated.
fn tests(workspace: &Workspace) -> Result<Command, Error> {
    let mut maven = maven(workspace, "test");
    maven.arg(property("sealpost.another", &stand_in::another_version(workspace)?));
    maven.arg(property("sealpost.panicking", &stand_in::panicking(workspace)?));
    maven.arg(property("sealpost.trouble", &workspace.binary(Profile::Debug, TROUBLE)));
    Ok(maven)
}

/// Generates the sources and compiles everything, without comparing the names.
pub(super) fn build_chat(workspace: &Workspace) -> Result<(), Error> {
    generate(workspace)?;
    run(maven(workspace, "test-compile"))
}

/// Packs everything that an app on this system needs into one jar, and installs it in the local Maven repository.
pub(crate) fn install(workspace: &Workspace) -> Result<(), Error> {
    build(workspace)?;
    generate(workspace)?;
    pack(workspace, &release::library(workspace, Crypto::Linked)?.stripped()?)?;
    let mut maven = maven(workspace, "install");
    maven.arg("-Dmaven.test.skip=true");
    run(maven)?;
    eprintln!("dev: the jar is in bindings/kotlin/target, and in the local Maven repository");
    Ok(())
}

/// The chat in a terminal, which is compiled with the tests.
pub(super) fn chat(workspace: &Workspace, arguments: &[String]) -> Command {
    let words: Vec<_> = arguments.iter().map(|word| format!("\"{word}\"")).collect();
    let mut chat = maven(workspace, "exec:java");
    chat.arg(format!("-Dexec.args={}", words.join(" ")));
    chat
}

/// The benchmark in Kotlin, compiled with the tests.
pub(crate) struct Bench {
    folder: PathBuf,
    classpath: String,
}

impl Bench {
    /// Builds it with the given library.
    pub(crate) fn build(workspace: &Workspace, library: &Path) -> Result<Self, Error> {
        build(workspace)?;
        generate(workspace)?;
        pack(workspace, library)?;
        let mut maven = maven(workspace, "test-compile");
        maven.args(["exec:exec", "-Dexec.executable=echo", "-Dexec.args=<cp> %classpath </cp>"]);
        let classpath = classpath(&capture(maven)?)
            .ok_or(Error::Failed("Maven has not printed a class path".to_owned()))?;
        Ok(Self { folder: workspace.path("bindings/kotlin"), classpath })
    }

    /// Starts a new JVM.
    pub(crate) fn command(&self, what: &str, database: &Path) -> Command {
        let mut java = Command::new("java");
        java.current_dir(&self.folder).args([
            "-cp",
            &self.classpath,
            "io.github.sealpost.bench.BenchKt",
            what,
        ]);
        java.arg(database);
        java
    }
}

/// The separator of the words that are passed to Maven, which may add colours of its own.
fn classpath(output: &str) -> Option<String> {
    let (_, rest) = output.split_once("<cp> ")?;
    Some(rest.split_once(" </cp>")?.0.to_owned())
}

/// Generates the sources, and packs the library that they belong to. Returns the source.
pub(super) fn generate(workspace: &Workspace) -> Result<String, Error> {
    let folder = workspace.path("bindings/kotlin").join(GENERATED);
    let library = workspace.library(Profile::Debug, "sealpost");
    let mut command = bindgen(workspace, "uniffi-bindgen")?;
    empty_folder(&folder)?;
    // Otherwise, classes of deleted sources would remain.
    empty_folder(&workspace.path("bindings/kotlin/target/classes"))?;
    command.arg("generate").arg(&library);
    command.args(["--language", "kotlin", "--no-format", "--out-dir"]).arg(&folder);
    run(command)?;
    pack(workspace, &library)?;
    rewrite(&folder.join("io/github/sealpost/sealpost.kt"), border::of_kotlin)
}

/// Copies a library to where the jar takes it from, in the folder in which JNA looks for this system's library.
fn pack(workspace: &Workspace, library: &Path) -> Result<(), Error> {
    use std::env::consts::{ARCH, OS};
    let native = workspace.path("bindings/kotlin/target/native");
    empty_folder(&native)?;
    let folder = native.join(jna_folder(OS, ARCH));
    empty_folder(&folder)?;
    let packed = folder.join(library.file_name().unwrap_or_default());
    fs::copy(library, &packed).map_err(|source| Error::Io { subject: packed, source })?;
    Ok(())
}

/// JNA's name of a system.
fn jna_folder(os: &str, arch: &str) -> String {
    let os = match os {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    };
    format!("{os}-{}", arch.replace('_', "-"))
}

fn maven(workspace: &Workspace, goal: &str) -> Command {
    let folder = workspace.path("bindings/kotlin");
    let relay = workspace.binary(Profile::Debug, "sealpost-relay");
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", goal]).current_dir(&folder);
    maven.arg(property("sealpost.relay", &relay));
    maven
}

fn property(name: &str, path: &Path) -> OsString {
    let mut property = OsString::from(format!("-D{name}="));
    property.push(path);
    property
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classpath_is_found_among_colours() {
        assert_eq!(classpath("\u{1b}[0m<cp> a:b.jar </cp>\n\u{1b}[0m").as_deref(), Some("a:b.jar"));
        assert_eq!(classpath("BUILD FAILURE"), None);
    }

    #[test]
    fn folders_have_the_names_that_jna_uses() {
        assert_eq!(jna_folder("linux", "x86_64"), "linux-x86-64");
        assert_eq!(jna_folder("macos", "aarch64"), "darwin-aarch64");
        assert_eq!(jna_folder("windows", "x86_64"), "win32-x86-64");
    }
}
