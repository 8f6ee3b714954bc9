//! The table of the protocol: ours, the floor, vodozemac and Signal's own library through Node, in one run.

use std::path::PathBuf;
use std::process::Command;

use super::instructions;
use super::measured::Measured;
use crate::error::Error;
use crate::interop;
use crate::workspace::{Workspace, capture};

/// Columns of our own rows: things per call, nanoseconds, floor.
const PER_CALL: usize = 0;
const NS: usize = 1;
const FLOOR: usize = 2;

/// Measures everybody, one after the other, and prints the table, as Markdown.
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

/// Builds our benchmark, and finds the program.
fn build(workspace: &Workspace) -> Result<PathBuf, Error> {
    let arguments =
        ["bench", "-p", "sealpost-protocol", "--bench", "protocol", "--no-run", "--message-format=json"];
    let messages = capture(workspace.cargo(&arguments))?;
    executable(&messages).ok_or(Error::Failed("cargo has not said where the benchmark is".to_owned()))
}

/// The last program among cargo's messages: the names of files are the only strings that we need of them.
fn executable(messages: &str) -> Option<PathBuf> {
    let mut found =
        messages.lines().filter_map(|line| line.split_once("\"executable\":\"")?.1.split_once('"'));
    found.next_back().map(|(path, _)| path.into())
}

/// With a comma between thousands; nothing where there is no number.
fn shown(number: Option<f64>) -> String {
    let Some(number) = number else { return String::new() };
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && digits.len().saturating_sub(place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let shown = [0.4, 7.0, 999.0, 1_000.0, 1_234_567.8].map(|number| shown(Some(number)));
        assert_eq!(shown, ["0", "7", "999", "1,000", "1,234,568"]);
        assert_eq!(super::shown(None), "");
    }

    #[test]
    fn the_program_is_found_among_cargos_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
            {\"target\":{\"name\":\"protocol\"},\"executable\":\"/t/release/deps/protocol-1f\",\"fresh\":true}\n\
            {\"reason\":\"build-finished\",\"success\":true}";
        assert_eq!(executable(messages), Some("/t/release/deps/protocol-1f".into()));
        assert_eq!(executable("{\"executable\":null}"), None);
    }
}
