//! The module rules: in each crate, modules import from lower layers only, and some modules of a layer must not
//! import each other.

use std::fs;
use std::path::Path;

use super::Violation;
use super::source::{rust_files, shipped_code, unreadable};
use crate::error::Error;

/// The layers of a crate, lowest first. A module may import from its own layer and from those before it.
pub(super) struct Rules {
    /// The folder of the sources, from the root of the repository.
    pub(super) source: &'static str,
    layers: &'static [&'static [&'static str]],
    /// Pairs of modules in one layer of which the first must not import the second, with the reason.
    forbidden: &'static [(&'static str, &'static str, &'static str)],
}

/// ARCHITECTURE.md draws them.
pub(super) const CRATES: &[Rules] = &[CLIENT, RELAY, PROTOCOL];

const CLIENT: Rules = Rules {
    source: "crates/sdk-core/src",
    layers: &[
        &[
            "id", "env", "error", "event", "health", "content", "message", "name", "config", "fault",
            "runtime", "stream", "waiting", "call",
        ],
        &["store", "transport", "ephemeral"],
        &["context"],
        &["account", "contact", "thread", "group", "media"],
        &["send", "receive"],
        &["sync"],
        &["view"],
        &["client"],
    ],
    forbidden: &[
        ("send", "receive", "use cases communicate through the store"),
        ("receive", "send", "use cases communicate through the store"),
        ("store", "transport", "no transaction waits for the network"),
    ],
};

const RELAY: Rules = Rules {
    source: "crates/relay/src",
    layers: &[
        &["address", "arguments", "clock", "fault", "keys", "matrix", "origin", "peers", "private", "random"],
        &["bus", "limits", "metrics", "read_ahead", "write_timeout"],
        &["store"],
        &["problem", "config", "tokens", "login", "links", "tls"],
        &["state"],
        &["auth", "body", "fan_out", "mailing", "sending", "store_version", "sweeper"],
        &["connection", "admission"],
        &["routes", "server"],
        &["relay"],
    ],
    forbidden: &[
        ("bus", "limits", "decisions must not depend on wake-ups, which may be lost"),
        ("connection", "admission", "a socket is admitted before it is served"),
        ("sending", "sweeper", "they communicate through the store"),
    ],
};

const PROTOCOL: Rules = Rules {
    source: "crates/protocol/src",
    layers: &[
        &["address", "error", "plaintext", "shared_work", "time"],
        &["primitives", "vectors", "distribution_id"],
        &["session_id", "stored"],
        &["form"],
        &["identity"],
        &["hpke", "shared_part", "prekey", "device"],
        &["message"],
        &["ratchet", "sealed"],
        &["pqxdh", "group"],
        &["session"],
    ],
    forbidden: &[
        ("sealed", "ratchet", "an envelope is independent of the encryption of its content"),
        ("ratchet", "sealed", "a ratchet is independent of the transport of its messages"),
        ("group", "pqxdh", "sender keys are distributed in messages of sessions"),
    ],
};

/// Checks every file below `root`, the folder of these rules' sources.
pub(super) fn check(root: &Path, rules: &Rules) -> Result<Vec<Violation>, Error> {
    let mut violations = Vec::new();
    for path in rust_files(root)? {
        let place = path.strip_prefix(root).unwrap_or(&path);
        let Some(module) = module_of(place) else { continue };
        let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
        violations.extend(check_file(rules, &module, &text).into_iter().map(|(line, message)| Violation {
            place: format!("{}/{}:{line}", rules.source, place.display()),
            message,
        }));
    }
    Ok(violations)
}

/// The top-level module that a file belongs to; `None` for the façade (`lib.rs`), the program and files of tests.
fn module_of(place: &Path) -> Option<String> {
    let is_tests =
        place.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs");
    let first = Path::new(place.components().next()?.as_os_str()).file_stem()?.to_str()?;
    (!is_tests && first != "lib" && first != "main").then(|| first.to_owned())
}

fn check_file(rules: &Rules, module: &str, text: &str) -> Vec<(usize, String)> {
    let Some(own) = rules.layer_of(module) else {
        return vec![(1, format!("module {module} is in no layer: assign one in xtask/src/deps/layers.rs"))];
    };
    imports(text)
        .into_iter()
        .filter(|(_, name)| name != module)
        .filter_map(|(line, name)| complaint(rules, module, own, &name).map(|message| (line, message)))
        .collect()
}

fn complaint(rules: &Rules, module: &str, own: usize, imported: &str) -> Option<String> {
    let Some(theirs) = rules.layer_of(imported) else {
        return Some(format!("crate::{imported} hides its layer: name the module that defines it"));
    };
    if theirs > own {
        return Some(format!("{module} imports {imported}, which lies above it; imports point down"));
    }
    let pair = rules.forbidden.iter().find(|(from, to, _)| *from == module && *to == imported);
    pair.map(|(from, to, why)| format!("{from} imports {to}: {why}"))
}

impl Rules {
    fn layer_of(&self, module: &str) -> Option<usize> {
        self.layers.iter().position(|layer| layer.contains(&module))
    }
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

/// `store::Tx` returns `store`; `{id::UserId, store::{Store, Tx}}` returns `id` and `store`.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(module: &str, text: &str) -> Vec<String> {
        messages_of(&CLIENT, module, text)
    }

    fn messages_of(rules: &Rules, module: &str, text: &str) -> Vec<String> {
        check_file(rules, module, text)
            .into_iter()
            .map(|(line, message)| format!("{line}: {message}"))
            .collect()
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
    fn the_send_and_receive_paths_must_not_import_each_other() {
        assert_eq!(
            messages("receive", "use crate::send::outbox::enqueue;"),
            ["1: receive imports send: use cases communicate through the store"]
        );
        assert_eq!(messages("send", "use crate::receive::inbox::Inbox;").len(), 1);
    }

    #[test]
    fn transport_may_import_store_but_not_vice_versa() {
        assert_eq!(messages("transport", "use crate::store::Durable;"), Vec::<String>::new());
        assert_eq!(messages("store", "use crate::transport::Answer;").len(), 1);
    }

    #[test]
    fn each_crate_has_layers_of_its_own() {
        assert_eq!(
            messages_of(&RELAY, "store", "use crate::routes::router;"),
            ["1: store imports routes, which lies above it; imports point down"]
        );
        assert_eq!(
            messages_of(&PROTOCOL, "sealed", "use crate::ratchet::Chain;"),
            ["1: sealed imports ratchet: an envelope is independent of the encryption of its content"]
        );
        assert_eq!(messages_of(&RELAY, "relay", "use crate::routes::router;"), Vec::<String>::new());
    }

    #[test]
    fn every_path_of_a_group_is_checked() {
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
            ["1: module gossip is in no layer: assign one in xtask/src/deps/layers.rs"]
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
