//! Support for tests and demonstrations: real clients, a real relay in this process or in a process of its own, and
//! clocks that are set by hand.

#![expect(clippy::expect_used, clippy::panic, reason = "what goes wrong here fails a test, and says why")]

mod clock;
mod database;
mod hostile;
mod http;
mod line;
mod party;
mod proxy;
mod relay_process;
mod root;
mod world;

pub use clock::ManualClock;
pub use database::open_database;
pub use hostile::{Hostile, Hostility};
pub use line::Line;
pub use party::{Party, PartyDisk, history, other, texts};
pub use proxy::{Honest, Loss, Meddle, Proxy, SocketMessage};
pub use relay_process::{RelayProcess, relay_binary};
pub use root::Root;
pub use world::{World, own_address};

use std::future::Future;
use std::time::Duration;

/// How long a test waits before it fails: much longer than anything should take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `check` returns something.
///
/// # Panics
/// If it does not within one minute; `what` says what was waited for.
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
/// If it does not complete within one minute; `what` says what was waited for.
pub async fn within<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(came) => came,
        Err(_) => panic!("did not happen: {what}"),
    }
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
