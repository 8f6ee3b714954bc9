//! The client for Swift and Kotlin: `sealpost-core` with an API that both languages support.
//!
//! This API follows these rules:
//!
//! 1. **Two kinds of values cross the boundary:** records and enums (owned data, with one `From` each) and objects
//!    (with a lifetime: [`Client`], [`Thread`], [`Group`], the views, [`CancelToken`]). There are no generics and no
//!    lifetimes.
//! 2. **The logger is the only callback.** Changes are pulled: a snapshot, followed by batches of changes. Swift
//!    turns them into an `AsyncSequence`, and Kotlin into a `Flow`.
//! 3. **There is one error type and one mapping,** in `error`. Its cases correspond to what the app can do, and each
//!    has a code that never changes. An error contains no text from peers and no personal data.
//! 4. **A caller that goes away changes nothing.** Every asynchronous call runs to completion on the library's own
//!    threads; only the wait can be dropped. Cancelling a Swift task does not even reach Rust, so a call that may
//!    take long accepts a [`CancelToken`], and both languages behave the same.
//! 5. **A panic is reported as an error,** and never ends the app: every function returns a `Result`.
//! 6. **Secrets do not cross the boundary,** except the storage key, which the platform already protects, the keys of the media
//!    of a call, which the app's media library needs, and the code of a device to link, which is shown for ten minutes. Both languages
//!    can wipe keys that they get; the copies that are made at the boundary are not wiped.
//! 7. **Everything that is added later has a default:** adding a field to a record or an argument to a call breaks no
//!    app. Without a default are only the fields that say which thing it is and of which kind: ids, positions, enums,
//!    and the one value that a record exists for. No record gets another field of that kind.
//! 8. **The words are those of `sealpost-core`:** a type, a method or a field has the same name there, in Kotlin and in
//!    Swift.

mod call;
mod cancel;
mod client;
mod config;
mod ephemeral;
mod error;
mod event;
mod group;
mod health;
mod id;
mod linking;
mod lists;
mod log;
mod message;
mod name;
mod pull;
mod push;
mod receipts;
mod registration;
mod runtime;
mod search;
mod signals;
mod storage;
mod summary;
mod thread;
mod view;
mod waiting;

pub use call::{CallEnd, CallEvent, CallKeys, CallSignal, SrtpKey};
pub use cancel::CancelToken;
pub use client::{
    Client, ConnectionState, Departure, History, OwnDevice, PendingLink, Profile, Report, SharedHistory,
    TrustState,
};
pub use config::{ChangeLimits, Config};
pub use ephemeral::{Presence, PrivacySetting};
pub use error::{CodeError, InvalidContentReason, LinkFailure, OfflineReason, SealpostError, StorageReason};
pub use event::{ChangeKind, Event, LinkProgress, Update};
pub use group::{Group, GroupDetails, GroupMember, GroupPermissions};
pub use health::{FailedPart, Part, PartFailure};
pub use id::{CallId, DeviceId, MessageId, Position, ThreadCursor, ThreadId, UserId};
pub use linking::Linking;
pub use lists::{Page, UnreadDivider};
pub use log::{LogLevel, LogLine, Logger, set_logger};
pub use message::{
    ContactCard, Delivery, Direction, FailReason, LinkPreview, Location, Markup, Mention, Message,
    MessageBody, Notice, NoticeAction, Poll, PollOption, Quote, Reaction, ReactionCount, StyledRange,
    TextRange, TextStyle, UndecryptableCause, Version, Vote, everybody,
};
pub use name::displayable_name;
pub use push::{Fetched, fetch_for_push};
pub use receipts::{MemberReceipt, MessageReceipts};
pub use registration::{Opened, Registration, open_account};
pub use search::{FoundRange, Hit, Hits, Search, SearchOrder};
pub use storage::{MessageDetails, StorageReport, ThreadStorage};
pub use summary::{Folder, Overview, ThreadPage, ThreadSummary, UnreadTotals};
pub use thread::{Thread, ThreadKind};
pub use view::{Arrivals, Calls, Change, Feed, Notices, Threads, ThreadsChange, Timeline, Waits};
pub use waiting::{ThreadWaiting, WaitReason, Waiting};

use error::Result;

uniffi::setup_scaffolding!("sealpost");

/// A point in time, in milliseconds since the Unix epoch: signed, because both languages count time in signed numbers.
fn millis(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}
