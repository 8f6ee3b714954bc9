//! Tokens: a short-lived access token, and a refresh token that is exchanged for the next pair.
//!
//! Another process may exchange the same token at the same time, or may have died while it did. An exchange therefore has
//! an idempotency key, which is stored before the request: every request with it returns the same tokens, and a later
//! process finds the result stored.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sealpost_wire as wire;
use tokio::sync::{MutexGuard, oneshot};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::login;
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::fault::{self, Station};
use crate::store::{LoginKey, Tokens};
use crate::transport::{self, Http};

/// An access token.
pub(crate) type Token = Zeroizing<String>;

/// A token is replaced when it has less than this left, in milliseconds.
pub(crate) const MARGIN_MS: u64 = 60_000;
/// How long suspending waits for the answer to an exchange after everything else has stopped.
const EXCHANGE: Duration = Duration::from_millis(1_500);

/// An access token that is valid for a while: the stored one, or a new one.
pub(crate) async fn access(ctx: &Context) -> Result<Token> {
    token(ctx, |_| true).await
}

/// A new access token, because the relay has refused this one.
pub(crate) async fn replace_refused(ctx: &Context, refused: &str) -> Result<Token> {
    let refused = Zeroizing::new(refused.to_owned());
    token(ctx, move |tokens| tokens.access != refused).await
}

/// The stored access token if it is valid for a while and acceptable, otherwise a new one. An exchange that has begun is
/// finished even if the caller stops waiting, because its answer must not get lost. A task also waits for the lock: a caller
/// that is dropped half-way, as an app may do with any call, would otherwise keep its place in the queue and block all others.
async fn token(ctx: &Context, accept: impl Fn(&Tokens) -> bool + Clone + Send + 'static) -> Result<Token> {
    let (answer, answered) = oneshot::channel();
    let ctx = ctx.clone();
    let mut suspended = ctx.suspended.subscribe();
    tokio::spawn(async move {
        let work = async {
            let _lock = ctx.refreshing.lock().await;
            if answer.is_closed() { Ok(None) } else { in_turn(&ctx, accept).await.map(Some) }
        };
        let token = tokio::select! {
            token = work => token,
            _ = suspended.changed() => Err(Offline::TimedOut.into()),
        };
        if let Some(token) = token.transpose() {
            let _ = answer.send(token);
        }
    });
    answered.await.map_err(|_| Error::Bug("a panic while refreshing a token"))?
}

/// Waits for a running exchange to end, for a short time, so that its tokens are stored. No other exchange can begin while
/// the returned guard is held.
pub(crate) async fn wait_for_exchange(ctx: &Context) -> Option<MutexGuard<'_, ()>> {
    timeout(EXCHANGE, ctx.refreshing.lock()).await.ok()
}

/// Abandons a running exchange. The next attempt gets the same answer by its idempotency key.
pub(crate) fn give_up_exchange(ctx: &Context) {
    ctx.suspended.send_replace(());
}

async fn in_turn(ctx: &Context, accept: impl Fn(&Tokens) -> bool) -> Result<Token> {
    loop {
        let read = ctx.store.glance(|rows| {
            // The relay may not have been told, or may not say so.
            if rows.is_unlinked()? {
                return Err(Error::Unlinked);
            }
            Ok((rows.tokens()?, rows.registration_tag()?.is_some()))
        });
        let (tokens, tagged) = read.await?;
        // A device of an older file sends its login key as soon as possible; if the relay does not confirm it, only once.
        let login_key_known = tagged || ctx.login_key_shown.load(Ordering::Relaxed);
        // A token that another process has stored may have expired too, because this process may have been frozen.
        if login_key_known && tokens.is_valid_at(ctx.server_now_ms()) && accept(&tokens) {
            return Ok(tokens.access);
        }
        match exchange(ctx, tokens).await? {
            Exchanged::ByUs(access) => return Ok(access),
            Exchanged::Elsewhere => {}
        }
    }
}

/// Makes a call with an access token, and once more with a new one if the relay refuses it.
pub(crate) async fn with_access<T, F>(ctx: &Context, call: impl Fn(Http, Token) -> F) -> Result<T>
where
    F: Future<Output = transport::Result<T>>,
{
    let http = &ctx.transport.http;
    let token = access(ctx).await?;
    match call(http.clone(), token.clone()).await {
        Err(transport::Error::Unauthorized) => {
            let token = replace_refused(ctx, &token).await?;
            Ok(call(http.clone(), token).await?)
        }
        other => Ok(other?),
    }
}

pub(crate) fn from_wire(pair: wire::TokenPair) -> Tokens {
    Tokens::new(pair.access_token, pair.access_expires_ms, pair.refresh_token)
}

