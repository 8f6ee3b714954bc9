//! The rules for crates: which package must not link which others, and why.

use super::Violation;
use super::graph::Graph;

/// Whether only direct dependencies are searched, or all of them.
#[derive(Clone, Copy)]
enum Reach {
    Direct,
    Anywhere,
}

struct Forbidden {
    package: &'static str,
    reach: Reach,
    names: &'static [&'static str],
    why: &'static str,
}

const FORBIDDEN: &[Forbidden] = &[
    Forbidden {
        package: "sealpost-protocol",
        reach: Reach::Anywhere,
        names: &[
            "tokio",
            "rusqlite",
            "reqwest",
            "hyper",
            "axum",
            "getrandom",
            "log",
            "tracing",
            "sealpost-wire",
        ],
        why: "the protocol consists of pure functions, without I/O, clock, source of randomness or log",
    },
    Forbidden {
        // libcrux-ml-kem depends on `rand` for its traits, without any source of randomness.
        package: "sealpost-protocol",
        reach: Reach::Direct,
        names: &["rand"],
        why: "randomness is an argument (rand_core's traits)",
    },
    Forbidden {
        package: "sealpost-wire",
        reach: Reach::Anywhere,
        names: &["sealpost-protocol", "tokio", "getrandom"],
        why: "the wire contract carries opaque bytes and does no I/O",
    },
    Forbidden {
        package: "sealpost-relay",
        reach: Reach::Anywhere,
        names: &["sealpost-protocol", "sealpost-core"],
        why: "the relay must not link code that decrypts",
    },
    Forbidden {
        package: "sealpost-relay-check",
        reach: Reach::Anywhere,
        names: &["sealpost-relay", "sealpost-wire", "sealpost-core", "sealpost-protocol"],
        why: "the checker must not share code with the relay",
    },
    Forbidden {
        package: "sealpost-core",
        reach: Reach::Anywhere,
        names: &["uniffi", "sealpost-relay"],
        why: "the client must not depend on its bindings or on the relay",
    },
    Forbidden {
        package: "sealpost-ffi",
        reach: Reach::Direct,
        names: &["sealpost-protocol", "sealpost-wire"],
        why: "everything that crosses to Swift and Kotlin passes through sealpost-core",
    },
    Forbidden {
        package: "sealpost-ffi",
        reach: Reach::Anywhere,
        names: &["uniffi_bindgen", "clap"],
        why: "the source generator must not be part of the library",
    },
];

/// The packages that may depend on the test kit; for all others it is a dev-dependency.
const TESTKIT: &str = "sealpost-testkit";
const TESTKIT_USERS: &[&str] = &[TESTKIT, "sealpost-e2e", "sealpost-demo"];

/// No second TLS library: rustls on AWS-LC is the only one.
const OTHER_TLS: &[&str] = &["ring", "native-tls", "openssl"];

/// The only package that may link OpenSSL's libcrypto, for SQLCipher when it is bundled.
const OPENSSL_USER: &str = "libsqlite3-sys";

/// Only one version of each in any program: two would mean two implementations for one secret, or two copies of a C
/// library.
const SINGLE: &[&str] = &[
    "aws-lc-rs",
    "aws-lc-sys",
    "rustls",
    "libsqlite3-sys",
    "curve25519-dalek",
    "libcrux-ml-kem",
    "aes",
    "cbc",
    "hkdf",
    "hmac",
    "sha2",
    "subtle",
    "zeroize",
    "prost",
    "tokio",
];

/// Only one version of each in the client. (The relay's WebSocket server still needs an older generation for its
/// SHA-1.)
const SINGLE_IN_CLIENT: &[&str] =
    &["digest", "crypto-common", "rand_core", "rand", "getrandom", "tungstenite"];
const CLIENT: &[&str] = &["sealpost-protocol", "sealpost-core", "sealpost-ffi"];

/// Checks one member of the workspace against all rules.
pub(super) fn check(member: &str, graph: &Graph) -> Vec<Violation> {
    let mut messages = forbidden(member, graph);
    messages.extend(testkit(member, graph));
    messages.extend(tls(graph));
    messages.extend(versions(member, graph));
    if member == "xtask" {
        messages.extend(
            graph
                .direct()
                .iter()
                .map(|name| format!("links {name}; the tasks use the standard library only")),
        );
    }
    messages.into_iter().map(|message| Violation { place: member.to_owned(), message }).collect()
}

fn forbidden(member: &str, graph: &Graph) -> Vec<String> {
    let mut messages = Vec::new();
    for rule in FORBIDDEN.iter().filter(|rule| rule.package == member) {
        for name in rule.names {
            let reached = match rule.reach {
                Reach::Direct => graph.direct().contains(name),
                Reach::Anywhere => graph.path_to(name).is_some(),
            };
            if reached {
                messages.push(format!("{}: {}", links(graph, name), rule.why));
            }
        }
    }
    messages
}

fn testkit(member: &str, graph: &Graph) -> Option<String> {
    let allowed = TESTKIT_USERS.contains(&member) || graph.path_to(TESTKIT).is_none();
    (!allowed).then(|| format!("{}: the test kit is a dev-dependency", links(graph, TESTKIT)))
}

