//! Finds cycles of imports between the files of a crate.
//!
//! Each file is a node. Each path in it that begins with `crate`, `super` or `self` is an edge to the file of the
//! longest module that the path names. Declarations (`mod x;`) and re-exports (`pub use x::Y;`) are not edges,
//! because a module may hold its parts together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::Violation;
use super::source::{rust_files, shipped_code, unreadable};
use crate::error::Error;

/// A module, as the names from the root of its crate.
type Module = Vec<String>;

/// Checks every file below `source`, which is called `place` in a report.
pub(super) fn check(source: &Path, place: &str) -> Result<Vec<Violation>, Error> {
    let mut texts = BTreeMap::new();
    for path in rust_files(source)? {
        let Some(module) = module_of(path.strip_prefix(source).unwrap_or(&path)) else { continue };
        texts.insert(module, fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?);
    }
    let circles = circles(&texts);
    Ok(circles
        .into_iter()
        .map(|circle| Violation { place: place.to_owned(), message: told(&circle) })
        .collect())
}

fn told(circle: &[Module]) -> String {
    let names: Vec<_> = circle.iter().map(|module| format!("crate::{}", module.join("::"))).collect();
    format!("{} import each other in a cycle", names.join(", "))
}

/// The module of a file, given its path below `src`; `None` for files of tests.
fn module_of(place: &Path) -> Option<Module> {
    let mut names: Module =
        place.with_extension("").iter().filter_map(|part| part.to_str().map(str::to_owned)).collect();
    if names.iter().any(|name| name == "tests") {
        return None;
    }
    if matches!(names.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        names.pop();
    }
    Some(names)
}

/// Each cycle, as the modules in it.
fn circles(texts: &BTreeMap<Module, String>) -> Vec<Vec<Module>> {
    let reached: BTreeMap<&Module, BTreeSet<&Module>> = {
        let edges: BTreeMap<&Module, BTreeSet<&Module>> =
            texts.iter().map(|(module, text)| (module, imports(module, text, texts))).collect();
        edges.keys().map(|module| (*module, reachable(module, &edges))).collect()
    };
    let leads = |from: &Module, to: &Module| reached.get(from).is_some_and(|there| there.contains(to));
    let mut found: Vec<Vec<Module>> = Vec::new();
    for module in texts.keys().filter(|module| leads(module, module)) {
        if found.iter().any(|circle| circle.contains(module)) {
            continue;
        }
        let circle = texts.keys().filter(|other| leads(module, other) && leads(other, module));
        found.push(circle.cloned().collect());
    }
    found
}

fn reachable<'a>(from: &Module, edges: &BTreeMap<&'a Module, BTreeSet<&'a Module>>) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&'a Module> = edges.get(from).into_iter().flatten().copied().collect();
    while let Some(module) = next.pop() {
        if reached.insert(module) {
            next.extend(edges.get(module).into_iter().flatten().copied());
        }
    }
    reached
}

/// The other modules that a file names.
fn imports<'a>(module: &Module, text: &str, all: &'a BTreeMap<Module, String>) -> BTreeSet<&'a Module> {
    let code = shipped_code(text);
    let mut found = BTreeSet::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let (before, path) = code.split_at(at);
            if before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '$')) {
                continue;
            }
            for path in spread(path) {
                let target = resolve(module, &path, all);
                found.extend(target.filter(|target| *target != module));
            }
        }
    }
    found
}

/// The file of the longest module that a path names, relative to a module.
fn resolve<'a>(from: &Module, path: &[String], all: &'a BTreeMap<Module, String>) -> Option<&'a Module> {
    let mut at = if path.first().is_some_and(|name| name == "crate") { Module::new() } else { from.clone() };
    let mut names = path.iter().skip_while(|name| matches!(name.as_str(), "crate" | "self")).peekable();
    while names.next_if(|name| *name == "super").is_some() {
        at.pop();
    }
    for name in names {
        at.push(name.clone());
        if !all.contains_key(&at) {
            at.pop();
            break;
        }
    }
    all.get_key_value(&at).map(|(module, _)| module)
}

