//! The library's own threads. Work that a caller starts runs to completion here; if the caller goes away, only its
//! wait ends.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::{Arc, OnceLock};

use sealpost_core as core;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::{CancelToken, Result, SealpostError, log, signals};

/// Threads that run tasks. There are two, so that one can continue while the other is busy.
const WORKERS: usize = 2;
/// Maximum number of threads that wait for the disk, in addition to those of each database.
const BLOCKING: usize = 8;

/// Runs work to completion, whether or not its caller waits for it.
pub(crate) async fn run<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    outcome(spawn(work)?).await
}

/// Like [`run`], but stops waiting when the token is cancelled.
pub(crate) async fn run_until<T: Send + 'static>(
    cancel: Option<Arc<CancelToken>>,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    until(cancel, run(work)).await
}

/// Runs a synchronous call in a context in which tasks can be spawned.
pub(crate) fn enter<T>(call: impl FnOnce() -> T) -> Result<T> {
    let _entered = runtime()?.enter();
    Ok(call())
}

/// Runs work that is dropped at its next await point when its caller stops waiting. Only for work that loses nothing
/// then. If it was cancelled by its token, it is gone when this returns: nothing of it keeps a database open.
pub(crate) async fn run_while_wanted<T: Send + 'static>(
    cancel: Option<Arc<CancelToken>>,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    struct Wanted<T>(JoinHandle<T>);
    impl<T> Drop for Wanted<T> {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let mut wanted = Wanted(spawn(work)?);
    let done = until(cancel, outcome(&mut wanted.0)).await;
    if matches!(done, Err(SealpostError::Cancelled)) && !wanted.0.is_finished() {
        wanted.0.abort();
        // A result that it has in spite of that is not discarded.
        if let Ok(done) = (&mut wanted.0).await {
            return done;
        }
    }
    done
}

async fn until<T>(cancel: Option<Arc<CancelToken>>, done: impl Future<Output = Result<T>>) -> Result<T> {
    let Some(cancel) = cancel else { return done.await };
    tokio::select! {
        // A result that is available is not discarded.
        biased;
        done = done => done,
        () = cancel.cancelled() => Err(SealpostError::Cancelled),
    }
}

fn spawn<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<JoinHandle<Result<T>>> {
    Ok(runtime()?.spawn(work))
}

async fn outcome<T>(running: impl Future<Output = Result<Result<T>, tokio::task::JoinError>>) -> Result<T> {
    let outcome = running.await;
    if !matches!(outcome, Ok(Ok(_))) {
        return_unless_exiting().await;
    }
    // The panic itself was reported to the logger, with its location.
    outcome.map_err(|_| SealpostError::bug("a panic in a call"))?
}

/// Never returns while the process is exiting. Calls fail then, and an app that does not expect the error could crash
/// instead of exiting: a Swift program that throws from `main`, for example, is killed by a signal.
pub(crate) async fn return_unless_exiting() {
    if core::process_is_exiting() {
        std::future::pending::<()>().await;
    }
}

fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    let start = || {
        log::report_panics();
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(WORKERS).max_blocking_threads(BLOCKING).thread_name("sealpost").enable_all();
        builder.on_thread_start(signals::block_broken_pipe);
        builder.build().ok()
    };
    RUNTIME.get_or_init(start).as_ref().ok_or_else(|| SealpostError::bug("no threads for the library"))
}