/// The outcome of an exchange.
enum Exchanged {
    ByUs(Token),
    /// Another process has stored other tokens in the meantime.
    Elsewhere,
}

/// Exchanges the refresh token. The new pair is stored before it is used: as soon as the relay sees it, it refuses the old
/// token.
async fn exchange(ctx: &Context, old: Tokens) -> Result<Exchanged> {
    let (presented, fresh) = (old.refresh.clone(), ctx.new_client_msg_id().to_string());
    let fresh_key = LoginKey::generate(&mut ctx.env.rng());
    let named = ctx.store.write(move |tx| {
        let is_old = tx.tokens()?.refresh == presented;
        let login_key = tx.ensure_login_key(&fresh_key)?;
        is_old.then(|| Ok((tx.name_exchange(&fresh)?, login_key))).transpose()
    });
    let Some((name, login_key)) = named.await? else { return Ok(Exchanged::Elsewhere) };
    let shown = login::public_key(&login_key)?;
    let pair = match ctx.transport.http.refresh(&old.refresh, shown, &name).await {
        Err(transport::Error::Unauthorized) => login::sign_in(ctx, &name).await?,
        answered => answered?,
    };
    ctx.login_key_shown.store(true, Ordering::Relaxed);
    let tag = login::tag(&pair.registration_tag);
    fault::at(Station::RefreshAnswered);
    let clocks = ctx.learn_server_time(pair.server_time_ms);
    let tokens = from_wire(pair);
    let access = tokens.access.clone();
    let stored = ctx.store.write(move |tx| {
        // A faster process has stored the same pair, or one of its successors.
        if tx.tokens()?.refresh == old.refresh {
            tx.set_tokens(&tokens)?;
        }
        if let Some(tag) = tag {
            tx.set_registration_tag(&tag)?;
        }
        tx.set_clocks(clocks)
    });
    stored.await?;
    fault::at(Station::RefreshStored);
    Ok(Exchanged::ByUs(access))
}

impl Tokens {
    pub(crate) fn new(access: String, access_expires_ms: u64, refresh: String) -> Self {
        Self { access: Zeroizing::new(access), access_expires_ms, refresh: Zeroizing::new(refresh) }
    }

    /// Whether the access token is valid for a while.
    fn is_valid_at(&self, now_ms: u64) -> bool {
        self.access_expires_ms > now_ms.saturating_add(MARGIN_MS)
    }
}

#[cfg(test)]
mod tests {
    use sealpost_protocol::IdentityKeyPair;

    use super::*;
    use crate::client::open::open;
    use crate::config::{Config, DatabaseKey};
    use crate::id::{DeviceId, UserId};
    use crate::store::{Footprint, Registered};

    /// A device whose relay cannot be reached, with a token that another process has stored.
    async fn with_stored(expires_ms: u64) -> (tempfile::TempDir, Context) {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::new(dir.path().join("a.db"), DatabaseKey::new([9; 32]), "http://127.0.0.1:1");
        let (ctx, _) = open(config, Footprint::Full).await.unwrap();
        let work = ctx.store.write(move |tx| {
            tx.insert_account(&IdentityKeyPair::generate(&mut rand::rng()), 7)?;
            let us = Registered { user: UserId::from_bytes([1; 16]), device: DeviceId::PRIMARY };
            tx.set_registration_tag(b"known there")?;
            tx.set_registered(us, &Tokens::new("stored".into(), expires_ms, "refresh".into()))
        });
        work.await.unwrap();
        (dir, ctx)
    }

    #[tokio::test]
    async fn a_call_that_was_dropped_half_way_does_not_block_others() {
        let (_dir, ctx) = with_stored(u64::from(u32::MAX) * 1000).await;
        let mut stopped: Vec<_> = (0..3).map(|_| Box::pin(access(&ctx))).collect();
        // Each is polled until it first waits for something.
        for call in &mut stopped {
            let _ = futures_util::FutureExt::now_or_never(call);
        }
        let token = timeout(Duration::from_secs(60), access(&ctx)).await;
        assert_eq!(
            token.expect("calls that are no longer polled delay no others").unwrap().as_str(),
            "stored"
        );
    }

    #[tokio::test]
    async fn a_refused_token_is_replaced_by_one_that_another_process_stored_if_that_is_valid() {
        let (_dir, ctx) = with_stored(u64::from(u32::MAX) * 1000).await;
        assert_eq!(replace_refused(&ctx, "old").await.unwrap().as_str(), "stored");
        let asks = Err(Error::Offline(Offline::Unreachable));
        assert_eq!(replace_refused(&ctx, "stored").await, asks);
        // This process was frozen with the old one until the stored one had expired.
        let (_dir, ctx) = with_stored(1).await;
        assert_eq!(replace_refused(&ctx, "old").await, asks);
    }
}