/// `a::{b, c::{d, e}}` and what follows it gives `a::b`, `a::c::d` and `a::c::e`.
fn spread(text: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    // The names before the current group, and how many of them each enclosing group adds.
    let (mut names, mut groups): (Vec<String>, Vec<usize>) = (Vec::new(), vec![0]);
    let mut rest = text;
    loop {
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        rest = rest.strip_prefix(name.as_str()).unwrap_or(rest);
        if !name.is_empty() {
            names.push(name);
        }
        let depth = groups.last().copied().unwrap_or_default();
        if let Some(inner) = rest.strip_prefix("::") {
            rest = inner;
            if let Some(group) = rest.strip_prefix('{') {
                groups.push(names.len());
                rest = group.trim_start();
            }
            continue;
        }
        // A name ends here, with or without `as`.
        if names.len() > depth {
            paths.push(names.clone());
        }
        names.truncate(depth);
        if groups.len() == 1 {
            return paths;
        }
        let end = rest.find([',', '}']).unwrap_or(rest.len());
        rest = rest.get(end..).unwrap_or_default();
        if let Some(next) = rest.strip_prefix(',') {
            rest = next.trim_start();
        } else {
            groups.pop();
            names.truncate(groups.last().copied().unwrap_or_default());
            rest = rest.strip_prefix('}').unwrap_or_default();
            if groups.len() == 1 || rest.is_empty() {
                return paths;
            }
        }
    }
}

/// Every package folder below `crates`, by name.
pub(super) fn crates(folder: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, error))? {
        let path = entry.map_err(|error| unreadable(folder, error))?.path();
        let source = path.join("src");
        if let (true, Some(name)) = (source.is_dir(), path.file_name().and_then(|name| name.to_str())) {
            found.push((format!("crates/{name}/src"), source));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(files: &[(&str, &str)]) -> BTreeMap<Module, String> {
        let module = |place: &str| module_of(Path::new(place)).unwrap();
        files.iter().map(|(place, text)| (module(place), (*text).to_owned())).collect()
    }

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        circles(&texts(files)).iter().map(|circle| told(circle)).collect()
    }

    #[test]
    fn imports_in_one_direction_are_not_a_cycle() {
        let files = [
            ("a/mod.rs", "mod b;\nuse self::b::B;"),
            ("a/b.rs", "use crate::c::C;"),
            ("c.rs", ""),
            ("lib.rs", "mod a;"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }

    #[test]
    fn a_cycle_of_three_files_is_reported_once() {
        let files =
            [("a.rs", "use crate::b::B;"), ("b.rs", "use super::c;"), ("c.rs", "fn f() { crate::a::f() }")];
        assert_eq!(found(&files), ["crate::a, crate::b, crate::c import each other in a cycle"]);
    }

    #[test]
    fn a_parent_and_a_child_that_import_each_other_are_a_cycle() {
        let files = [("a/mod.rs", "use self::b::B;"), ("a/b.rs", "use super::A;")];
        assert_eq!(found(&files), ["crate::a, crate::a::b import each other in a cycle"]);
    }

    #[test]
    fn re_exports_comments_and_tests_are_not_edges() {
        let files = [
            (
                "a/mod.rs",
                "pub use b::B; // self::b\n/// [`B`](self::b::B)\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n    use self::b::B;\n}\n",
            ),
            ("a/b.rs", "use super::A;"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }

    #[test]
    fn groups_expand_to_all_their_paths() {
        let spread = |text| spread(text).into_iter().map(|path| path.join("::")).collect::<Vec<_>>();
        assert_eq!(
            spread("super::{\n    a::{self, B as C},\n    d::{E, f::G},\n    H,\n};\nuse x::y;"),
            ["super::a::self", "super::a::B", "super::d::E", "super::d::f::G", "super::H"]
        );
        assert_eq!(spread("crate::a::b(crate::c)"), ["crate::a::b"]);
    }

    #[test]
    fn a_path_resolves_to_the_longest_module_that_it_names() {
        let all = texts(&[("lib.rs", ""), ("a/mod.rs", ""), ("a/b.rs", ""), ("c.rs", "")]);
        let resolve = |from: &str, path: &str| {
            let from = module_of(Path::new(from)).unwrap();
            let path: Vec<_> = path.split("::").map(str::to_owned).collect();
            resolve(&from, &path, &all).map(|module| module.join("::"))
        };
        assert_eq!(resolve("c.rs", "crate::a::b::f").as_deref(), Some("a::b"));
        assert_eq!(resolve("a/b.rs", "super::A").as_deref(), Some("a"));
        assert_eq!(resolve("a/b.rs", "super::super::c::C").as_deref(), Some("c"));
        assert_eq!(resolve("a/mod.rs", "self::b::B").as_deref(), Some("a::b"));
        assert_eq!(resolve("c.rs", "crate::Error").as_deref(), Some(""));
    }
}
