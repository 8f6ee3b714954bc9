//! `bench`: the benchmarks of one part, or of all.

mod instructions;
mod measured;
mod protocol;

use std::fs;
use std::path::Path;

use crate::error::Error;
use crate::workspace::{Workspace, run};

/// What a person calls a part, its folder and its package.
const PARTS: &[(&str, &str, &str)] =
    &[("relay", "crates/relay", "sealpost-relay"), ("client", "crates/sdk-core", "sealpost-core")];

/// The part that is measured beside other implementations.
const PROTOCOL: &str = "protocol";

/// Measures the named part; `all` without a name.
pub(crate) fn run_part(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    let wanted = arguments.first().map_or("all", String::as_str);
    if !["all", PROTOCOL].contains(&wanted) && !PARTS.iter().any(|(name, ..)| *name == wanted) {
        return Err(Error::UnknownBench(wanted.to_owned()));
    }
    if wanted == "all" || wanted == PROTOCOL {
        protocol::compare(workspace)?;
    }
    for (name, folder, package) in PARTS.iter().filter(|(name, ..)| wanted == "all" || *name == wanted) {
        let benches = benches(&workspace.path(folder).join("benches"));
        if benches.is_empty() {
            eprintln!("{name} has no benchmarks");
        }
        // Named one by one: a bare `cargo bench` would run the unit tests of the package too.
        for bench in benches {
            eprintln!("\n== {name}: {bench}");
            run(workspace.cargo(&["bench", "-p", package, "--bench", &bench]))?;
        }
    }
    Ok(())
}

/// The names of the benchmarks in a folder; a folder that is not there has none.
fn benches(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let sources = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut names: Vec<String> =
        sources.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}
