//! Support for tests and demonstrations: real clients, a real relay in this process or in a process of its own, and
//! clocks that are set by hand.

#![expect(clippy::expect_used, clippy::panic, reason = "a failure here fails the test with a message")]

mod bad_server;
mod clock;
mod database;
mod forwarder;
mod http;
mod pair;
mod party;
mod proxy;
mod relay_process;
mod root;
mod start_over;
mod world;

pub use bad_server::{BadResponse, BadServer};
pub use clock::ManualClock;
pub use database::{insert_unread, make_late, open_database, set_unread};
pub use forwarder::Forwarder;
pub use pair::{Pair, newest, when};
pub use party::{Party, PartyDisk, history, is_under_way, other, texts};
pub use proxy::{Interceptor, Loss, PassThrough, Proxy, SocketMessage};
pub use relay_process::{RelayProcess, relay_binary};
pub use root::Root;
pub use start_over::{has_device_list, start_over, swap_keys};
pub use world::{World, own_address};

use std::future::Future;
use std::time::Duration;

/// How long a test waits before it fails, which is much longer than any step takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Waits until `check` returns something.
///
/// # Panics
/// If it does not within one minute. `what` describes the expected event.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut check: impl FnMut() -> F) -> T {
    within(what, async {
        loop {
            if let Some(found) = check().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

/// Waits for a future.
///
/// # Panics
/// If it does not complete within one minute. `what` describes the expected event.
pub async fn within<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    match tokio::time::timeout(TIMEOUT, waiting).await {
        Ok(came) => came,
        Err(_) => panic!("did not happen: {what}"),
    }
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
