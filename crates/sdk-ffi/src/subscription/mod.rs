//! Live views: a snapshot, then batches of what changes, pulled by one consumer.

mod arrivals;
mod client;
mod thread;

pub use arrivals::ArrivalSubscription;
pub use client::{ClientSubscription, ConnectionState, Event, Overview, ThreadSummary};
pub use thread::{Change, ThreadSubscription};
