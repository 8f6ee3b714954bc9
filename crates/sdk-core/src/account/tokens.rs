//! Tokens: a short one that opens doors, a long one that buys the next pair.
//!
//! Another process may exchange the same token at the same time, or may have died over it. Therefore an exchange has a
//! name, which is stored before the relay is asked: whoever asks under it gets the same token, and whoever comes second
//! finds it stored.

use std::future::Future;
use std::sync::Arc;

use sealpost_wire as wire;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::fault::{self, Station};
use crate::store::Tokens;
use crate::transport::{self, Http};

/// An access token.
pub(crate) type Token = Zeroizing<String>;

/// A token is replaced when it has less than this left, in milliseconds.
pub(crate) const MARGIN_MS: u64 = 60_000;

/// A token that is good for a while: the one we have, or a new one.
pub(crate) async fn access(ctx: &Context) -> Result<Token> {
    let now_ms = ctx.server_now_ms();
    token(ctx, move |tokens| tokens.access_expires_ms > now_ms.saturating_add(MARGIN_MS)).await
}

/// A new token, because the relay did not take the one we have.
pub(crate) async fn replace_refused(ctx: &Context, refused: &str) -> Result<Token> {
    let refused = Zeroizing::new(refused.to_owned());
    token(ctx, move |tokens| tokens.access != refused).await
}

/// The token we have when it will do, else a new one. Once begun, an exchange is finished whoever waits for it: its
/// answer must not get lost.
async fn token(ctx: &Context, will_do: impl Fn(&Tokens) -> bool + Clone + Send + 'static) -> Result<Token> {
    let one_at_a_time = Arc::clone(&ctx.refreshing).lock_owned().await;
    let ctx = ctx.clone();
    let exchange = tokio::spawn(async move {
        let _one_at_a_time = one_at_a_time;
        loop {
            let tokens = ctx.store.read(|rows| rows.tokens()).await?;
            if will_do(&tokens) {
                return Ok(tokens.access);
            }
            match exchange(&ctx, tokens).await? {
                Exchanged::ByUs(access) => return Ok(access),
                Exchanged::Elsewhere => {}
            }
        }
    });
    exchange.await.map_err(|_| Error::Bug("a panic while refreshing a token"))?
}

/// Runs a call with a token; once more with a new one when the relay does not take it.
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

/// How an exchange went.
enum Exchanged {
    ByUs(Token),
    /// Another process has stored other tokens meanwhile.
    Elsewhere,
}

/// The pair is stored before it is used: the relay takes the old token only until then.
async fn exchange(ctx: &Context, old: Tokens) -> Result<Exchanged> {
    let (presented, fresh) = (old.refresh.clone(), ctx.new_client_msg_id().to_string());
    let named = ctx.store.write(move |tx| {
        let is_old = tx.tokens()?.refresh == presented;
        is_old.then(|| tx.name_exchange(&fresh)).transpose()
    });
    let Some(name) = named.await? else { return Ok(Exchanged::Elsewhere) };
    let pair = ctx.transport.http.refresh(&old.refresh, &name).await?;
    fault::at(Station::RefreshAnswered);
    let offset = ctx.learn_server_time(pair.server_time_ms);
    let tokens = from_wire(pair);
    let access = tokens.access.clone();
    let stored = ctx.store.write(move |tx| {
        // Another process that was faster has stored the same successor, or one of its successors.
        if tx.tokens()?.refresh == old.refresh {
            tx.set_tokens(&tokens)?;
        }
        tx.set_clock_offset(offset)
    });
    stored.await?;
    fault::at(Station::RefreshStored);
    Ok(Exchanged::ByUs(access))
}

impl Tokens {
    pub(crate) fn new(access: String, access_expires_ms: u64, refresh: String) -> Self {
        Self { access: Zeroizing::new(access), access_expires_ms, refresh: Zeroizing::new(refresh) }
    }
}
