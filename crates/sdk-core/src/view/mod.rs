//! Live views: what there is, then what changes.

pub(crate) mod arrivals;
pub(crate) mod feed;
pub(crate) mod timeline;
mod watch;
