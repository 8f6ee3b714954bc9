//! Starting, suspending, resuming and ending a client.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::{Client, Inner};
use crate::account::tokens;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::ConnectionState;
use crate::runtime;
use crate::store::{AccountStatus, StoredAccount};
use crate::sync::{State, Tasks};

impl Client {
    pub(crate) fn start(ctx: Context, account: StoredAccount) -> Self {
        let StoredAccount { registered, status } = account;
        let state = State::new(ctx.events.clone());
        let tasks = Tasks::start_for(status, &ctx, &state);
        let runtime = tokio::runtime::Handle::current();
        Self { inner: Arc::new(Inner { ctx, registered, state, tasks: Mutex::new(Some(tasks)), runtime }) }
    }

    /// Closes the connection, finishes pending transactions, and closes the database. Use this when the app goes to
    /// the background: the system may then freeze or kill the app. The call waits for the network for at most two
    /// seconds.
    ///
    /// # Errors
    /// None at present.
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

    /// Opens the database again and connects. Does nothing if the client is not suspended.
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
                let (account, _) = inner.ctx.store.glance(|rows| rows.stored_account()).await?;
                // If there is no account, another process has finished leaving it.
                let status = account.map_or(AccountStatus::Left, |account| account.status);
                *tasks = Some(Tasks::start_for(status, &inner.ctx, &inner.state));
            }
            Ok(())
        })
        .await
    }

    /// Runs work to completion, whether or not its caller waits for it.
    pub(super) async fn finish<T, F>(&self, work: impl FnOnce(Context) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let running = self.inner.runtime.spawn(work(self.inner.ctx.clone()));
        running.await.map_err(|error| runtime::no_result(&error))?
    }

    pub(super) async fn finish_here<T, F>(&self, work: impl FnOnce(Arc<Inner>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let running = self.inner.runtime.spawn(work(Arc::clone(&self.inner)));
        running.await.map_err(|error| runtime::no_result(&error))?
    }
}

impl Drop for Inner {
    /// What the tasks were about to do is left to the next client; only transactions that were already queued are
    /// finished. A task ends when its runtime polls it, perhaps on this very thread, so nothing waits for that.
    fn drop(&mut self) {
        drop(self.tasks.get_mut().take());
        self.ctx.transport.go_offline();
        self.ctx.store.end();
    }
}
