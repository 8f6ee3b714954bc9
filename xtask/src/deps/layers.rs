//! The module rules of `sdk-core`: imports point down, and the two paths do not know each other.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Violation;
use crate::error::Error;

/// The layers, lowest first; a module may import its own layer and those before it. ARCHITECTURE.md draws them.
const LAYERS: &[&[&str]] = &[
    &["id", "env", "error", "event", "content", "message", "config", "fault"],
    &["store", "transport"],
    &["context"],
    &["account", "contact", "thread", "group", "media"],
    &["send", "receive"],
    &["sync"],
    &["view"],
    &["client"],
];

/// Neighbours in one layer of which the first may not import the second.
const STRANGERS: &[(&str, &str, &str)] = &[
    ("send", "receive", "use cases meet in the store, not in each other"),
    ("receive", "send", "use cases meet in the store, not in each other"),
    ("store", "transport", "nothing waits for the network inside a transaction"),
];

/// Checks every file below `source`, which is `crates/sdk-core/src`.
pub(super) fn check(source: &Path) -> Result<Vec<Violation>, Error> {
    let mut violations = Vec::new();
    for path in rust_files(source)? {
        let place = path.strip_prefix(source).unwrap_or(&path);
        let Some(module) = module_of(place) else { continue };
        let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
        violations.extend(check_file(&module, &text).into_iter().map(|(line, message)| Violation {
            place: format!("crates/sdk-core/src/{}:{line}", place.display()),
            message,
        }));
    }
    Ok(violations)
}

/// The top-level module that a file belongs to; nothing for the façade (`lib.rs`) and for files of tests.
fn module_of(place: &Path) -> Option<String> {
    let is_tests =
        place.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs");
    let first = Path::new(place.components().next()?.as_os_str()).file_stem()?.to_str()?;
    (!is_tests && first != "lib").then(|| first.to_owned())
}

fn check_file(module: &str, text: &str) -> Vec<(usize, String)> {
    let Some(own) = layer_of(module) else {
        return vec![(1, format!("module {module} is in no layer: give it one in xtask/src/deps/layers.rs"))];
    };
    imports(text)
        .into_iter()
        .filter(|(_, name)| name != module)
        .filter_map(|(line, name)| complaint(module, own, &name).map(|message| (line, message)))
        .collect()
}

fn complaint(module: &str, own: usize, imported: &str) -> Option<String> {
    let Some(theirs) = layer_of(imported) else {
        return Some(format!("crate::{imported} hides its layer: name the module that defines it"));
    };
    if theirs > own {
        return Some(format!("{module} imports {imported}, which lies above it; imports point down"));
    }
    let pair = STRANGERS.iter().find(|(from, to, _)| *from == module && *to == imported);
    pair.map(|(from, to, why)| format!("{from} imports {to}: {why}"))
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The first name after each `crate::` outside comments and the test module, with its line (from 1).
fn imports(text: &str) -> Vec<(usize, String)> {
    let code = shipped_code(text);
    let mut found = Vec::new();
    for (at, path) in code.match_indices("crate::") {
        let (before, rest) = code.split_at(at);
        if before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '$')) {
            continue;
        }
        let line = before.matches('\n').count().saturating_add(1);
        let rest = rest.strip_prefix(path).unwrap_or(rest);
        found.extend(heads(rest).into_iter().map(|name| (line, name)));
    }
    found
}

/// The code without comments (links in docs may point up) and without the tests at the end.
fn shipped_code(text: &str) -> String {
    let end = text.find("\n#[cfg(test)]\nmod ").unwrap_or(text.len());
    let (shipped, _tests) = text.split_at(end);
    let lines = shipped.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    lines.collect::<Vec<_>>().join("\n")
}

/// `store::Tx` gives `store`; `{id::UserId, store::{Store, Tx}}` gives `id` and `store`.
fn heads(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        return Some(identifier(path)).filter(|name| !name.is_empty()).into_iter().collect();
    };
    let mut depth = 0_usize;
    let mut names = vec![identifier(group.trim_start())];
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth = depth.saturating_add(1),
            '}' if depth == 0 => break,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                let next = group.get(at..).unwrap_or_default().trim_start_matches(',');
                names.push(identifier(next.trim_start()));
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| unreadable(&folder, error))? {
            let path = entry.map_err(|error| unreadable(&folder, error))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Io { subject: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(module: &str, text: &str) -> Vec<String> {
        check_file(module, text).into_iter().map(|(line, message)| format!("{line}: {message}")).collect()
    }

    #[test]
    fn imports_that_point_down_pass() {
        let text = "use crate::id::UserId;\nuse crate::{error::Error, store::{Store, Tx}};\nuse crate::send::outbox;\n";
        assert_eq!(messages("send", text), Vec::<String>::new());
    }

    #[test]
    fn an_import_that_points_up_is_named_with_its_line() {
        assert_eq!(
            messages("store", "\nuse crate::thread::Thread;\n"),
            ["2: store imports thread, which lies above it; imports point down"]
        );
    }

    #[test]
    fn a_path_in_an_expression_counts_too() {
        assert_eq!(messages("contact", "fn f() { let _ = crate::sync::start(); }").len(), 1);
    }

    #[test]
    fn the_two_paths_do_not_know_each_other() {
        assert_eq!(
            messages("receive", "use crate::send::outbox::enqueue;"),
            ["1: receive imports send: use cases meet in the store, not in each other"]
        );
        assert_eq!(messages("send", "use crate::receive::inbox::Inbox;").len(), 1);
    }

    #[test]
    fn transport_knows_store_but_not_the_other_way() {
        assert_eq!(messages("transport", "use crate::store::Durable;"), Vec::<String>::new());
        assert_eq!(messages("store", "use crate::transport::Answer;").len(), 1);
    }

    #[test]
    fn every_head_of_a_group_is_seen() {
        let text = "use crate::{\n    id::{DeviceId, UserId},\n    client::Client, sync,\n};\n";
        assert_eq!(imports(text), [(1, "id".to_owned()), (1, "client".to_owned()), (1, "sync".to_owned())]);
    }

    #[test]
    fn comments_tests_and_macros_do_not_count() {
        let text = "/// See [`Client`](crate::client::Client).\nfn f() {} // crate::sync\nmacro($crate::sync);\npub(crate) fn g() {}\n\
                    \n#[cfg(test)]\nmod tests {\n    use crate::client::Client;\n}\n";
        assert_eq!(imports(text), []);
    }

    #[test]
    fn a_name_without_its_module_is_refused() {
        assert_eq!(
            messages("store", "use crate::Client;"),
            ["1: crate::Client hides its layer: name the module that defines it"]
        );
    }

    #[test]
    fn a_module_without_a_layer_is_refused() {
        assert_eq!(
            messages("gossip", ""),
            ["1: module gossip is in no layer: give it one in xtask/src/deps/layers.rs"]
        );
    }

    #[test]
    fn files_belong_to_their_top_level_module() {
        let module = |place: &str| module_of(Path::new(place));
        assert_eq!(module("send/outbox.rs").as_deref(), Some("send"));
        assert_eq!(module("client.rs").as_deref(), Some("client"));
        assert_eq!(module("lib.rs"), None);
        assert_eq!(module("send/tests.rs"), None);
    }
}
