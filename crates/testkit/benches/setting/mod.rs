//! The people in the groups: some with a client, and many who only acknowledge what they get.

pub(crate) mod arrivals;
pub(crate) mod backlog;
pub(crate) mod group;
pub(crate) mod line;
pub(crate) mod many;
pub(crate) mod member;
pub(crate) mod relay;
