//! The incoming path, station by station. ◆ marks a commit.
//!
//! | # | Station | Where | Takes → gives |
//! |--:|---|---|---|
//! | 1 | Arrive | `sync::connection` | frames → up to 256 `relay.v1.Deliver` |
//! | 2 | Seen? | [`inbox`] | these bytes were opened before → straight to 9 |
//! | 3 | Parse | [`open`] | bytes → ciphertext |
//! | 5 | Load | [`inbox`] | sessions of the sender, once per batch; the pre-keys the message names |
//! | 6 | Open | [`open`] | → [`open::Opened`] and the advanced session |
//! | 7 | Apply | [`apply`] | rows; perhaps a receipt into the outbox |
//! | 8 | Commit ◆ | [`inbox`] | sessions, spent pre-keys, rows → `Durable` envelope ids |
//! | 9 | Acknowledge | `transport` | the relay may forget them |
//! | 10 | Tell | `event` | the events of the transaction |
//!
//! (Station 4, Unseal, comes with sealed sender.) Stations 2 to 8 are one transaction for the whole batch. A
//! crash before its commit: the relay delivers again, and nothing had happened. After it: delivered again, caught
//! at 2. What cannot be opened becomes a row with a cause, and is acknowledged like everything else; each envelope is handled in a
//! part of the transaction that can be undone by itself, so that one that cannot be handled is parked and the others go on.

mod apply;
mod envelope;
pub(crate) mod inbox;
mod open;
