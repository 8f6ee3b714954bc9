//! Computes the size of each part of a library, from the map that the linker (LLVM's) has written.

/// A part of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: &'static str,
    /// C libraries, by the crate that contains them.
    archives: &'static [&'static str],
    /// Rust crates.
    crates: &'static [&'static str],
}

/// The parts that could be removed.
pub(super) const OPENSSL: &str = "OpenSSL's libcrypto, for SQLCipher";
pub(super) const SQLITE: &str = "SQLite with SQLCipher, FTS5";
pub(super) const AWS_LC: &str = "AWS-LC: TLS, X25519";
pub(super) const TLS: &str = "TLS: rustls, webpki";
pub(super) const PLATFORM: &str = "the platform's certificates";
pub(super) const HTTP: &str = "HTTP and URLs: reqwest, hyper, idna";
pub(super) const WEBSOCKET: &str = "WebSocket: tungstenite";
pub(super) const KEM: &str = "ML-KEM and Kyber: libcrux";
pub(super) const PROTOCOL: &str = "the protocol, SPQR too";

/// In the order of the table. Everything else is the standard library, small crates, and constants without names.
pub(super) const PARTS: &[Part] = &[
    Part { name: OPENSSL, archives: &["openssl_sys"], crates: &[] },
    Part { name: SQLITE, archives: &["libsqlite3_sys"], crates: &["rusqlite", "libsqlite3_sys"] },
    Part { name: AWS_LC, archives: &["aws_lc_sys"], crates: &["aws_lc_rs", "aws_lc_sys"] },
    Part {
        name: TLS,
        archives: &[],
        crates: &["rustls", "webpki", "rustls_pki_types", "tokio_rustls", "hyper_rustls"],
    },
    Part {
        name: PLATFORM,
        archives: &[],
        crates: &["rustls_platform_verifier", "rustls_native_certs", "openssl_probe"],
    },
    Part {
        name: HTTP,
        archives: &[],
        crates: &[
            "reqwest",
            "hyper",
            "hyper_util",
            "http",
            "http_body",
            "http_body_util",
            "httparse",
            "tower",
            "tower_http",
            "tower_service",
            "url",
            "idna",
            "idna_adapter",
            "icu_normalizer",
            "icu_properties",
            "icu_provider",
            "icu_collections",
            "icu_locale_core",
            "zerovec",
            "zerotrie",
            "percent_encoding",
            "form_urlencoded",
            "ipnet",
        ],
    },
    Part { name: WEBSOCKET, archives: &[], crates: &["tungstenite", "tokio_tungstenite"] },
    Part {
        name: "tokio",
        archives: &[],
        crates: &["tokio", "mio", "socket2", "futures_util", "futures_core", "futures_channel"],
    },
    Part {
        name: KEM,
        archives: &[],
        crates: &[
            "libcrux_ml_kem",
            "libcrux_sha3",
            "libcrux_intrinsics",
            "libcrux_secrets",
            "libcrux_platform",
        ],
    },
    Part {
        name: PROTOCOL,
        archives: &[],
        crates: &[
            "sealpost_protocol",
            "curve25519_dalek",
            "aes",
            "ctr",
            "cbc",
            "hpke",
            "hkdf",
            "hmac",
            "sha2",
            "aes_gcm_siv",
            "polyval",
            "subtle",
            "zeroize",
        ],
    },
    Part {
        name: "the client",
        archives: &[],
        crates: &["sealpost_core", "sealpost_wire", "prost", "tracing", "tracing_core", "rand", "uuid"],
    },
    Part {
        name: "the bindings: sealpost-ffi, UniFFI",
        archives: &[],
        crates: &["sealpost", "uniffi", "uniffi_core"],
    },
];

/// The name of everything that belongs to no part.
pub(super) const OTHER_RUST: &str = "the standard library, small crates, constants";
pub(super) const UNWINDING: &str = "tables for unwinding Rust";
pub(super) const LINKING: &str = "relocations and symbols";

/// Parses the map: lines with `VMA LMA Size Align`, followed by the name of a section of the library, and then,
/// indented further, by its inputs as `FILE:(SECTION)`. Returns parts and bytes, without what occupies no space in
/// the file.
pub(super) fn pieces(map: &str) -> impl Iterator<Item = (&'static str, u64)> {
    let mut out = "";
    map.lines().filter_map(move |line| {
        let [address, _, size, rest] = columns(line)?;
        let name = rest.trim_start();
        // The column of the alignment is followed by one space or by nine.
        let depth = rest.len().saturating_sub(name.len());
        if depth < 2 {
            out = name;
            return None;
        }
        let (file, section) = name.strip_suffix(')')?.rsplit_once(":(")?;
        let stored = u64::from_str_radix(address, 16).ok()? != 0 && !matches!(out, ".bss" | ".tbss");
        let bytes = u64::from_str_radix(size, 16).ok()?;
        stored.then(|| (owner(out, file, section), bytes))
    })
}

