//! `check-deps` checks which crates may link which, and which modules may import which.
//!
//! [`rules`] contains the rules for crates, applied to the [`graph`] that cargo resolves. [`layers`] contains the
//! rules for modules, and [`circles`] finds files that import each other.

mod circles;
mod graph;
mod layers;
mod rules;
mod source;

use std::fmt;

use crate::error::Error;
use crate::workspace::{Workspace, capture};
use graph::Graph;

/// A violation: where it is, and what is wrong.
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

/// Checks all rules; the error lists all violations.
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
