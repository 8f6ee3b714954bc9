//! Converts wire messages to the events of a recorded history.

use sealpost_relay_check::event::{self, Device, Place};
use sealpost_wire::{Deliver, Send};

use crate::common::Party;

pub(super) fn recorded(by: &Party, send: &Send) -> event::Send {
    let to = |copy: &sealpost_wire::DeviceCopy| Device(format!("{}/{}", hex(&copy.user_id), copy.device_id));
    let envelope = send.copies[0].envelope.as_ref().unwrap();
    event::Send {
        sender: device(by),
        thread: hex(&send.thread_id),
        id: hex(&send.client_msg_id),
        body: text(&envelope.ciphertext),
        roster_version: send.roster_version,
        ephemeral: envelope.ephemeral,
        to: send.copies.iter().map(to).collect(),
    }
}

pub(super) fn row(deliver: Deliver) -> event::Row {
    let key = deliver.key.unwrap();
    event::Row {
        place: Place { thread: hex(&key.thread_id), seq: key.server_seq },
        hlc: deliver.hlc,
        epoch: deliver.epoch,
        id: hex(&deliver.client_msg_id),
        sender: Device(format!("{}/{}", hex(&deliver.sender_user_id), deliver.sender_device_id)),
        body: text(&deliver.envelope.unwrap().ciphertext),
        roster_version: deliver.roster_version,
    }
}

pub(super) fn device(party: &Party) -> Device {
    Device(format!("{}/1", hex(party.user.as_bytes())))
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn from_hex(text: &str) -> bytes::Bytes {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}
