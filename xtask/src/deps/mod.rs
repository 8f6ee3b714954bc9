//! `check-deps`: who may link whom, and which module may import which.
//!
//! [`rules`] are the crate rules over the [`graph`] that cargo resolves; [`layers`] are the module rules, and
//! [`circles`] finds the files that import each other.

mod circles;
mod graph;
mod layers;
mod rules;
mod source;

use std::fmt;

use crate::error::Error;
use crate::workspace::{Workspace, capture};
use graph::Graph;

/// One broken rule: where, and what to do instead.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    place: String,
    message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Checks every rule; the error lists all that are broken.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Error> {
    let mut violations = Vec::new();
    for member in members(workspace)? {
        let tree = capture(workspace.cargo(&["tree", "-p", &member, "-e", "normal", "--prefix", "depth"]))?;
        violations.extend(rules::check(&member, &Graph::parse(&tree)));
    }
    for rules in layers::CRATES {
        violations.extend(layers::check(&workspace.path(rules.source), rules)?);
    }
    for (place, source) in circles::crates(&workspace.path("crates"))? {
        violations.extend(circles::check(&source, &place)?);
    }
    if violations.is_empty() { Ok(()) } else { Err(Error::Rules(violations)) }
}

fn members(workspace: &Workspace) -> Result<Vec<String>, Error> {
    let list = capture(workspace.cargo(&["tree", "--workspace", "--depth", "0", "--prefix", "depth"]))?;
    Ok(list.lines().filter_map(graph::parse_line).map(|(_, package)| package.name).collect())
}
