//! The threads on which the library's tasks run: the tokio runtime that a call is made on, or otherwise a few threads
//! of its own.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{JoinError, JoinHandle};

use crate::error::{Error, Result};

/// Threads that run tasks if there is no runtime. There are two, so that one can continue while the other is busy.
const WORKERS: usize = 2;
/// Maximum number of threads that wait for the disk there, in addition to those of each database.
const BLOCKING: usize = 8;

/// The runtime of the caller, or the library's own, which is started when it is first needed and never ends.
///
/// # Errors
/// [`Error::Bug`] if the system cannot start threads.
pub(crate) fn handle() -> Result<Handle> {
    static OWN: OnceLock<Option<Runtime>> = OnceLock::new();
    if let Ok(handle) = Handle::try_current() {
        return Ok(handle);
    }
    let start = || {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(WORKERS).max_blocking_threads(BLOCKING).thread_name("sealpost").enable_all();
        builder.build().ok()
    };
    let own = OWN.get_or_init(start).as_ref().ok_or(Error::Bug("no threads for the library"))?;
    Ok(own.handle().clone())
}

/// Polls a future on any executor, in a context in which tasks can be spawned and timers work.
///
/// # Errors
/// Those of [`handle`], and those of the future.
pub(crate) async fn inside<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    Inside { handle: handle()?, future: pin!(future) }.await
}

struct Inside<'f, F> {
    handle: Handle,
    future: Pin<&'f mut F>,
}

impl<F: Future> Future for Inside<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { handle, future } = self.get_mut();
        let _entered = handle.enter();
        future.as_mut().poll(cx)
    }
}

/// Runs blocking work, whatever thread this is called on.
///
/// # Errors
/// Those of [`handle`].
pub(crate) fn spawn_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    Ok(handle()?.spawn_blocking(work))
}

/// Why a task has no result: it panicked, or its runtime is gone.
pub(crate) fn no_result(error: &JoinError) -> Error {
    if error.is_panic() {
        Error::Bug("a panic in a call")
    } else {
        Error::Misuse("the runtime that the client was opened on has ended")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    #[test]
    fn a_future_finds_a_runtime_on_any_executor() {
        let waited = inside(async {
            sleep(Duration::from_millis(1)).await;
            let spawned = tokio::spawn(async { 7 }).await;
            spawned.map_err(|error| no_result(&error))
        });
        assert_eq!(block_on(waited), Ok(7));
        assert!(spawn_blocking(|| {}).is_ok());
    }

    /// A minimal executor, without a tokio runtime.
    fn block_on<F: Future>(future: F) -> F::Output {
        struct Unpark(std::thread::Thread);
        impl std::task::Wake for Unpark {
            fn wake(self: std::sync::Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
        let (mut future, mut cx) = (pin!(future), Context::from_waker(&waker));
        loop {
            match future.as_mut().poll(&mut cx) {
                Poll::Ready(output) => return output,
                Poll::Pending => std::thread::park(),
            }
        }
    }

    #[test]
    fn a_runtime_that_has_ended_causes_no_panic() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        drop(runtime);
        let lost = block_on(handle.spawn(async {})).unwrap_err();
        assert!(matches!(no_result(&lost), Error::Misuse(_)));
    }
}
