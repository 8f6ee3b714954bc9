//! The size of the library and of its parts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::super::shown;
use super::cuts;
use super::parts::{self, LINKING, OTHER_RUST, PARTS, UNWINDING};
use crate::bindings::release::Library;
use crate::error::Error;
use crate::workspace::Workspace;

/// Prints the size in an app, and the size of each part if the linker has written a map.
pub(super) fn print(workspace: &Workspace, library: &Library) -> Result<(), Error> {
    let whole = size(&library.stripped()?)?;
    println!("| The library, stripped | bytes |\n|---|---:|");
    println!("| with OpenSSL's libcrypto in it | {} |", shown(Some(whole)));
    without(workspace, whole)?;
    println!();
    cuts::print(library, whole)?;
    // Other linkers write other maps, or none.
    let map = fs::read_to_string(&library.map).unwrap_or_default();
    let mut sizes = BTreeMap::<_, u64>::new();
    for (owner, bytes) in parts::pieces(&map) {
        let size = sizes.entry(owner).or_default();
        *size = size.saturating_add(bytes);
    }
    if sizes.is_empty() {
        eprintln!("the linker has not written a map");
        return Ok(());
    }
    println!("| Part | bytes | of the whole |\n|---|---:|---:|");
    let names = PARTS.iter().map(|part| part.name).chain([OTHER_RUST, UNWINDING, LINKING]);
    for (name, bytes) in names.filter_map(|name| Some((name, *sizes.get(name)? as f64))) {
        println!("| {name} | {} | {:.0} % |", shown(Some(bytes)), bytes * 100.0 / whole);
    }
    println!();
    Ok(())
}

/// The same library with the system's libcrypto, and the difference.
#[cfg(target_os = "linux")]
fn without(workspace: &Workspace, whole: f64) -> Result<(), Error> {
    use crate::bindings::release::{Crypto, library};
    let smaller = size(&library(workspace, Crypto::System)?.stripped()?)?;
    println!("| with the system's | {} |", shown(Some(smaller)));
    println!("| difference | {} |", shown(Some(whole - smaller)));
    Ok(())
}

/// On other systems, the system's libcrypto is used anyway, or there is none.
#[cfg(not(target_os = "linux"))]
fn without(_: &Workspace, _: f64) -> Result<(), Error> {
    Ok(())
}

pub(super) fn size(file: &Path) -> Result<f64, Error> {
    let metadata = fs::metadata(file).map_err(|source| Error::Io { subject: file.into(), source })?;
    Ok(metadata.len() as f64)
}
