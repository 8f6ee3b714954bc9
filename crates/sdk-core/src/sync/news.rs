//! Sends news, as mail, to the threads that have not had them and may have them: our profile after it has changed, and our device list after
//! a device was removed, so that nobody goes on sealing for that device, whatever the relay shows them.

use std::time::Duration;

use tokio::time::sleep;

use crate::content::Body;
use crate::context::Context;
use crate::error::Result;
use crate::store::{NewMail, News, Rows, Tx};

/// How many threads are served in one transaction.
const BATCH: u32 = 32;
/// The pause between them, so that what people write does not wait for thousands of them.
const BETWEEN: Duration = Duration::from_secs(1);
/// The pause after a failure.
const RETRY: Duration = Duration::from_secs(30);

pub(crate) async fn run(ctx: Context) {
    let mut elsewhere = ctx.events.elsewhere();
    // When a client is opened, nothing is written before there is a connection.
    ctx.transport.online().await;
    loop {
        elsewhere.borrow_and_update();
        if let Err(error) = queue_all(&ctx).await {
            tracing::warn!(%error, "news are not sent yet");
            sleep(RETRY).await;
            continue;
        }
        tokio::select! {
            () = ctx.upkeep.news.notified() => {}
            // Another process may have added a thread.
            Ok(()) = elsewhere.changed() => {}
        }
    }
}

async fn queue_all(ctx: &Context) -> Result<()> {
    for news in News::ALL {
        while ctx.store.glance(move |rows| is_due(rows, news)).await? {
            let ctx_in_tx = ctx.clone();
            ctx.store.write(move |tx| queue(&ctx_in_tx, tx, news)).await?;
            if ctx.store.glance(move |rows| is_due(rows, news)).await? {
                sleep(BETWEEN).await;
                ctx.transport.online().await;
            }
        }
    }
    Ok(())
}

/// Queues news for some of the threads to which they are still to be sent.
fn queue(ctx: &Context, tx: &mut Tx<'_>, news: News) -> Result<()> {
    let Some(body) = body(tx, news)? else { return Ok(()) };
    for thread in tx.threads_for_news(news, BATCH)? {
        for to in tx.others(thread)? {
            let new = NewMail {
                thread,
                to,
                slot: Some(news.slot()),
                content_id: ctx.new_client_msg_id(),
                sent_ms: ctx.server_now_ms(),
                body: body.clone(),
                due_ms: 0,
            };
            ctx.queue_mail(tx, &new)?;
        }
        tx.set_news_queued(thread, news)?;
    }
    Ok(())
}

/// What is sent. The newest list is added to mail without a body when it is sealed.
fn body(rows: &Rows<'_>, news: News) -> Result<Option<Body>> {
    Ok(match news {
        News::Profile => rows.profile(rows.our_account()?.1.user)?.map(Body::Profile),
        News::DeviceList => Some(Body::Null),
    })
}

/// Whether there are news that a thread has not got.
fn is_due(rows: &Rows<'_>, news: News) -> Result<bool> {
    Ok(body(rows, news)?.is_some() && !rows.threads_for_news(news, 1)?.is_empty())
}
