//! Measures what an app would save without a part of the library, by linking the library again without that part.
//!
//! The linker (LLVM's) has stored everything that it linked. Almost all Rust code is in one object, optimised as a
//! whole, with a section for each function. Here, the functions of a part and its C libraries are emptied. The linker
//! then removes everything that is no longer referenced: functions, constants and C code of any part. Code that the
//! compiler has inlined into functions of other parts remains.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::shown;
use super::elf::emptied;
use super::parts::{
    AWS_LC, HTTP, KEM, OPENSSL, PLATFORM, PROTOCOL, SQLITE, TLS, WEBSOCKET, archive_of, owner,
};
use super::sizes::size;
use crate::bindings::release::Library;
use crate::error::Error;
use crate::workspace::{capture, run};

/// The parts that could be removed. Everything else depends on tokio, the client and the FFI layer.
const CUTS: &[(&str, &[&str])] = &[
    (OPENSSL, &[OPENSSL]),
    ("the store: SQLite with SQLCipher, and OpenSSL", &[SQLITE, OPENSSL]),
    ("TLS: rustls, webpki, the platform's certificates", &[TLS, PLATFORM]),
    ("TLS, and AWS-LC, which X25519 uses too", &[TLS, PLATFORM, AWS_LC]),
    (HTTP, &[HTTP]),
    (WEBSOCKET, &[WEBSOCKET]),
    ("the network: TLS, HTTP and WebSocket", &[TLS, PLATFORM, HTTP, WEBSOCKET]),
    (KEM, &[KEM]),
    ("the protocol, with ML-KEM and Kyber", &[PROTOCOL, KEM]),
];

/// An archive of C code that contains nothing.
const EMPTY: &[u8] = b"!<arch>\n";

/// Prints the table, if the linker has stored its inputs. `whole` is the size of the library.
pub(super) fn print(library: &Library, whole: f64) -> Result<(), Error> {
    if !library.inputs.exists() {
        eprintln!("the linker has not stored its inputs");
        return Ok(());
    }
    let kept = Kept::unpack(&library.inputs)?;
    if kept.size_without(&[])? != whole {
        return Err(Error::Failed("linking the library again gave a different library".to_owned()));
    }
    println!("| The library without | bytes | saved | of the whole |\n|---|---:|---:|---:|");
    for (name, parts) in CUTS {
        let size = kept.size_without(parts)?;
        let saved = whole - size;
        let [size, saved_bytes] = [size, saved].map(|bytes| shown(Some(bytes)));
        println!("| {name} | {size} | {saved_bytes} | {:.0} % |", saved * 100.0 / whole);
    }
    println!();
    Ok(())
}

/// Everything that one library was linked from.
struct Kept {
    folder: PathBuf,
    linker: PathBuf,
    /// The original objects and archives.
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Kept {
    /// The folder next to the archive.
    fn unpack(inputs: &Path) -> Result<Self, Error> {
        let above = inputs.parent().unwrap_or(Path::new("."));
        let mut tar = Command::new("tar");
        tar.arg("-xf").arg(inputs).arg("-C").arg(above);
        run(tar)?;
        let folder = inputs.with_extension("");
        let arguments = String::from_utf8_lossy(&read(&folder.join("response.txt"))?).into_owned();
        let files = arguments.lines().filter(|line| line.ends_with(".rcgu.o") || line.ends_with(".rlib"));
        let files = files.map(|line| Ok((folder.join(line), read(&folder.join(line))?)));
        let files = files.collect::<Result<_, Error>>()?;
        let mut rustc = Command::new("rustc");
        rustc.args(["--print", "target-libdir"]);
        let linker = Path::new(capture(rustc)?.trim()).with_file_name("bin").join("rust-lld");
        Ok(Self { folder, linker, files })
    }

    /// The stripped size of the library without these parts.
    fn size_without(&self, parts: &[&str]) -> Result<f64, Error> {
        for (file, bytes) in &self.files {
            let name = file.to_string_lossy();
            let is_object = name.ends_with(".o");
            let without = match archive_of(&name) {
                Some(part) if parts.contains(&part) => EMPTY.to_vec(),
                None if is_object => emptied(bytes, |function| parts.contains(&owner(".text", "", function)))
                    .ok_or_else(|| Error::Failed(format!("{name} cannot be read")))?,
                _ => bytes.clone(),
            };
            fs::write(file, without).map_err(|source| Error::Io { subject: file.clone(), source })?;
        }
        let path = self.folder.join("without.so");
        let mut link = Command::new(&self.linker);
        link.args(["-flavor", "gnu", "@response.txt", "-o"]).arg(&path).current_dir(&self.folder);
        run(link)?;
        size(&Library { path, map: PathBuf::new(), inputs: PathBuf::new() }.stripped()?)
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    fs::read(file).map_err(|source| Error::Io { subject: file.into(), source })
}
