//! The reference relay of Sealpost. It routes and stores encrypted messages, and cannot decrypt them.
//!
//! The relay is one process with an embedded SQLite database. A message is durable before its sender gets an answer,
//! and stays in the mailbox of each device until that device acknowledges it. The relay links no protocol code: keys
//! and ciphertexts are opaque bytes to it.
//!
//! ```no_run
//! # async fn run() -> Result<(), sealpost_relay::StartError> {
//! use sealpost_relay::{Config, Relay};
//!
//! let relay = Relay::start(Config::local("relay-data")).await?;
//! println!("listening on {}", relay.url());
//! relay.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! [`store`] is the durable storage and documents what each operation guarantees. [`bus`] wakes connections. `routes`
//! has one file for each resource, `connection` is the WebSocket, and `sending` and `mailing` are shared by the
//! socket and the HTTP routes.

pub mod address;
mod admission;
mod auth;
mod body;
pub mod bus;
pub mod clock;
mod config;
mod connection;
mod fan_out;
pub mod fault;
pub mod keys;
pub mod limits;
mod links;
mod login;
mod mailing;
mod matrix;
pub mod metrics;
mod origin;
mod peers;
mod private;
pub mod problem;
mod random;
mod read_ahead;
mod relay;
mod routes;
mod sending;
mod server;
mod state;
pub mod store;
mod store_version;
mod sweeper;
mod tls;
mod tokens;
mod write_timeout;

pub use config::{Config, Registration, Timing, TlsFiles};
pub use relay::{Relay, StartError};
pub use tls::TlsError;
