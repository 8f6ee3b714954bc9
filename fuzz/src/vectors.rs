//! The known answers of `crates/protocol/tests`, as inputs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/protocol/tests");
/// Longer ones would only make a fuzzer slow.
const MAX_LEN: usize = 12_288;

/// One file.
pub(crate) fn load(name: &str) -> Value {
    let file = Path::new(FOLDER).join(name).with_extension("json");
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

/// Every byte string in every file, whatever it is: a parser finds its own.
pub(crate) fn all() -> Vec<Vec<u8>> {
    let mut found = BTreeSet::new();
    for folder in ["vectors", "fixtures"] {
        let files = fs::read_dir(Path::new(FOLDER).join(folder)).unwrap().map(|entry| entry.unwrap().path());
        for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "json")) {
            collect(&serde_json::from_slice(&fs::read(file).unwrap()).unwrap(), &mut found);
        }
    }
    found.into_iter().collect()
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
