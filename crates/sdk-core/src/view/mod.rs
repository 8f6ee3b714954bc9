//! Live views: what there is, then what changes.

pub(crate) mod arrivals;
pub(crate) mod feed;
pub(crate) mod list;
pub(crate) mod timeline;
mod watch;

/// Messages in a page, and threads, unless asked otherwise.
pub const PAGE: u32 = 50;