fn tls(graph: &Graph) -> Vec<String> {
    let others = OTHER_TLS.iter().filter(|name| graph.path_to(name).is_some());
    let mut messages: Vec<_> = others
        .map(|name| format!("{}: rustls on AWS-LC is the only allowed TLS library", links(graph, name)))
        .collect();
    if graph.parents("openssl-sys").iter().any(|parent| *parent != OPENSSL_USER) {
        messages.push(format!("{}: only {OPENSSL_USER} may, for SQLCipher", links(graph, "openssl-sys")));
    }
    messages
}

fn versions(member: &str, graph: &Graph) -> Vec<String> {
    let in_client: &[&str] = if CLIENT.contains(&member) { SINGLE_IN_CLIENT } else { &[] };
    let mut messages = Vec::new();
    for name in SINGLE.iter().chain(in_client) {
        let versions = graph.versions(name);
        if versions.len() > 1 {
            let list = versions.into_iter().collect::<Vec<_>>().join(" and ");
            messages.push(format!("links {name} {list}: only one version is allowed"));
        }
    }
    messages
}

fn links(graph: &Graph, name: &str) -> String {
    let path = graph.path_to(name).unwrap_or_default().join(" > ");
    format!("links {name} ({path})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(member: &str, tree: &str) -> Vec<String> {
        check(member, &Graph::parse(tree)).into_iter().map(|violation| violation.to_string()).collect()
    }

    #[test]
    fn a_valid_relay_passes() {
        let tree =
            "0sealpost-relay v0.1.0 (/c)\n1rustls v0.23.46\n1sealpost-wire v0.1.0 (/c)\n1tokio v1.54.1\n";
        assert_eq!(messages("sealpost-relay", tree), Vec::<String>::new());
    }

    #[test]
    fn a_relay_that_links_the_protocol_is_reported_with_the_path() {
        let tree = "0sealpost-relay v0.1.0 (/c)\n1helper v1.0.0\n2sealpost-protocol v0.1.0 (/c)\n";
        assert_eq!(
            messages("sealpost-relay", tree),
            ["sealpost-relay: links sealpost-protocol (sealpost-relay > helper > sealpost-protocol): \
              the relay must not link code that decrypts"]
        );
    }

    #[test]
    fn the_protocol_may_depend_on_rand_only_indirectly() {
        let through = "0sealpost-protocol v0.1.0\n1libcrux-ml-kem v0.0.11\n2rand v0.10.3\n";
        assert_eq!(messages("sealpost-protocol", through), Vec::<String>::new());
        let named = "0sealpost-protocol v0.1.0\n1rand v0.10.3\n";
        assert_eq!(messages("sealpost-protocol", named).len(), 1);
    }

    #[test]
    fn every_forbidden_dependency_is_reported() {
        for rule in FORBIDDEN {
            for name in rule.names {
                let tree = format!("0{} v0.1.0\n1{name} v9.9.9\n", rule.package);
                assert_eq!(messages(rule.package, &tree).len(), 1, "{} and {name}", rule.package);
            }
        }
    }

    #[test]
    fn bindings_may_depend_on_the_protocol_only_through_the_client() {
        let through =
            "0sealpost-ffi v0.1.0\n1sealpost-core v0.1.0\n2sealpost-protocol v0.1.0\n2sealpost-wire v0.1.0\n";
        assert_eq!(messages("sealpost-ffi", through), Vec::<String>::new());
    }

    #[test]
    fn the_test_kit_is_for_tests() {
        let tree = |member: &str| format!("0{member} v0.1.0\n1sealpost-testkit v0.1.0\n");
        assert_eq!(messages("sealpost-e2e", &tree("sealpost-e2e")), Vec::<String>::new());
        assert_eq!(messages("sealpost-cli-chat", &tree("sealpost-cli-chat")).len(), 1);
    }

    #[test]
    fn only_sqlcipher_may_link_openssl() {
        let sqlcipher =
            "0sealpost-core v0.1.0\n1rusqlite v0.43.0\n2libsqlite3-sys v0.40.0\n3openssl-sys v0.9.110\n";
        assert_eq!(messages("sealpost-core", sqlcipher), Vec::<String>::new());
        let other = "0sealpost-core v0.1.0\n1native-tls v0.2.14\n2openssl-sys v0.9.110\n";
        assert_eq!(messages("sealpost-core", other).len(), 2);
    }

    #[test]
    fn a_second_version_of_a_cipher_crate_is_refused() {
        let digests =
            |member: &str| format!("0{member} v0.1.0\n1digest v0.11.3\n1sha1 v0.10.7\n2digest v0.10.7\n");
        assert_eq!(
            messages("sealpost-core", &digests("sealpost-core")),
            ["sealpost-core: links digest 0.10.7 and 0.11.3: only one version is allowed"]
        );
        assert_eq!(messages("sealpost-relay", &digests("sealpost-relay")), Vec::<String>::new());
        let tls = "0sealpost-relay v0.1.0\n1rustls v0.23.46\n1old v1.0.0\n2rustls v0.22.4\n";
        assert_eq!(messages("sealpost-relay", tls).len(), 1);
    }

    #[test]
    fn the_tasks_link_nothing() {
        assert_eq!(messages("xtask", "0xtask v0.1.0\n"), Vec::<String>::new());
        assert_eq!(messages("xtask", "0xtask v0.1.0\n1serde v1.0.0\n").len(), 1);
    }
}
