//! `arm`: the tests that a processor can fail, on 64-bit and 32-bit ARM, which phones are and no machine of ours is.
//!
//! Debian's compilers build and QEMU runs. The standard library comes from rustup; where its servers are out of reach, Debian's
//! own Rust builds it from its sources. `dev` installs what is needed, and names that Rust in `SEALPOST_ARM_RUST`.

use std::path::PathBuf;
use std::process::Command;

use crate::error::Error;
use crate::watch;
use crate::workspace::{Workspace, run};

/// A processor, and how Debian calls what belongs to it.
struct Processor {
    triple: &'static str,
    /// The prefix of its compiler, and the folder of its C library in `/usr`.
    gnu: &'static str,
    qemu: &'static str,
}

/// Other SIMD (Neon, the AES of ARMv8), and no SIMD with words of 32 bits.
const PROCESSORS: [Processor; 2] = [
    Processor { triple: "aarch64-unknown-linux-gnu", gnu: "aarch64-linux-gnu", qemu: "qemu-aarch64" },
    Processor { triple: "armv7-unknown-linux-gnueabihf", gnu: "arm-linux-gnueabihf", qemu: "qemu-arm" },
];

/// What the protocol computes, against known answers, stored forms and the other processors; and what it leaves in memory, which depends on
/// how a compiler moves values.
const QUICK: &[&[&str]] = &[&[
    "-p",
    "sealpost-protocol",
    "--test",
    "vectors",
    "--test",
    "stored_sessions",
    "--test",
    "moved",
    "--test",
    "first_talk",
    "--test",
    "wiping",
]];

/// All of the protocol and of the wire, and the client's store on its encrypted file.
const WHOLE: &[&[&str]] = &[
    &["-p", "sealpost-protocol", "--lib", "--tests"],
    &["-p", "sealpost-wire", "--lib", "--tests"],
    &["-p", "sealpost-core", "--lib", "--features", "vendored-crypto"],
];

/// The part of the protocol that belongs to the tests of every commit.
pub(crate) fn quick(workspace: &Workspace) -> Result<(), Error> {
    all(workspace, QUICK)
}

/// Everything.
pub(crate) fn whole(workspace: &Workspace) -> Result<(), Error> {
    all(workspace, WHOLE)
}

/// Each processor goes on with the talk that the one before it stored, and this machine with the last one's.
fn all(workspace: &Workspace, parts: &[&[&str]]) -> Result<(), Error> {
    let talk = |name: &str| workspace.target(&format!("talk-{name}.json"));
    let mut from = talk("here");
    run(moved(workspace, None, &from))?;
    for processor in &PROCESSORS {
        let to = talk(processor.triple);
        for part in parts {
            let mut command = cross(workspace, processor, part)?;
            command.env("SEALPOST_TALK_FROM", &from).env("SEALPOST_TALK_TO", &to);
            run(command)?;
        }
        from = to;
    }
    run(moved(workspace, Some(&from), &talk("here")))
}

/// The test that reads and stores a talk, on this machine.
fn moved(workspace: &Workspace, from: Option<&PathBuf>, to: &PathBuf) -> Command {
    let mut command = workspace.cargo(&["test", "-p", "sealpost-protocol", "--test", "moved"]);
    command.env("SEALPOST_TALK_TO", to);
    if let Some(from) = from {
        command.env("SEALPOST_TALK_FROM", from);
    }
    command
}

fn cross(workspace: &Workspace, processor: &Processor, part: &[&str]) -> Result<Command, Error> {
    let Processor { triple, gnu, qemu } = processor;
    let mut command = workspace.cargo(&["test", "--no-fail-fast", "--profile", "arm", "--target", triple]);
    command.args(part);
    if let Some(rust) = std::env::var_os("SEALPOST_ARM_RUST").map(PathBuf::from) {
        // A stable Rust builds a standard library only when it is told that it may.
        command.arg("-Zbuild-std").env("RUSTC_BOOTSTRAP", "1").env("RUSTC", rust.join("rustc"));
    }
    let compiler = format!("{gnu}-gcc");
    let variable = triple.to_uppercase().replace('-', "_");
    command.env(format!("CARGO_TARGET_{variable}_LINKER"), &compiler);
    command.env(format!("CC_{}", triple.replace('-', "_")), &compiler);
    // Loader and C library must be of one folder: the machine may have another library of this processor, for programs.
    let (root, libraries) = (format!("/usr/{gnu}"), format!("LD_LIBRARY_PATH=/usr/{gnu}/lib"));
    command.args(watch::runner_before(&[qemu, "-L", &root, "-E", &libraries])?);
    Ok(command)
}
