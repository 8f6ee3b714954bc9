//! Reads the sources of a crate for the rules about imports.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// The code without comments (links in docs may point up) and without the tests at the end.
pub(super) fn shipped_code(text: &str) -> String {
    let end = text.find("\n#[cfg(test)]\nmod ").unwrap_or(text.len());
    let (shipped, _tests) = text.split_at(end);
    let lines = shipped.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    lines.collect::<Vec<_>>().join("\n")
}

/// All Rust files below a folder, in order.
pub(super) fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
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

pub(super) fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Io { subject: path.to_owned(), source }
}
