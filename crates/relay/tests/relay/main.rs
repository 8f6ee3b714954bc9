//! The whole relay from outside: real sockets on loopback, real SQLite, a clock that the tests move.
#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

mod common;
#[path = "../entries/mod.rs"]
mod entries;

mod abuse;
mod answers;
mod authorisation;
mod backlog;
mod blocks;
mod connections;
mod conversation;
#[cfg(feature = "faults")]
mod crash;
mod drain;
mod ephemeral;
mod full_disk;
mod groups;
mod inbound;
mod kills;
mod lane;
mod limits;
mod login;
mod mail;
mod networks;
mod pre_keys;
mod process;
mod revocation;
mod shared;
mod tls;
mod tokens;
