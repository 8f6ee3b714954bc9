//! For a push notification.

use std::sync::Arc;
use std::time::Duration;

use sealpost_core as core;
use tokio::sync::oneshot;

use crate::{CancelToken, Config, Message, Result, SealpostError, log, signals};

/// Most threads that wait for the disk or for a name: a slow name server must not keep the database from being closed.
const BLOCKING: usize = 4;

/// Opens the database, brings in what waits at the relay, and closes it again: for the few seconds and the little memory
/// that the system gives to a push notification. One thread; nothing is sent but acknowledgements. Ends at the latest
/// after `at_most_ms`, or when it is cancelled, and gives what is new by then: it is on disk.
///
/// The app may have the database open in another process, and receive at the same time: each message is stored once, and what the
/// app has stored is not among the new ones.
///
/// Throws `Storage`: with `InUse` a client of this process has the database open, and receives by itself, or another process was
/// at work on it for seconds. `Unauthorized` when nobody is registered here.
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
        // Whoever asked may have stopped waiting.
        let _ = done.send(fetch(config, Duration::from_millis(at_most_ms.into()), cancel));
    };
    let thread = std::thread::Builder::new().name("sealpost-push".to_owned());
    thread.spawn(work).map_err(|_| SealpostError::bug("no thread for the push notification"))?;
    answer.await.map_err(|_| SealpostError::bug("a panic while fetching"))?
}

/// On a runtime of its own: the app's workers are never started in a notification's process.
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
    // A name that is still being looked up cannot be stopped; nobody waits for it.
    runtime.shutdown_background();
    fetched
}

async fn cancelled(cancel: Option<Arc<CancelToken>>) {
    match cancel {
        Some(cancel) => cancel.cancelled().await,
        None => std::future::pending().await,
    }
}

/// What a push notification brought.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Fetched {
    /// The messages that are new, in the order they came in.
    pub messages: Vec<Message>,
    /// Whether everything that waited is here. If not, the rest comes with the next connection.
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
