//! The fuzz targets: what each does with an input.
//!
//! The same functions run in three places: under libFuzzer (`./dev fuzz`, in `libfuzzer/`), over the corpora
//! (`tests/replay.rs`), and over the corpora with a few bytes changed (`tests/damage.rs`). Each checks that nothing
//! panics, that accepted input is returned unchanged, and that no call allocates more than its `allocation` limit.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a target fails by panicking"
)]

mod allocation;
#[path = "../../crates/sdk-core/src/content/mod.rs"]
#[allow(dead_code, unreachable_pub, unused_imports, reason = "the client uses the rest")]
mod content;
mod contents;
mod decrypt;
mod id;
mod interaction;
mod messages;
mod records;
mod roster;
mod sealed;
mod vectors;
mod wire;

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is also that of its program and its corpus.
    pub name: &'static str,
    /// Runs one input. Panics if it finds something.
    pub run: fn(&[u8]),
    /// Seed inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every parser of messages and keys.
pub const MESSAGES: Target = Target { name: "messages", run: messages::run, seeds: vectors::all };
/// Sealed sender, safety numbers and HPKE.
pub const SEALED: Target = Target { name: "sealed", run: sealed::run, seeds: vectors::all };
/// Every stored form, and operations on what was loaded from it.
pub const RECORDS: Target = Target { name: "records", run: records::run, seeds: vectors::all };
/// Forged messages for devices in the middle of a conversation.
pub const DECRYPT: Target = Target { name: "decrypt", run: decrypt::run, seeds: decrypt::seeds };
/// Frames and bodies between client and relay.
pub const WIRE: Target = Target { name: "wire", run: wire::run, seeds: wire::seeds };
/// The contents of messages.
pub const CONTENT: Target = Target { name: "content", run: contents::run, seeds: contents::seeds };
/// Conversations of two parties over a hostile network.
pub const INTERACTION: Target =
    Target { name: "interaction", run: interaction::run, seeds: interaction::seeds };
/// Entries of the roster of a group.
pub const ROSTER: Target = Target { name: "roster", run: roster::run, seeds: roster::seeds };

/// All targets.
pub const TARGETS: [Target; 8] = [MESSAGES, SEALED, RECORDS, DECRYPT, WIRE, CONTENT, INTERACTION, ROSTER];
