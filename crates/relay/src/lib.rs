//! The reference relay of Sealpost: it routes and stores sealed messages, and cannot read them.
//!
//! One process with SQLite inside. A message is durable before its sender hears so; it stays in the mailbox of
//! each device until that device acknowledges it. The relay links no protocol code: keys and ciphertexts are
//! opaque bytes to it.
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
//! Where to look: [`store`] is the durable side and says what each operation promises, [`bus`] the lossy side,
//! `routes` has one file per resource, `connection` is the WebSocket, `sending` what both ways of sending share.

pub mod address;
mod auth;
mod body;
pub mod bus;
pub mod clock;
mod config;
mod connection;
mod door;
pub mod fault;
pub mod keys;
pub mod limits;
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
mod sweeper;
mod tls;
mod tokens;
mod write_timeout;

pub use config::{Config, Registration, Timing, TlsFiles};
pub use relay::{Relay, StartError};
pub use tls::TlsError;
