//! Seed inputs: the known answers of `crates/protocol/tests`, and the inputs that are most expensive for a decoder.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use prost::encoding::{WireType, encode_key, encode_varint};
use serde_json::Value;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/protocol/tests");
/// Longer inputs would only slow the fuzzer down.
const MAX_LEN: usize = 12_288;

/// One file.
pub(crate) fn load(name: &str) -> Value {
    let file = Path::new(FOLDER).join(name).with_extension("json");
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

/// Every byte string in every file, each for the parsers that accept it, and empty rows.
pub(crate) fn all() -> Vec<Vec<u8>> {
    let mut found = BTreeSet::new();
    for folder in ["vectors", "fixtures"] {
        let files = fs::read_dir(Path::new(FOLDER).join(folder)).unwrap().map(|entry| entry.unwrap().path());
        for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "json")) {
            collect(&serde_json::from_slice(&fs::read(file).unwrap()).unwrap(), &mut found);
        }
    }
    found.into_iter().chain(empty_rows()).collect()
}

/// Protobuf lists of empty rows, by themselves and inside another message: two bytes each, which become a struct, and
/// one more than fits before the list has to grow.
pub(crate) fn empty_rows() -> impl Iterator<Item = Vec<u8>> {
    let rows = (1..=10).map(|field| row(field, &[]).repeat(513));
    let nested = |rows: Vec<u8>| (1..=43).map(move |field| row(field, &rows));
    rows.clone().chain(rows.flat_map(nested))
}

pub(crate) fn row(field: u32, content: &[u8]) -> Vec<u8> {
    let mut row = Vec::new();
    encode_key(field, WireType::LengthDelimited, &mut row);
    encode_varint(content.len().try_into().unwrap(), &mut row);
    row.extend_from_slice(content);
    row
}

fn collect(value: &Value, found: &mut BTreeSet<Vec<u8>>) {
    match value {
        Value::String(text) => {
            found.extend(hex::decode(text).ok().filter(|bytes| (1..=MAX_LEN).contains(&bytes.len())));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
