//! The client for Swift and Kotlin: `sealpost-core` behind names that both languages can keep.
//!
//! The rules of this border:
//!
//! 1. **Two kinds of things cross:** records and enums (owned data, one `From` each) and objects (things with a life:
//!    [`Client`], [`Thread`], the subscriptions, [`CancelToken`]). No generics, no lifetimes.
//! 2. **Nothing is called back but the logger.** What changes is pulled: a snapshot, then batches of changes. Swift makes
//!    an `AsyncSequence` of it, Kotlin a `Flow`.
//! 3. **One error, one mapping,** in `error`. The app switches on remedies; each has a code that never changes. No text
//!    from peers and no personal data in an error.
//! 4. **A caller that goes away changes nothing.** Every asynchronous call runs on the library's own threads to its end;
//!    what is dropped is only the wait. Cancelling a Swift task does not even reach Rust, so what may take long takes a
//!    [`CancelToken`], and both languages behave the same.
//! 5. **A panic is an error of ours,** never the end of the app: every function returns a `Result`.
//! 6. **Secrets do not cross,** except the storage key that the platform already guards.
//! 7. **What may come later has a default:** adding a field to [`Config`] or an argument to a call breaks nobody.

mod cancel;
mod client;
mod config;
mod error;
mod event;
mod health;
mod id;
mod lists;
mod log;
mod message;
mod pull;
mod push;
mod registration;
mod runtime;
mod signals;
mod subscription;
mod thread;

pub use cancel::CancelToken;
pub use client::{Client, ConnectionState, TrustState};
pub use config::Config;
pub use error::{OfflineReason, SealpostError, StorageReason};
pub use event::Event;
pub use health::{FailedPart, Part, PartFailure};
pub use id::{MessageId, Position, ThreadCursor, ThreadId, UserId};
pub use lists::{Overview, Page, ThreadPage, ThreadSummary};
pub use log::{LogLevel, LogLine, Logger, set_logger};
pub use message::{Delivery, Direction, FailReason, Message, MessageBody, UndecryptableCause};
pub use push::{Fetched, fetch_for_push};
pub use registration::{Opened, Registration, open_account};
pub use subscription::{ArrivalSubscription, Change, ClientSubscription, ThreadSubscription};
pub use thread::Thread;

use error::Result;

uniffi::setup_scaffolding!("sealpost");
