//! Loads the vector files for unit tests. The tests of the public API are in `tests/vectors.rs`.

use std::path::PathBuf;

use prost::Message as _;
use serde_json::Value;

use crate::primitives::secret::Secret;

pub(crate) fn load(name: &str) -> Value {
    load_from("tests/vectors", name)
}

/// Loads a file of the post-quantum ratchet's own vectors.
pub(crate) fn load_spqr(name: &str) -> Value {
    load_from("tests/vectors-spqr", name)
}

/// Loads all cases of a Wycheproof file. Wycheproof puts keys of different lengths in different groups.
pub(crate) fn load_wycheproof(name: &str) -> Vec<Value> {
    let file = load_from("tests/wycheproof", name);
    let groups = file["testGroups"].as_array().unwrap().iter();
    let cases: Vec<_> = groups.flat_map(|group| group["tests"].as_array().unwrap().clone()).collect();
    assert_eq!(Some(cases.len() as u64), file["numberOfTests"].as_u64());
    cases
}

/// Whether Wycheproof gives this flag to a case.
pub(crate) fn is_flagged(case: &Value, flag: &str) -> bool {
    case["flags"].as_array().unwrap().iter().any(|own| own == flag)
}

#[expect(clippy::disallowed_methods, reason = "vectors are files")]
fn load_from(folder: &str, name: &str) -> Value {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder).join(format!("{name}.json"));
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

/// The stored form of one of our pre-keys.
pub(crate) fn pre_key(id: &Value, public: &Value, secret: &Value, signature: &Value) -> Vec<u8> {
    let [public, secret, signature] = [public, secret, signature].map(|value| match value {
        Value::Null => Vec::new(),
        value => bytes(value),
    });
    PreKeyForm { id: id.as_u64().unwrap().try_into().unwrap(), public, secret, signature }.encode_to_vec()
}

#[derive(Clone, PartialEq, prost::Message)]
struct PreKeyForm {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(bytes = "vec", tag = "2")]
    public: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    secret: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    signature: Vec<u8>,
}
