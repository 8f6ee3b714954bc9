//! The client: an encrypted database, an outbox, an inbox, and the connection that serves them.
//!
//! [`Client::open`] gives either a [`Client`] or an [`Unregistered`] that becomes one. A [`Thread`] takes texts
//! and shows its history; [`Client::events`] and [`Thread::subscribe`] tell what changes, after it is durable.
//!
//! The two paths that everything follows are drawn, station by station, in `send` and `receive`, and in the
//! repository's ARCHITECTURE.md.

mod account;
mod builder;
mod client;
mod config;
mod contact;
mod content;
mod context;
mod env;
mod error;
mod event;
pub mod fault;
mod id;
mod message;
mod receive;
mod send;
mod store;
mod sync;
mod thread;
mod transport;

pub use builder::{Opened, Unregistered};
pub use client::{Client, Contact, PAGE, Page, Thread};
pub use config::{Config, DatabaseKey, Trust};
pub use content::MAX_TEXT;
pub use env::{Clock, SystemClock};
pub use error::{Error, Offline, Result, Storage};
pub use event::{ConnectionState, Event, Events, Lagged};
pub use id::{ClientMsgId, DeviceId, InvalidId, MessageId, ThreadId, UserId};
pub use message::{Delivery, Direction, FailReason, Message, MessageBody, Undecryptable};
pub use sealpost_protocol::SessionPolicy;
pub use store::{Cursor, TrustState};
pub use thread::timeline::{Change, Timeline};
