//! The outgoing path, station by station. ◆ marks a commit.
//!
//! | # | Station | Where | Input → output |
//! |--:|---|---|---|
//! | 1 | Ask | `client::Thread::send_text` | text |
//! | 2 | Queue ◆ | [`queue`] | text → message row, to be sealed; the person sees it now |
//! | 3 | Next | [`dispatch`] | the oldest due entries of each thread; a sealed one goes straight to 9 |
//! | 4 | Address | [`plan`] | thread → the devices to seal for, to meet first, to skip; a changed identity of a verified contact stops here |
//! | 5 | Meet ◆ | [`meet`] | a device without a session: bundle → verified bundle → session |
//! | 6 | Encode | `content` | content → padded plaintext |
//! | 7 | Seal | [`seal`] | plaintext and sessions → ciphertexts and advanced sessions |
//! | 8 | Commit ◆ | [`prepare`] | sessions and bytes → `Durable` bytes |
//! | 9 | Submit | `transport::submit` | durable bytes → answer |
//! | 10 | Settle ◆ | [`answer`] | answer → accepted, sealed anew, later, or failed |
//!
//! Stations 3, 4 and 6 to 8 are one transaction. If the message can be sent at once, they are part of the transaction of station
//! 2, and the parcel is passed to the lane without being read again. After a crash before the commit, the client starts again at
//! station 3. After the commit, the same bytes are submitted until the relay has answered, so no message key is used for two
//! plaintexts. Many entries of a thread are in flight at the same time, and none overtakes another ([`window`]). While some
//! entries are submitted, the next ones are sealed in one transaction, and the answers that have arrived are settled in another.
//!
//! Contents without a place in a thread go the same way, but without lanes ([`mail`]), or without a row ([`ephemeral`]).

mod answer;
mod backoff;
pub(crate) mod bootstrap;
pub(crate) mod change;
pub(crate) mod dispatch;
pub(crate) mod ephemeral;
mod group;
pub(crate) mod lane;
pub(crate) mod mail;
mod meet;
mod plan;
pub(crate) mod poll;
pub(crate) mod prepare;
pub(crate) mod queue;
mod seal;
mod time;
pub(crate) mod timer;
pub(crate) mod wait;
mod window;

#[cfg(test)]
mod tests;

pub(crate) use backoff::{backoff_ceiling_ms, backoff_ms};
