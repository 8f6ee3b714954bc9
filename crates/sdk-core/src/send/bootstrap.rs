//! The primary device makes the pieces of a bootstrap, one in each transaction, and queues them as mail in the note to self. It makes one
//! only while few wait to be sent, so that other mail does not wait for long.

use crate::account::bootstrap::{Made, make_piece, outgoing_progress, queue};
use crate::content::Progress;
use crate::context::Context;
use crate::error::Result;
use crate::event::{Event, LinkProgress};
use crate::fault::{self, Station};
use crate::id::DeviceId;
use crate::store::{OutgoingBootstrap, Phase, Tx};

/// How many pieces wait to be sent or answered at a time.
const MAX_QUEUED: u64 = 4;

/// Does one step for each companion. Returns whether there may be more to do now.
pub(crate) async fn make(ctx: &Context) -> Result<bool> {
    let look = ctx.store.glance(|rows| Ok((rows.outgoing_bootstraps()?, rows.mail_to_ourselves()?)));
    let (all, queued) = look.await?;
    let due =
        |out: &OutgoingBootstrap| out.transfer.is_some() && !out.is_waiting && out.at.phase != Phase::Done;
    let mut is_any = false;
    for out in all.into_iter().filter(due) {
        if out.total.is_none() {
            count(ctx, &out).await?;
        } else if queued < MAX_QUEUED {
            make_one(ctx, out.device).await?;
        } else {
            continue;
        }
        is_any = true;
    }
    Ok(is_any)
}

/// Counts the messages. It takes long, so it is done beside the writer.
async fn count(ctx: &Context, out: &OutgoingBootstrap) -> Result<()> {
    let (device, since_ms) = (out.device, out.since_ms);
    let total = match since_ms {
        Some(since_ms) => ctx.store.read(move |rows| rows.count_for_bootstrap(since_ms)).await?,
        None => 0,
    };
    let work = ctx.store.write(move |tx| match tx.outgoing_bootstrap(device)? {
        Some(out) => tx.set_outgoing_bootstrap(&OutgoingBootstrap { total: Some(total), ..out }),
        None => Ok(()),
    });
    work.await
}

async fn make_one(ctx: &Context, device: DeviceId) -> Result<()> {
    let in_tx = ctx.clone();
    let work = move |tx: &mut Tx<'_>| {
        let Made::Piece(body) = make_piece(tx, device, in_tx.expiry_now_ms())? else { return Ok(()) };
        queue(&in_tx, tx, body)?;
        if let Some(out) = tx.outgoing_bootstrap(device)?.filter(|out| out.is_waiting) {
            let Progress { sent, total } = outgoing_progress(&out);
            let is_done = out.at.phase == Phase::Done;
            tx.emit(Event::LinkProgress(LinkProgress { device, sent, total, is_done }));
        }
        fault::at(Station::BootstrapMakeBeforeCommit);
        Ok(())
    };
    ctx.store.write(work).await?;
    fault::at(Station::BootstrapMakeAfterCommit);
    Ok(())
}
