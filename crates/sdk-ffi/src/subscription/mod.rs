//! Live views, each to be pulled by one consumer: a snapshot, then batches of what changes.

mod arrivals;
mod change;
mod client;
mod thread;

pub use arrivals::ArrivalSubscription;
pub use change::Change;
pub use client::ClientSubscription;
pub use thread::ThreadSubscription;
