//! The life of a client: from its start through suspensions to its end.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::{Client, Inner};
use crate::account::tokens;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::ConnectionState;
use crate::runtime;
use crate::store::Registered;
use crate::sync::{State, Tasks};

impl Client {
    pub(crate) fn start(ctx: Context, registered: Registered) -> Self {
        let state = State::new(ctx.events.clone());
        let tasks = Tasks::start(&ctx, &state);
        let runtime = tokio::runtime::Handle::current();
        Self { inner: Arc::new(Inner { ctx, registered, state, tasks: Mutex::new(Some(tasks)), runtime }) }
    }

    /// Ends the connection, lets every transaction finish, and closes the database. For an app that
    /// goes to the background: the system may freeze or kill it from here on. The network is waited for no longer than two
    /// seconds, whatever it does.
    ///
    /// # Errors
    /// None today.
    pub async fn suspend(&self) -> Result<()> {
        self.finish_here(|inner| async move {
            let mut tasks = inner.tasks.lock().await;
            let exchanged = tokens::wait_for_exchange(&inner.ctx).await;
            if let Some(tasks) = tasks.take() {
                tasks.stop().await;
            }
            drop(exchanged);
            inner.ctx.transport.go_offline();
            inner.ctx.store.close().await;
            tokens::give_up_exchange(&inner.ctx);
            inner.state.set(ConnectionState::Suspended);
            Ok(())
        })
        .await
    }

    /// Opens the database again and connects. Nothing when it is open.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn resume(&self) -> Result<()> {
        self.finish_here(|inner| async move {
            let mut tasks = inner.tasks.lock().await;
            if tasks.is_none() {
                let store = inner.ctx.store.clone();
                let opened = tokio::task::spawn_blocking(move || store.reopen()).await;
                opened.map_err(|_| Error::Bug("a panic while opening the database"))??;
                *tasks = Some(Tasks::start(&inner.ctx, &inner.state));
            }
            Ok(())
        })
        .await
    }

    /// Runs work to its end, whether or not its caller waits for it.
    pub(super) async fn finish<T, F>(&self, work: impl FnOnce(Context) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let running = self.inner.runtime.spawn(work(self.inner.ctx.clone()));
        running.await.map_err(|error| runtime::no_result(&error))?
    }

    async fn finish_here<T, F>(&self, work: impl FnOnce(Arc<Inner>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let running = self.inner.runtime.spawn(work(Arc::clone(&self.inner)));
        running.await.map_err(|error| runtime::no_result(&error))?
    }
}

impl Drop for Inner {
    /// What the tasks were about to do is left to the next client: only what they have handed over is finished. A task
    /// ends when its runtime gets round to it, perhaps on this very thread, so nobody waits for that.
    fn drop(&mut self) {
        drop(self.tasks.get_mut().take());
        self.ctx.transport.go_offline();
        self.ctx.store.end();
    }
}
