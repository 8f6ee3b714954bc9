//! The path of an incoming message, station by station. ◆ marks a commit.
//!
//! | # | Station | Where | Input → output |
//! |--:|---|---|---|
//! | 1 | Arrive | `sync::connection` | frames → up to 256 `relay.v1.Deliver` |
//! | 2 | Seen? | [`batch`] | an envelope whose bytes were opened before continues at 9 |
//! | 3 | Parse | [`open`] | bytes → ciphertext |
//! | 5 | Load | `batch::decrypt` | the sender's sessions, once per batch; the pre-keys that the message refers to |
//! | 6 | Open | [`open`] | → [`open::Opened`] and the advanced session |
//! | 7 | Apply | [`apply`] | writes rows; may queue a receipt |
//! | 8 | Commit ◆ | [`inbox`] | sessions, used pre-keys, rows → `Durable` envelope ids |
//! | 9 | Acknowledge | `transport` | the relay deletes the envelopes |
//! | 10 | Tell | `event` | the events of the transaction |
//!
//! (Station 4, Unseal, is reserved for sealed sender.) Stations 2 to 8 are one transaction for the whole batch. After
//! a crash before its commit, nothing has happened, and the relay delivers the batch again. After a crash following
//! the commit, the relay also delivers it again, and station 2 recognises it. An envelope that cannot be opened
//! becomes a row with a cause, and is acknowledged like any other. Each envelope is processed inside a savepoint. One
//! that cannot be processed because of a fault on this side (a damaged row, a bug) is deferred while the others
//! continue: its bytes are kept, and [`retry`] tries it again.

mod apply;
mod batch;
pub(crate) mod bootstrap;
mod envelope;
mod headers;
pub(crate) mod inbox;
mod lists;
mod open;
pub(crate) mod reread;
pub(crate) mod retry;
