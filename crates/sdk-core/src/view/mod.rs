//! Live views: a snapshot, followed by changes.

pub(crate) mod arrivals;
pub(crate) mod calls;
pub(crate) mod feed;
pub(crate) mod history;
pub(crate) mod list;
pub(crate) mod notices;
mod progress;
pub(crate) mod summary;
pub(crate) mod threads;
pub(crate) mod timeline;
pub(crate) mod waits;
mod watch;

/// The default number of messages, and of threads, in a page.
pub const PAGE: u32 = 50;
