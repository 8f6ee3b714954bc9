//! `arm` runs the tests whose result may depend on the processor, on 64-bit and 32-bit ARM. Phones use these
//! processors, and our build machines do not.
//!
//! Debian's compilers build the tests and QEMU runs them. The standard library comes from rustup; if its servers
//! cannot be reached, Debian's Rust builds it from source. `dev` installs what is needed, and passes that Rust in
//! `SEALPOST_ARM_RUST`.

use std::path::PathBuf;
use std::process::Command;

use crate::error::Error;
use crate::watch;
use crate::workspace::{Workspace, run};

/// A processor, with its names in Debian.
struct Processor {
    triple: &'static str,
    /// The prefix of its compiler, and the folder of its C library in `/usr`.
    gnu: &'static str,
    qemu: &'static str,
}

/// A processor with other SIMD instructions (Neon, the AES of ARMv8), and one with 32-bit words and without SIMD.
const PROCESSORS: [Processor; 2] = [
    Processor { triple: "aarch64-unknown-linux-gnu", gnu: "aarch64-linux-gnu", qemu: "qemu-aarch64" },
    Processor { triple: "armv7-unknown-linux-gnueabihf", gnu: "arm-linux-gnueabihf", qemu: "qemu-arm" },
];

/// Tests that compare the results of the protocol with known answers, stored forms and the other processors, and that
/// search memory for secrets, which depends on how a compiler moves values.
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

/// All tests of the protocol and of the wire, and those of the client's store on its encrypted file.
const WHOLE: &[&[&str]] = &[
    &["-p", "sealpost-protocol", "--lib", "--tests"],
    &["-p", "sealpost-wire", "--lib", "--tests"],
    &["-p", "sealpost-core", "--lib", "--features", "vendored-crypto"],
];

/// The time limit for a test program of the whole, in seconds. On an emulated processor with 32-bit words, the longest
/// one takes a quarter of an hour even if nothing else is running.
const WHOLE_LIMIT: u32 = 7_200;

/// The part of the protocol's tests that belongs to the tests of every commit.
pub(crate) fn quick(workspace: &Workspace) -> Result<(), Error> {
    all(workspace, QUICK, None)
}

/// Runs everything.
pub(crate) fn whole(workspace: &Workspace) -> Result<(), Error> {
    all(workspace, WHOLE, Some(WHOLE_LIMIT))
}

/// Each processor continues the conversation that the previous one stored, and this machine continues the last one.
fn all(workspace: &Workspace, parts: &[&[&str]], limit: Option<u32>) -> Result<(), Error> {
    let talk = |name: &str| workspace.target(&format!("talk-{name}.json"));
    let mut from = talk("here");
    run(moved(workspace, None, &from))?;
    for processor in &PROCESSORS {
        let to = talk(processor.triple);
        for part in parts {
            let mut command = cross(workspace, processor, part)?;
            command.env("SEALPOST_TALK_FROM", &from).env("SEALPOST_TALK_TO", &to);
            if let Some(limit) = limit
                && std::env::var_os(watch::LIMIT).is_none()
            {
                command.env(watch::LIMIT, limit.to_string());
            }
            run(command)?;
        }
        from = to;
    }
    run(moved(workspace, Some(&from), &talk("here")))
}

/// The test that reads and stores a conversation, on this machine.
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
        // A stable Rust builds a standard library only if this variable allows it.
        command.arg("-Zbuild-std").env("RUSTC_BOOTSTRAP", "1").env("RUSTC", rust.join("rustc"));
    }
    let compiler = format!("{gnu}-gcc");
    let variable = triple.to_uppercase().replace('-', "_");
    command.env(format!("CARGO_TARGET_{variable}_LINKER"), &compiler);
    command.env(format!("CC_{}", triple.replace('-', "_")), &compiler);
    // Loader and C library must be in one folder, because the machine may have another library of this processor, for
    // programs.
    let (root, libraries) = (format!("/usr/{gnu}"), format!("LD_LIBRARY_PATH=/usr/{gnu}/lib"));
    command.args(watch::runner_before(&[qemu, "-L", &root, "-E", &libraries])?);
    Ok(command)
}
