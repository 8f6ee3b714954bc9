//! The vector files, for tests beside the code. The tests over the public API are in `tests/vectors.rs`.

use std::path::PathBuf;

use serde_json::Value;

use crate::primitives::secret::Secret;

pub(crate) fn load(name: &str) -> Value {
    let file =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name).with_extension("json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    hex(value.as_str().unwrap())
}

pub(crate) fn secret<const N: usize>(value: &Value) -> Secret<N> {
    Secret::from_slice(&bytes(value)).unwrap()
}
