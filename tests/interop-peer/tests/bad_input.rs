//! The program answers every line of input with one line, whatever the input is, and continues.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// The running program.
struct Program {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start() -> Self {
        let program = env!("CARGO_BIN_EXE_interop-peer");
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn ask(&mut self, line: &[u8]) -> Value {
        let input = self.input.as_mut().unwrap();
        input.write_all(&[line, b"\n"].concat()).unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(is_an_answer(&answer), "{answer}");
        answer
    }

    fn request(&mut self, request: &Value) -> Value {
        self.ask(request.to_string().as_bytes())
    }

    fn state(&mut self) -> Value {
        self.request(&json!({ "cmd": "save" }))["r"]["state"].take()
    }

    fn init() -> Value {
        json!({ "cmd": "init", "name": "ada", "dev": 1, "reg": 1 })
    }
}

impl Drop for Program {
    /// The program ends without an error at the end of its input.
    fn drop(&mut self) {
        drop(self.input.take());
        let status = self.child.wait().unwrap();
        assert!(std::thread::panicking() || status.success(), "{status}");
    }
}

fn is_an_answer(answer: &Value) -> bool {
    let is_code = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match &answer["ok"] {
        Value::Bool(true) => answer["r"].is_object(),
        Value::Bool(false) => answer["err"].as_str().is_some_and(|code| code.chars().all(is_code)),
        _ => false,
    }
}

/// One request of each kind that an initialized device understands, with all fields.
fn requests() -> Vec<Value> {
    let remote = |cmd: &str, fields: Value| {
        let mut request = json!({ "cmd": cmd, "remote": "ben", "remoteDev": 1 });
        request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        request
    };
    let (key, private) = ("05".to_owned() + &"17".repeat(32), "42".repeat(32));
    let bundle = json!({
        "reg": 1, "dev": 1, "identity": key, "spkId": 1, "spk": key, "spkSig": "00".repeat(64), "pkId": 1, "pk": key,
        "kId": 1, "k": "08".repeat(1569), "kSig": "00".repeat(64),
    });
    let dist = "6f1e7c3c-9f1e-4b9e-8f0a-0d6f2f1b7a11";
    vec![
        Program::init(),
        json!({ "cmd": "bundle", "spkId": 1, "pkId": 2, "kId": 3, "oneTime": true, "kyber": true }),
        json!({ "cmd": "load", "state": "7b7d" }),
        json!({ "cmd": "parseSignal", "ct": "44" }),
        remote("processBundle", json!({ "bundle": bundle })),
        remote("encrypt", json!({ "pt": "00" })),
        remote("decrypt", json!({ "type": 3, "ct": "44" })),
        remote("archive", json!({})),
        remote("hasCurrent", json!({})),
        json!({ "cmd": "skdmCreate", "dist": dist }),
        remote("skdmProcess", json!({ "skdm": "33" })),
        json!({ "cmd": "groupEncrypt", "dist": dist, "pt": "00" }),
        remote("groupDecrypt", json!({ "ct": "33" })),
        json!({ "cmd": "serverCert", "id": 1, "pub": key, "root": private }),
        json!({
            "cmd": "senderCert", "uuid": dist, "e164": "+15550100", "dev": 1, "pub": key, "expires": 1, "server": "00",
            "serverPriv": private,
        }),
        json!({ "cmd": "certValidate", "cert": "00", "root": key, "time": 1 }),
        remote("usmc", json!({ "group": dist, "pt": "00", "cert": "00", "hint": 1, "groupId": "00" })),
        json!({ "cmd": "usmcParse", "usmc": "00" }),
        remote("ssEncryptUsmc", json!({ "usmc": "00" })),
        json!({ "cmd": "ssMulti", "usmc": "00", "recipients": [["ben", 1]], "excluded": [dist] }),
        json!({ "cmd": "ssMultiSingle", "ct": "23" }),
        json!({ "cmd": "ssDecryptUsmc", "ct": "11" }),
        json!({ "cmd": "ssDecrypt", "ct": "22", "root": key, "time": 1, "e164": "+15550100" }),
        json!({
            "cmd": "fingerprint", "iterations": 2, "version": 2, "localId": "00", "localKey": key, "remoteId": "01",
            "remoteKey": key,
        }),
        json!({ "cmd": "fpCompare", "a": "00", "b": "00" }),
        json!({ "cmd": "dem", "ct": "44", "type": 2, "ts": 1, "dev": 1 }),
        json!({ "cmd": "demParse", "dem": "00" }),
        json!({ "cmd": "demExtract", "body": "80" }),
        remote("ratchetMatch", json!({ "pub": key })),
    ]
}

#[test]
fn lines_that_are_not_requests_are_refused() {
    let mut program = Program::start();
    let deep = "[".repeat(100_000);
    let lines: [&[u8]; 9] = [
        b"garbage",
        b"{",
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b"{}",
        b"{\"cmd\":7}",
        b"{\"cmd\":\"fly\"}",
        deep.as_bytes(),
    ];
    for line in lines {
        assert_eq!(program.ask(line)["ok"], json!(false));
    }
}

#[test]
fn before_init_there_is_no_device() {
    let mut program = Program::start();
    for request in requests() {
        let answer = program.request(&request);
        match request["cmd"].as_str().unwrap() {
            "init" => {
                drop(program);
                program = Program::start();
            }
            "bundle" | "processBundle" | "encrypt" | "decrypt" | "archive" | "hasCurrent" | "skdmCreate"
            | "skdmProcess" | "groupEncrypt" | "groupDecrypt" | "usmc" | "ssEncryptUsmc" | "ssMulti"
            | "ssDecryptUsmc" | "ssDecrypt" | "ratchetMatch" => {
                assert_eq!(answer["err"], json!("no_device"), "{request}");
            }
            // The other commands need no device.
            _ => {}
        }
    }
    assert_eq!(program.request(&json!({ "cmd": "version" }))["ok"], json!(true));
}

#[test]
fn a_field_that_is_missing_or_of_another_type_changes_nothing() {
    let mut program = Program::start();
    program.request(&Program::init());
    for request in requests() {
        for field in request.as_object().unwrap().keys() {
            let wrong = [
                json!(null),
                json!(-1),
                json!(1.5),
                json!("\u{0}zz"),
                json!([[]]),
                json!({ "a": {} }),
                json!(u64::MAX),
            ];
            let changed = wrong.map(|value| {
                let mut changed = request.clone();
                changed[field] = value;
                changed
            });
            let mut without = request.clone();
            without.as_object_mut().unwrap().remove(field);
            for changed in changed.into_iter().chain([without]) {
                let before = program.state();
                if program.request(&changed)["ok"] == json!(false) {
                    assert_eq!(program.state(), before, "{changed}");
                }
            }
        }
    }
}

#[test]
fn a_refused_request_changes_nothing() {
    let mut program = Program::start();
    program.request(&Program::init());
    let mut refused = Vec::new();
    for request in requests() {
        let before = program.state();
        if program.request(&request)["ok"] == json!(false) {
            assert_eq!(program.state(), before, "{request}");
            refused.push(request["cmd"].as_str().unwrap().to_owned());
        }
    }
    // The bundle is not signed, there is no session, and the messages, certificates and contents are invalid.
    let expected = [
        "load",
        "parseSignal",
        "processBundle",
        "encrypt",
        "decrypt",
        "skdmProcess",
        "groupDecrypt",
        "senderCert",
        "certValidate",
        "usmc",
        "usmcParse",
        "ssEncryptUsmc",
        "ssMulti",
        "ssMultiSingle",
        "ssDecryptUsmc",
        "ssDecrypt",
        "fpCompare",
        "dem",
        "demParse",
        "demExtract",
    ];
    assert_eq!(refused, expected);
}

#[test]
fn huge_hex_is_read_and_longer_lines_are_refused() {
    let mut program = Program::start();
    program.request(&Program::init());
    let hex = |bytes: usize| json!({ "cmd": "parseSignal", "ct": "00".repeat(bytes) });
    assert_eq!(program.request(&hex(4 << 20))["err"], json!("version_too_old"));
    assert_eq!(program.request(&hex(33 << 20))["err"], json!("too_long"));
    assert_eq!(program.request(&json!({ "cmd": "save" }))["ok"], json!(true));
}

#[test]
fn blank_lines_are_not_requests() {
    let mut program = Program::start();
    assert_eq!(program.ask(b"\n  \n{\"cmd\":\"version\"}")["ok"], json!(true));
}

#[test]
fn a_device_is_the_same_after_save_and_load() {
    let mut program = Program::start();
    program.request(&Program::init());
    program.request(&json!({ "cmd": "bundle" }));
    program.request(&json!({ "cmd": "skdmCreate", "dist": "6f1e7c3c-9f1e-4b9e-8f0a-0d6f2f1b7a11" }));
    let saved = program.state();
    program.request(&json!({ "cmd": "init", "name": "someone else", "dev": 2, "reg": 2 }));
    assert_ne!(program.state(), saved);
    assert_eq!(program.request(&json!({ "cmd": "load", "state": saved }))["ok"], json!(true));
    assert_eq!(program.state(), saved);
}
