//! The client: an encrypted database, an outbox, an inbox, and the connection that serves them.
//!
//! ```
//! use sealpost_core::{Client, Config, DatabaseKey};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let world = sealpost_testkit::World::start().await;
//! # let (folder, relay, key) = (world.dir(), world.url(), [7; 32]);
//! # let friend = world.party("friend").await;
//! # let friend_id = friend.client.user_id();
//! // `key` is 32 random bytes that the app keeps in the Keychain or the Keystore.
//! let config = Config::new(folder.join("account.db"), DatabaseKey::new(key), relay);
//! let client = Client::open_or_register(config, b"registration proof").await?;
//! let thread = client.direct_thread(friend_id).await?;
//! let mut arrivals = thread.arrivals();
//! thread.send_text("hello").await?; // It is on disk now, and is sent once there is a connection.
//! # let theirs = friend.client.direct_thread(client.user_id()).await?;
//! # theirs.send_text("bye").await?;
//! while let Some(message) = arrivals.next().await {
//!     let message = message?;
//!     println!("{}: {}", message.sender, message.text().unwrap_or_default());
//!     if message.text() == Some("bye") {
//!         break;
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Client::open_or_register`] returns a [`Client`]; with [`Client::open`], the app decides when to register. A
//! [`Thread`] sends texts and returns its history. [`Client::events`] and [`Thread::subscribe`] report changes after they are durable.
//!
//! The paths of outgoing and incoming messages are described, station by station, in `send` and `receive`, and in
//! ARCHITECTURE.md in the repository.

mod account;
mod call;
mod client;
mod config;
mod contact;
mod content;
mod context;
mod env;
mod ephemeral;
mod error;
mod event;
#[cfg(not(feature = "faults"))]
#[allow(unreachable_pub, dead_code, reason = "only the tests that kill a process see it from outside")]
mod fault;
#[cfg(feature = "faults")]
pub mod fault;
mod group;
mod health;
mod id;
mod message;
mod name;
mod receive;
mod runtime;
mod send;
mod store;
mod stream;
mod sync;
mod thread;
mod transport;
mod view;
mod waiting;

pub use call::{CallEnd, CallEvent, CallKeys, CallSignal, SrtpKey};
pub use client::{
    Client, Contact, Departure, Fetched, Group, GroupMember, GroupPermissions, GroupStanding, History,
    Linking, Opened, OwnDevice, PendingLink, Presence, SharedHistory, Thread, Unregistered, fetch_for_push,
};
pub use config::{ChangeLimits, Config, DatabaseKey, MessageRequests, ProxyChoice, Trust};
pub use content::{
    CallId, ContactCard, EVERYBODY, LinkPreview, Location, MAX_CALL_CANDIDATES, MAX_CALL_DESCRIPTION,
    MAX_CARD_FIELD, MAX_DEVICE_NAME, MAX_MENTIONS, MAX_OPTION, MAX_OPTIONS, MAX_PINNED, MAX_PLACE_NAME,
    MAX_PREVIEW_DESCRIPTION, MAX_PREVIEW_THUMBNAIL, MAX_PREVIEW_TITLE, MAX_PREVIEW_URL, MAX_PROFILE_ABOUT,
    MAX_PROFILE_AVATAR, MAX_PROFILE_NAME, MAX_QUESTION, MAX_STYLES, MAX_TEXT, MAX_TIMER_S, Markup, Mention,
    Profile, StyledRange, TextRange, TextStyle,
};
pub use env::{Clock, SystemClock};
pub use error::{Error, InvalidContent, LinkFailure, Offline, Result, Storage};
pub use event::{ChangeKind, ConnectionState, Event, Events, Lagged, LinkProgress};
pub use group::details::{GroupDetails, MAX_GROUP_ABOUT, MAX_GROUP_TITLE};
pub use group::joining::GroupPreview;
pub use health::{FailedPart, Failure, Part};
pub use id::{DeviceId, InvalidId, MessageId, ThreadId, UserId};
pub use message::{
    Delivery, Direction, FailReason, FoundRange, Hit, Hits, MemberReceipt, Message, MessageBody,
    MessageDetails, MessageReceipts, Notice, NoticeAction, Page, Poll, PollOption, Position, Quote, Reaction,
    ReactionCount, Report, Search, SearchOrder, StorageReport, ThreadStorage, Undecryptable, UnreadDivider,
    Version, Vote,
};
pub use name::displayable_name;
pub use sealpost_protocol::SessionPolicy;
pub use sealpost_protocol::device::link::{CodeError, LinkCode, ShortCode};
pub use sealpost_protocol::group::{GroupLink, GroupLinkError};
pub use store::{Folder, PrivacySetting, ThreadCursor, ThreadKind, TrustState, process_is_exiting};
pub use view::PAGE;
pub use view::arrivals::Arrivals;
pub use view::calls::Calls;
pub use view::feed::{Feed, Overview, Update};
pub use view::list::MessageList;
pub use view::notices::Notices;
pub use view::summary::{ThreadPage, ThreadSummary, UnreadTotals};
pub use view::threads::{ThreadList, Threads, ThreadsChange};
pub use view::timeline::{Change, Timeline};
pub use view::waits::Waits;
pub use waiting::{ThreadWaiting, WaitReason, Waiting};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
