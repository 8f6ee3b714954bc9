//! The cost of each operation, next to the sum of the primitives in it, measured in the same run. No implementation
//! on these primitives can be faster than this sum.
//!
//! ```text
//! cargo bench -p sealpost-protocol                                      a table
//! cargo bench -p sealpost-protocol -- --lines                           the same for programs, separated by tabs
//! cargo bench -p sealpost-protocol -- --only "decrypt, one way"         one row
//! … --only "decrypt, one way" --count 100                               100 times and no clock, to count instructions
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark reads the clock, prints, and fails by panicking"
)]

mod envelopes;
mod floor;
mod groups;
mod handshake;
mod keys;
mod people;
mod records;
mod talk;
mod timing;

use floor::Floor;

/// One row of the table.
struct Operation {
    /// The name of the row, here and for benchmarks of other implementations.
    name: &'static str,
    /// How many operations one call performs.
    per_call: u32,
    /// The primitives in one operation. `None` if they hardly matter.
    floor: Option<fn(&Floor) -> f64>,
    /// Sets up the operation, which is not measured, and returns the call.
    prepare: fn() -> Call,
}

type Call = Box<dyn FnMut()>;

fn operations() -> Vec<&'static Operation> {
    [
        keys::OPERATIONS,
        handshake::OPERATIONS,
        talk::OPERATIONS,
        records::OPERATIONS,
        groups::OPERATIONS,
        envelopes::OPERATIONS,
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)
    };
    let only = value("--only");
    let operations =
        operations().into_iter().filter(|operation| only.is_none_or(|only| only == operation.name));
    if let Some(count) = value("--count") {
        let count = count.parse().unwrap();
        operations.for_each(|operation| repeat(operation, count));
        return;
    }
    let for_programs = arguments.iter().any(|argument| argument == "--lines");
    let floor = Floor::measure();
    if !for_programs {
        println!("{:<40}{:>12}{:>12}{:>8}", "operation", "ns", "floor ns", "ratio");
    }
    for operation in operations {
        let ns = timing::best(&mut (operation.prepare)()) / f64::from(operation.per_call);
        let floor = operation.floor.map(|sum| sum(&floor));
        if for_programs {
            println!("{}\t{}\t{ns}\t{}", operation.name, operation.per_call, floor.unwrap_or(0.0));
        } else {
            print_row(operation.name, ns, floor);
        }
    }
    if !for_programs {
        records::print_sizes();
    }
}

fn repeat(operation: &Operation, count: u32) {
    let mut call = (operation.prepare)();
    for _ in 0..count {
        call();
    }
}

fn print_row(name: &str, ns: f64, floor: Option<f64>) {
    match floor {
        Some(floor) => println!("{name:<40}{ns:>12.0}{floor:>12.0}{:>8.2}", ns / floor),
        None => println!("{name:<40}{ns:>12.0}"),
    }
}
