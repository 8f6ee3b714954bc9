//! Runs every input of the corpora through the same functions as the fuzzer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, panic};

use sealpost_fuzz::{
    CONTENT, DECRYPT, INTERACTION, MESSAGES, RECORDS, ROSTER, SEALED, TARGETS, Target, WIRE,
};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

/// Inputs that once made a target fail are named `regression-…`, in the same folder.
fn replay(target: Target) {
    let folder = here("corpus").join(target.name);
    let files = names(&folder);
    assert!(!files.is_empty(), "nothing to replay for {}", target.name);
    for file in files {
        let input = fs::read(folder.join(&file)).unwrap();
        assert!(panic::catch_unwind(|| (target.run)(&input)).is_ok(), "{file} made it fail");
    }
}

#[test]
fn messages() {
    replay(MESSAGES);
}

#[test]
fn sealed() {
    replay(SEALED);
}

#[test]
fn records() {
    replay(RECORDS);
}

#[test]
fn decrypt() {
    replay(DECRYPT);
}

#[test]
fn wire() {
    replay(WIRE);
}

#[test]
fn content() {
    replay(CONTENT);
}

#[test]
fn interaction() {
    replay(INTERACTION);
}

#[test]
fn roster() {
    replay(ROSTER);
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let targets: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names(&here("libfuzzer/fuzz_targets")), targets);
    assert_eq!(names(&here("corpus")), targets);
}

#[test]
fn seed_inputs_do_not_fail() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seed inputs", target.name);
        for seed in seeds {
            (target.run)(&seed);
        }
    }
}
