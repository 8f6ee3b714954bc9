//! The table of the protocol: our implementation, the floor, vodozemac, and Signal's own library through Node, in one
//! run.

use std::path::PathBuf;
use std::process::Command;

use super::measured::Measured;
use super::{executable, instructions, shown};
use crate::error::Error;
use crate::interop;
use crate::workspace::{Workspace, capture};

/// The columns of our rows: operations per call, nanoseconds, floor.
const PER_CALL: usize = 0;
const NS: usize = 1;
const FLOOR: usize = 2;

/// Runs all benchmarks one after the other, and prints the table as Markdown.
pub(super) fn compare(workspace: &Workspace) -> Result<(), Error> {
    let bench = build(workspace)?;
    eprintln!("measuring ours");
    let mut ours = Command::new(&bench);
    ours.arg("--lines");
    let ours = Measured::parse(&capture(ours)?);
    eprintln!("measuring vodozemac");
    let vodozemac = Measured::parse(&capture(workspace.cargo(&[
        "run",
        "-q",
        "--release",
        "--locked",
        "--manifest-path",
        "tests/bench-vodozemac/Cargo.toml",
    ]))?);
    let folder = workspace.path("tests/interop");
    interop::install(&folder)?;
    eprintln!("measuring Signal's library through Node");
    let mut node = Command::new("node");
    node.arg("bench.mjs").current_dir(folder);
    let node = Measured::parse(&capture(node)?);
    let counted = instructions::can_be_counted();
    eprintln!(
        "{}",
        if counted { "counting instructions" } else { "no valgrind: instructions are not counted" }
    );

    println!(
        "| Operation | ours, ns | floor, ns | ratio | instructions | vodozemac, ns | libsignal through Node, ns | without Node, ns |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for name in &ours.names {
        let (ns, floor) = (ours.number(name, NS), ours.number(name, FLOOR));
        let instructions = if counted { instructions::of_a_call(&bench, name) } else { None };
        let each = instructions.zip(ours.number(name, PER_CALL)).map(|(count, per_call)| count / per_call);
        let ratio = ns.zip(floor).map(|(ns, floor)| format!("{:.2}", ns / floor)).unwrap_or_default();
        let [ns, floor, each, vodozemac, node, alone] =
            [ns, floor, each, vodozemac.number(name, 0), node.number(name, 0), node.number(name, 1)]
                .map(shown);
        println!("| {name} | {ns} | {floor} | {ratio} | {each} | {vodozemac} | {node} | {alone} |");
    }
    println!();
    for name in &node.names {
        match (ours.number(name, NS), node.number(name, 0)) {
            (None, Some(ns)) => println!("{name} through Node: {} ns", shown(Some(ns))),
            (Some(ours), Some(theirs)) if ours > theirs => {
                println!("slower than Signal's library through Node: {name}");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Builds our benchmark, and returns the path of the program.
fn build(workspace: &Workspace) -> Result<PathBuf, Error> {
    let arguments =
        ["bench", "-p", "sealpost-protocol", "--bench", "protocol", "--no-run", "--message-format=json"];
    let messages = capture(workspace.cargo(&arguments))?;
    executable(&messages).ok_or(Error::Failed("cargo has not reported the path of the benchmark".to_owned()))
}
