//! Runs every target on stable Rust with the corpus, a few bytes changed, and with arbitrary bytes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use sealpost_fuzz::{TARGETS, Target};

/// The corpus of each target.
fn corpora() -> Vec<(Target, Vec<Vec<u8>>)> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let inputs = |target: &Target| {
        let files = fs::read_dir(corpus.join(target.name)).unwrap();
        files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
    };
    TARGETS.iter().map(|target| (*target, inputs(target))).collect()
}

#[test]
fn damaged_inputs_do_not_panic() {
    let corpora = corpora();
    let damage =
        (any::<Index>(), vec((any::<Index>(), any::<u8>()), 0..4), proptest::option::of(any::<Index>()));
    let config = ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(target in any::<Index>(), (which, changes, cut) in damage)| {
        let (target, inputs) = &corpora[target.index(corpora.len())];
        let mut input = inputs[which.index(inputs.len())].clone();
        if !input.is_empty() {
            for (at, byte) in changes {
                let at = at.index(input.len());
                input[at] = byte;
            }
            input.truncate(cut.map_or(input.len(), |cut| cut.index(input.len())));
        }
        (target.run)(&input);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_inputs_do_not_panic(input in vec(any::<u8>(), 0..200)) {
        for target in TARGETS {
            (target.run)(&input);
        }
    }
}
