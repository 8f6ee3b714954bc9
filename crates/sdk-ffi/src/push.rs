//! Handling a push notification.

use std::sync::Arc;
use std::time::Duration;

use sealpost_core as core;
use tokio::sync::oneshot;

use crate::{CancelToken, Config, Message, Result, SealpostError, log, runtime, signals};

/// Maximum number of threads that wait for the disk or for name resolution: a slow name server must not delay closing
/// the database.
const BLOCKING: usize = 4;

/// Opens the database, receives what is waiting at the relay, and closes the database again, within the time and
/// memory that the system grants to a push notification. It uses one thread, and sends nothing except
/// acknowledgements. Returns after at most `at_most_ms`, or when it is cancelled, with the messages that are new by
/// then. They are on disk.
///
/// The app may have the database open in another process and receive at the same time. Each message is stored once,
/// and those that the app has stored are not among the new ones.
///
/// Throws `Storage`: `InUse` means that a client of this process has the database open and receives the messages
/// itself, or that another process has held the lock for several seconds. Throws `Unauthorized` if no account is
/// registered in this database or the relay no longer accepts this device, `Unlinked` if it was unlinked from its account,
/// and `UnknownDevice` if the relay does not know it.
#[uniffi::export(default(at_most_ms = 20000, cancel = None, config))]
pub async fn fetch_for_push(
    database: String,
    key: Vec<u8>,
    relay: String,
    at_most_ms: u32,
    config: Config,
    cancel: Option<Arc<CancelToken>>,
) -> Result<Fetched> {
    let config = config.into_core(database, key, relay)?;
    let (done, answer) = oneshot::channel();
    let work = move || {
        // The caller may have stopped waiting.
        let _ = done.send(fetch(config, Duration::from_millis(at_most_ms.into()), cancel));
    };
    let thread = std::thread::Builder::new().name("sealpost-push".to_owned());
    thread.spawn(work).map_err(|_| SealpostError::bug("no thread for the push notification"))?;
    let fetched = answer.await;
    if !matches!(fetched, Ok(Ok(_))) {
        runtime::return_unless_exiting().await;
    }
    fetched.map_err(|_| SealpostError::bug("a panic while fetching"))?
}

/// Uses its own runtime, so that the app's worker threads are never started in the process of a notification.
fn fetch(config: core::Config, at_most: Duration, cancel: Option<Arc<CancelToken>>) -> Result<Fetched> {
    log::report_panics();
    signals::block_broken_pipe();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.max_blocking_threads(BLOCKING).enable_all().build();
    let runtime = runtime.map_err(|_| SealpostError::bug("no runtime for the push notification"))?;
    let fetched = runtime.block_on(async {
        let until = async {
            tokio::select! {
                () = tokio::time::sleep(at_most) => {}
                () = cancelled(cancel) => {}
            }
        };
        Ok(core::fetch_for_push(config, until).await?.into())
    });
    // Name resolution in progress cannot be stopped, but nothing waits for it.
    runtime.shutdown_background();
    fetched
}

async fn cancelled(cancel: Option<Arc<CancelToken>>) {
    match cancel {
        Some(cancel) => cancel.cancelled().await,
        None => std::future::pending().await,
    }
}

/// The messages that were received for a push notification.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Fetched {
    /// The new messages, in the order in which they arrived.
    #[uniffi(default = [])]
    pub messages: Vec<Message>,
    /// Whether everything that was waiting has been received. If not, the rest is received with the next connection.
    #[uniffi(default = true)]
    pub complete: bool,
}

impl From<core::Fetched> for Fetched {
    fn from(fetched: core::Fetched) -> Self {
        Self {
            messages: fetched.messages.into_iter().map(Message::from).collect(),
            complete: fetched.complete,
        }
    }
}
