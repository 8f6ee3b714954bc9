//! Parses the output of `cargo tree --prefix depth` as a graph.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A resolved package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Package {
    /// Its name on the registry or in the workspace.
    pub(super) name: String,
    /// Its version, without the `v`.
    pub(super) version: String,
}

/// One package and everything that it links.
#[derive(Debug, Default)]
pub(super) struct Graph {
    root: Option<Package>,
    children: BTreeMap<Package, BTreeSet<Package>>,
}

impl Graph {
    /// Parses the tree of one package. Cargo prints the children of a repeated package only once, which is enough for
    /// a graph.
    pub(super) fn parse(tree: &str) -> Self {
        let mut graph = Self::default();
        let mut ancestors: Vec<Package> = Vec::new();
        for (depth, package) in tree.lines().filter_map(parse_line) {
            ancestors.truncate(depth);
            match ancestors.last() {
                Some(parent) => {
                    graph.children.entry(parent.clone()).or_default().insert(package.clone());
                }
                None => graph.root = Some(package.clone()),
            }
            ancestors.push(package);
        }
        graph
    }

    /// The names of the direct dependencies of the root.
    pub(super) fn direct(&self) -> BTreeSet<&str> {
        let children = self.root.as_ref().and_then(|root| self.children.get(root));
        children.into_iter().flatten().map(|package| package.name.as_str()).collect()
    }

    /// The versions of a package, wherever it occurs.
    pub(super) fn versions(&self, name: &str) -> BTreeSet<&str> {
        let all = self.children.values().flatten().filter(|package| package.name == name);
        all.map(|package| package.version.as_str()).collect()
    }

    /// The names of the packages that depend directly on a package.
    pub(super) fn parents(&self, name: &str) -> BTreeSet<&str> {
        let has = |children: &BTreeSet<Package>| children.iter().any(|child| child.name == name);
        self.children.iter().filter(|(_, children)| has(children)).map(|(p, _)| p.name.as_str()).collect()
    }

    /// The shortest path from the root to a package, including both.
    pub(super) fn path_to(&self, name: &str) -> Option<Vec<&str>> {
        let root = self.root.as_ref()?;
        let mut seen = BTreeSet::from([root]);
        let mut waiting = VecDeque::from([vec![root]]);
        while let Some(path) = waiting.pop_front() {
            for child in path.last().and_then(|last| self.children.get(*last)).into_iter().flatten() {
                let mut longer = path.clone();
                longer.push(child);
                if child.name == name {
                    return Some(longer.iter().map(|package| package.name.as_str()).collect());
                }
                if seen.insert(child) {
                    waiting.push_back(longer);
                }
            }
        }
        None
    }
}

/// `2serde v1.0.0 (*)` is depth 2, `serde`, `1.0.0`. Other lines return nothing.
pub(super) fn parse_line(line: &str) -> Option<(usize, Package)> {
    let name_at = line.find(|c: char| !c.is_ascii_digit())?;
    let (depth, rest) = line.split_at(name_at);
    let mut words = rest.split(' ');
    let name = words.next().filter(|name| !name.is_empty())?.to_owned();
    let version = words.next()?.strip_prefix('v')?.to_owned();
    Some((depth.parse().ok()?, Package { name, version }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "\
0sealpost-relay v0.1.0 (/checkout/crates/relay)
1axum v0.8.9
2bytes v1.12.1
2tokio-tungstenite v0.29.0
3sha1 v0.10.7
1sealpost-wire v0.1.0 (/checkout/crates/wire)
2bytes v1.12.1
2prost-derive v0.14.4 (proc-macro)
1sha1 v0.11.0 (*)
";

    #[test]
    fn a_line_has_depth_name_and_version() {
        let (depth, package) = parse_line("12prost-derive v0.14.4 (proc-macro)").unwrap();
        assert_eq!((depth, package.name.as_str(), package.version.as_str()), (12, "prost-derive", "0.14.4"));
    }

    #[test]
    fn blank_and_foreign_lines_give_nothing() {
        for line in ["", "3", "[build-dependencies]", "warning: unused", "1name", "serde v1.0.0"] {
            assert_eq!(parse_line(line), None, "{line:?}");
        }
    }

    #[test]
    fn direct_dependencies_are_those_of_the_root() {
        let direct: Vec<_> = Graph::parse(TREE).direct().into_iter().map(str::to_owned).collect();
        assert_eq!(direct, ["axum", "sealpost-wire", "sha1"]);
    }

    #[test]
    fn versions_and_parents_are_found_at_any_depth() {
        let graph = Graph::parse(TREE);
        assert_eq!(graph.versions("sha1").into_iter().collect::<Vec<_>>(), ["0.10.7", "0.11.0"]);
        assert_eq!(
            graph.parents("sha1").into_iter().collect::<Vec<_>>(),
            ["sealpost-relay", "tokio-tungstenite"]
        );
        assert!(graph.versions("ring").is_empty());
    }

    #[test]
    fn the_path_names_each_station() {
        let graph = Graph::parse(TREE);
        assert_eq!(
            graph.path_to("prost-derive").unwrap(),
            ["sealpost-relay", "sealpost-wire", "prost-derive"]
        );
        assert_eq!(graph.path_to("sealpost-protocol"), None);
    }
}
