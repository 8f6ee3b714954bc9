//! What is recorded: one JSON line for each event.
//!
//! | Line | Recorded |
//! |---|---|
//! | `thread` | once, when the thread was made: its members and its roster version |
//! | `invoke` | before a request leaves |
//! | `ok`, `fail`, `unknown` | when its answer is there: done; certainly not done; nobody knows (no answer, or 503) |
//! | `deliver` | when a row was pushed, before it is acknowledged |
//! | `killed` | when the relay was killed |
//! | `limits`, `sample` | what the process may hold at most, and what it held |
//! | `secret` | a text that must not be in the log |
//! | `dump` | last: what is in the store when all is quiet |
//!
//! Every line carries `at`, its place in the one order of all lines. All identifiers are texts, and mean nothing here but
//! equality.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A place in the order of all lines.
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

/// A place in a thread.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The thread.
    pub thread: String,
    /// The relay's number in it, from 1.
    pub seq: u64,
}

/// A message as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    /// Who sends.
    pub sender: Device,
    /// Where.
    pub thread: String,
    /// The sender's name for it.
    pub id: String,
    /// What it says, or a digest of that.
    pub body: String,
    /// The roster that it was made for.
    pub roster_version: u64,
    /// Whether it asked not to be stored.
    #[serde(default)]
    pub ephemeral: bool,
    /// The devices that are to have it.
    pub to: Vec<Device>,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum Call {
    /// Store a message.
    Send(Send),
    /// Show the whole mailbox.
    Page {
        /// Whose.
        device: Device,
    },
    /// Delete rows.
    Ack {
        /// Whose.
        device: Device,
        /// Which.
        rows: Vec<Place>,
    },
    /// Take one-time keys.
    Take {
        /// Who asks.
        requester: Device,
        /// What makes a repetition the same request.
        idempotency: String,
        /// Whose keys.
        target: Device,
    },
    /// Add one-time keys.
    Upload {
        /// Whose.
        device: Device,
        /// Their ids, of the one kind.
        ec: Vec<u32>,
        /// Their ids, of the other.
        kem: Vec<u32>,
    },
}

/// What was answered to a request that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// It is stored.
    Send {
        /// The number it got.
        seq: u64,
        /// The hybrid clock it got.
        hlc: u64,
        /// The epoch of the store.
        epoch: u64,
        /// It was stored before.
        duplicate: bool,
    },
    /// The rows of the mailbox.
    Page {
        /// From the first on.
        rows: Vec<Row>,
        /// There are more after these.
        more: bool,
    },
    /// Rows are deleted.
    Ack {
        /// So many were there.
        removed: u64,
    },
    /// Keys are taken: none when the pool was empty, and the last resort had to do.
    Take {
        /// Of the one kind.
        ec: Option<u32>,
        /// Of the other.
        kem: Option<u32>,
    },
    /// Keys are added.
    Upload,
}

/// A message as a device gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Where it stands.
    #[serde(flatten)]
    pub place: Place,
    /// The hybrid clock.
    pub hlc: u64,
    /// The epoch of the store.
    pub epoch: u64,
    /// The sender's name for it.
    pub id: String,
    /// Who sent it.
    pub sender: Device,
    /// What it says, or a digest of that.
    pub body: String,
    /// The roster that it was made for.
    pub roster_version: u64,
}

/// A message in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Where it stands.
    #[serde(flatten)]
    pub place: Place,
    /// The hybrid clock.
    pub hlc: u64,
    /// The sender's name for it.
    pub id: String,
    /// The user who sent it.
    pub sender: String,
}

/// What is in the store at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dump {
    /// The epoch.
    pub epoch: u64,
    /// The last number of each thread.
    pub last: BTreeMap<String, u64>,
    /// Every message.
    pub stored: Vec<Stored>,
    /// The rows of each mailbox.
    pub mailboxes: BTreeMap<Device, Vec<Place>>,
    /// The one-time keys that each device has left, of both kinds.
    pub keys: BTreeMap<Device, (Vec<u32>, Vec<u32>)>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A thread was made.
    Thread {
        /// Its name.
        thread: String,
        /// Its members.
        members: Vec<String>,
        /// Their roster.
        roster_version: u64,
    },
    /// A request is about to leave.
    Invoke {
        /// The name that its outcome bears too.
        op: u64,
        /// What is asked.
        #[serde(flatten)]
        call: Call,
    },
    /// It was done.
    Ok {
        /// Which.
        op: u64,
        /// The answer.
        #[serde(flatten)]
        reply: Reply,
    },
    /// It was certainly not done.
    Fail {
        /// Which.
        op: u64,
        /// The relay's word for it.
        reason: String,
    },
    /// Nobody knows whether it was done.
    Unknown {
        /// Which.
        op: u64,
    },
    /// A row was pushed.
    Deliver {
        /// To whom.
        device: Device,
        /// When that connection was opened.
        since: At,
        /// What.
        #[serde(flatten)]
        row: Row,
    },
    /// The relay was killed.
    Killed,
    /// What the process may hold at most.
    Limits {
        /// Memory, in KiB.
        rss_kib: u64,
        /// Open files.
        files: u64,
    },
    /// What the process holds.
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
    /// What is in the store.
    Dump(Dump),
}

/// One line of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its place in the order of all lines.
    pub at: At,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}
