//! The events of a recorded history: one JSON line for each.
//!
//! | Line | Recorded |
//! |---|---|
//! | `thread` | once, when the thread was created: its members and its roster version |
//! | `invoke` | before a request is sent |
//! | `ok`, `fail`, `unknown` | when its outcome is known: done; certainly not done; unknown (no answer, or 503) |
//! | `deliver`, `mail` | when a row, or mail, was pushed, before it is acknowledged |
//! | `killed` | when the relay was killed |
//! | `limits`, `sample` | the maximum memory and number of files of the process, and a measurement of them |
//! | `secret` | a text that must not be in the log |
//! | `dump` | last: the contents of the store at the end |
//!
//! Every line has `at`, its position in the total order of all lines. All identifiers are texts that are only
//! compared for equality.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A position in the order of all lines.
pub type At = u64;

/// A device, as `<user>/<number>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Device(pub String);

impl Device {
    /// The user whose device it is.
    pub fn user(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

/// A position in a thread.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The thread.
    pub thread: String,
    /// The sequence number that the relay assigned, from 1.
    pub seq: u64,
}

/// A message as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    /// The sender.
    pub sender: Device,
    /// The thread.
    pub thread: String,
    /// The id chosen by the sender.
    pub id: String,
    /// The contents, or a digest of them.
    pub body: String,
    /// The roster that it was made for.
    pub roster_version: u64,
    /// Whether the sender requested that it is not stored.
    #[serde(default)]
    pub ephemeral: bool,
    /// The recipients.
    pub to: Vec<Device>,
}

/// Mail as it was sent. It has no place in a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The sender.
    pub sender: Device,
    /// The id chosen by the sender.
    pub id: String,
    /// The recipients.
    pub to: Vec<Device>,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum Call {
    /// Store a message.
    Send(Send),
    /// Store mail.
    Mail(Mail),
    /// Delete mail.
    AckMail {
        /// The owner of the mailbox.
        device: Device,
        /// The numbers of the mail.
        seqs: Vec<u64>,
    },
    /// Read the whole mailbox.
    Page {
        /// The owner of the mailbox.
        device: Device,
    },
    /// Delete rows.
    Ack {
        /// The owner of the mailbox.
        device: Device,
        /// The rows.
        rows: Vec<Place>,
    },
    /// Take one-time keys.
    Take {
        /// The requester.
        requester: Device,
        /// Identifies repetitions of the request.
        idempotency: String,
        /// The owner of the keys.
        target: Device,
    },
    /// Add one-time keys.
    Upload {
        /// The owner of the keys.
        device: Device,
        /// The ids of the keys of one kind.
        ec: Vec<u32>,
        /// The ids of the keys of the other kind.
        kem: Vec<u32>,
    },
}

/// The answer to a request that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// The message was stored.
    Send {
        /// Its sequence number.
        seq: u64,
        /// Its hybrid logical clock.
        hlc: u64,
        /// The epoch of the store.
        epoch: u64,
        /// Whether it was stored before.
        duplicate: bool,
    },
    /// Mail was stored.
    Mail {
        /// Whether it was stored before.
        duplicate: bool,
    },
    /// The message was ephemeral. It was passed on to the devices that were connected.
    PassedOn,
    /// The rows of the mailbox.
    Page {
        /// The rows, from the first one.
        rows: Vec<Row>,
        /// Whether there are more rows after these.
        more: bool,
    },
    /// Rows were deleted.
    Ack {
        /// The number of rows that existed.
        removed: u64,
    },
    /// Keys were taken; none if the pool was empty and the last-resort key was used.
    Take {
        /// The id of the key of one kind.
        ec: Option<u32>,
        /// The id of the key of the other kind.
        kem: Option<u32>,
    },
    /// Keys were added.
    Upload,
}

/// A message as a device receives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its position.
    #[serde(flatten)]
    pub place: Place,
    /// The hybrid logical clock.
    pub hlc: u64,
    /// The epoch of the store.
    pub epoch: u64,
    /// The id chosen by the sender.
    pub id: String,
    /// The sender.
    pub sender: Device,
    /// The contents, or a digest of them.
    pub body: String,
    /// The roster that it was made for.
    pub roster_version: u64,
}

/// A message in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Its position.
    #[serde(flatten)]
    pub place: Place,
    /// The hybrid logical clock.
    pub hlc: u64,
    /// The id chosen by the sender.
    pub id: String,
    /// The user who sent it.
    pub sender: String,
}

/// The contents of the store at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dump {
    /// The epoch.
    pub epoch: u64,
    /// The last sequence number of each thread.
    pub last: BTreeMap<String, u64>,
    /// Every message.
    pub stored: Vec<Stored>,
    /// The rows of each mailbox.
    pub mailboxes: BTreeMap<Device, Vec<Place>>,
    /// The numbers of the mail in each mailbox.
    #[serde(default)]
    pub mail: BTreeMap<Device, Vec<u64>>,
    /// The remaining one-time keys of each device, of both kinds.
    pub keys: BTreeMap<Device, (Vec<u32>, Vec<u32>)>,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A thread was created.
    Thread {
        /// Its id.
        thread: String,
        /// Its members.
        members: Vec<String>,
        /// Its roster version.
        roster_version: u64,
    },
    /// A request is about to be sent.
    Invoke {
        /// The number that its outcome refers to.
        op: u64,
        /// The request.
        #[serde(flatten)]
        call: Call,
    },
    /// It was carried out.
    Ok {
        /// The number of the request.
        op: u64,
        /// The answer.
        #[serde(flatten)]
        reply: Reply,
    },
    /// It was certainly not carried out.
    Fail {
        /// The number of the request.
        op: u64,
        /// The reason that the relay gave.
        reason: String,
    },
    /// It is unknown whether it was carried out.
    Unknown {
        /// The number of the request.
        op: u64,
    },
    /// A row was pushed.
    Deliver {
        /// The recipient.
        device: Device,
        /// When its connection was opened.
        since: At,
        /// The row.
        #[serde(flatten)]
        row: Row,
    },
    /// Mail was pushed.
    Mail {
        /// The recipient.
        device: Device,
        /// Its number in the mailbox of the recipient.
        seq: u64,
        /// The id chosen by the sender.
        id: String,
        /// The sender.
        sender: Device,
    },
    /// The relay was killed.
    Killed,
    /// The maximum that the process may use.
    Limits {
        /// Memory, in KiB.
        rss_kib: u64,
        /// Open files.
        files: u64,
    },
    /// What the process uses.
    Sample {
        /// Memory, in KiB.
        rss_kib: u64,
        /// Open files.
        files: u64,
    },
    /// A text that must not be in the log.
    Secret {
        /// The text.
        text: String,
    },
    /// The contents of the store.
    Dump(Dump),
}

/// One line of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its position in the order of all lines.
    pub at: At,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}
