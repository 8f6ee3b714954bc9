//! Checks the records of the bindings: an app creates one with only what says which thing it is, or of which kind, and a new field breaks no
//! app.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;

/// The fields without a default: which thing a record is about, of which kind it is, and what it consists of.
const REQUIRED: &[&str] = &[
    "CallEvent: thread, user, call, signal",
    "CallKeys: sending, receiving",
    "ContactCard: name",
    "FailedPart: part, failure",
    "GroupDetails: title",
    "GroupMember: user",
    "Hit: message",
    "LinkPreview: url",
    "LinkProgress: device",
    "Location: latitudeE7, longitudeE7",
    "LogLine: level, target, text",
    "MemberReceipt: user",
    "Mention: range, user",
    "Message: id, thread, position, sender, direction, body",
    "Notice: thread, message, action",
    "Overview: connection",
    "OwnDevice: id",
    "Poll: question",
    "PollOption: text",
    "Quote: author",
    "Reaction: author, emoji",
    "ReactionCount: emoji",
    "Report: user",
    "Search: words",
    "SrtpKey: key, salt",
    "StyledRange: range, style",
    "ThreadStorage: thread",
    "ThreadSummary: id, place, kind, trust",
    "ThreadWaiting: message, waiting",
    "UnreadDivider: message, position",
    "Version: text",
    "Vote: author",
    "Waiting: reason",
];

/// The records in the golden copy of the API in Kotlin, each with the number of its fields and the names of those without a default. The
/// defaults in Swift come from the same lines of the library.
fn records(api: &str) -> Vec<(&str, usize, Vec<&str>)> {
    let (mut records, mut is_record) = (Vec::new(), false);
    for line in api.lines() {
        if let Some(declared) = line.strip_prefix("data class ") {
            records.push((declared, 0_usize, Vec::new()));
            is_record = true;
        } else if !line.starts_with(' ') {
            is_record = false;
        } else if let (true, Some(field), Some(record)) =
            (is_record, line.trim().strip_prefix("val "), records.last_mut())
        {
            record.1 = record.1.saturating_add(1);
            record.2.extend(field.split_once(": ").filter(|_| !field.contains(" = ")).map(|(name, _)| name));
        }
    }
    records
}

#[test]
fn every_field_of_a_record_has_a_default_unless_it_says_what_the_record_is_about() {
    let api = fs::read_to_string("../bindings/kotlin/api.txt").unwrap();
    let records = records(&api);
    let fields: usize = records.iter().map(|(_, count, _)| count).sum();
    assert!(records.len() > 40 && fields > 120, "{} records with {fields} fields", records.len());
    let without: BTreeSet<_> = records
        .iter()
        .filter(|(_, _, required)| !required.is_empty())
        .map(|(name, _, required)| format!("{name}: {}", required.join(", ")))
        .collect();
    assert_eq!(without, REQUIRED.iter().map(|&line| line.to_owned()).collect());
}