/// Three numbers, and what follows the fourth.
fn columns(line: &str) -> Option<[&str; 4]> {
    let mut rest = line;
    let mut columns = [""; 4];
    for column in columns.iter_mut().take(3) {
        let (word, after) = rest.trim_start().split_once(' ')?;
        (*column, rest) = (word, after);
    }
    let align = rest.trim_start();
    let end = align.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
    let [_, _, _, last] = &mut columns;
    *last = align.get(end..)?;
    Some(columns)
}

/// The part that a C library belongs to, by its file name.
pub(super) fn archive_of(file: &str) -> Option<&'static str> {
    let is_in = |part: &&Part| part.archives.iter().any(|archive| file.contains(&format!("lib{archive}-")));
    PARTS.iter().find(is_in).map(|part| part.name)
}

/// The part that a section of a file belongs to, which is in the section `out` of the library.
pub(super) fn owner(out: &str, file: &str, section: &str) -> &'static str {
    if let Some(part) = archive_of(file) {
        return part;
    }
    match out {
        ".eh_frame" | ".eh_frame_hdr" | ".gcc_except_table" => return UNWINDING,
        ".rela.dyn" | ".relr.dyn" | ".rela.plt" | ".dynsym" | ".dynstr" | ".gnu.hash" => return LINKING,
        _ => {}
    }
    // Generic code contains several names; it belongs to the first one that is counted.
    let named = PARTS.iter().flat_map(|part| part.crates.iter().map(move |name| (part.name, name)));
    let first = named.filter_map(|(part, name)| Some((position(section, name)?, part))).min();
    first.map_or(OTHER_RUST, |(_, part)| part)
}

/// The positions of crate names in a mangled name: by length and name, or inside a type as `name..`.
fn position(mangled: &str, name: &str) -> Option<usize> {
    let counted = format!("{}{name}", name.len());
    let inside = format!("{name}..");
    let begins =
        |at: usize, alone: fn(char) -> bool| !mangled.get(..at).is_some_and(|before| before.ends_with(alone));
    let counted =
        mangled.match_indices(&counted).map(|(at, _)| at).find(|at| begins(*at, |c| c.is_ascii_digit()));
    let inside = mangled
        .match_indices(&inside)
        .map(|(at, _)| at)
        .find(|at| begins(*at, |c| c.is_ascii_alphanumeric() || c == '_'));
    counted.into_iter().chain(inside).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "\
             VMA              LMA     Size Align Out     In      Symbol
          313800           313800   6d098e    64 .text
          313800           313800       b9    16         /gcc/crtbeginS.o:(.text)
          313830           313830        0     1                 register_tm_clones
          3138b9           3138b9       89     1         /t/sealpost.1f-cgu.0.rcgu.o:(.text._ZN8sealpost6client6Client3new17h00E)
          313942           313942       10     1         /t/sealpost.1f-cgu.0.rcgu.o:(.text._ZN4core3ptr46drop_in_place$LT$tokio..sync..Notify$GT$17h00E)
          313952           313952       20     1         /t/libopenssl_sys-3b.rlib(libcrypto-lib-aes.o):(.text)
          313972           313972        1     1         /t/sealpost.1f-cgu.0.rcgu.o:(.text._RNvNtCslNYArtu3iFV_5alloc3fmt6format)
          400000           400000        8     8 .eh_frame
          400000           400000        4     8         /t/libopenssl_sys-3b.rlib(libcrypto-lib-aes.o):(.eh_frame+0x0)
          400004           400004        4     8         <internal>:(.eh_frame)
          500000           500000      fff    64 .bss
          500000           500000      fff    64         /t/sealpost.1f-cgu.0.rcgu.o:(.bss.x)
               0                0      fff     1 .symtab
               0                0      fff     1         <internal>:(.symtab)
";

    #[test]
    fn each_piece_of_a_list_has_an_owner() {
        let found: Vec<_> = pieces(MAP).collect();
        assert_eq!(
            found,
            [
                (OTHER_RUST, 0xb9),
                ("the bindings: sealpost-ffi, UniFFI", 0x89),
                ("tokio", 0x10),
                (OPENSSL, 0x20),
                (OTHER_RUST, 1),
                (OPENSSL, 4),
                (UNWINDING, 4),
            ]
        );
    }

    #[test]
    fn a_crate_is_known_by_its_whole_name() {
        assert_eq!(position("_ZN13sealpost_core2id", "sealpost"), None);
        assert_eq!(position("_ZN13sealpost_core2id", "sealpost_core"), Some(3));
        assert_eq!(position("_ZN113sealpost_core2id", "sealpost_core"), None);
        assert_eq!(position("$LT$sealpost_core..id..UserId", "sealpost_core"), Some(4));
        assert_eq!(position("tokio_rustls..x", "rustls"), None);
    }
}
