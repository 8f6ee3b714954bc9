//! The task that writes the posts of large groups to the mailboxes.
//!
//! It works in rounds: in each, every group with a job gets one step, so a group with many posts delays no other for long. A job survives a restart; it
//! goes on behind the last device that has the post.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use prost::Message as _;
use sealpost_wire::frame::Body;
use sealpost_wire::limits::MAX_INLINE_DEVICES;
use sealpost_wire::{FRAME_VERSION, FanoutDone, Frame};

use crate::address::Address;
use crate::bus::{Passing, WakeReason};
use crate::fault::{self, Station};
use crate::state::State;
use crate::store::{Claim, JobId, Progress};

/// Groups whose jobs are done in the same round.
const AT_ONCE: u32 = 16;
/// How long a claim is valid after a step, in milliseconds. Steps take milliseconds.
const CLAIM_MS: u64 = 30_000;
/// How long `FanoutDone` waits for a connection that is slow.
const DONE_FOR: Duration = Duration::from_secs(60);
/// If the store does not answer, the next attempt is after this time.
const PAUSE: Duration = Duration::from_millis(500);

/// Does all jobs, and waits for more, until it is aborted.
pub(crate) async fn run(state: Arc<State>) {
    let mut claims: Vec<Claim> = Vec::new();
    loop {
        let now_ms = state.clock.unix_ms();
        let free = AT_ONCE.saturating_sub(u32::try_from(claims.len()).unwrap_or(u32::MAX));
        match state.store.claim_jobs(free, now_ms, now_ms.saturating_add(CLAIM_MS)).await {
            Ok(more) => claims.extend(more),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        if claims.is_empty() {
            // Now and then, it looks for jobs whose claim has ended.
            tokio::time::timeout(state.timing.rescan, state.jobs.notified()).await.ok();
            continue;
        }
        let steps = claims.drain(..).map(|claim| step(&state, claim));
        claims = join_all(steps).await.into_iter().flatten().collect();
    }
}

/// The next rows of a job. Returns the claim if there are more.
async fn step(state: &State, claim: Claim) -> Option<Claim> {
    let rows = u32::try_from(MAX_INLINE_DEVICES).unwrap_or(u32::MAX);
    let until_ms = state.clock.unix_ms().saturating_add(CLAIM_MS);
    match state.store.run_job(claim, rows, until_ms).await {
        Ok(Progress::More(devices)) => {
            wake(state, &devices);
            Some(claim)
        }
        Ok(Progress::Done { devices, job, total }) => {
            wake(state, &devices);
            state.metrics.fanout.done.count();
            tell(state, claim.sender, job, total);
            None
        }
        Ok(Progress::Fenced) => None,
        Err(_) => {
            tokio::time::sleep(PAUSE).await;
            Some(claim)
        }
    }
}

fn wake(state: &State, devices: &[Address]) {
    fault::at(Station::FanoutAfterCommit);
    state.metrics.fanout.rows.add(u64::try_from(devices.len()).unwrap_or(u64::MAX));
    for device in devices {
        state.bus.wake(*device, WakeReason::Messages);
    }
}

/// Tells the sending device, if it is connected.
fn tell(state: &State, sender: Address, job: JobId, devices: u32) {
    let done = FanoutDone { job_id: Bytes::copy_from_slice(&job), devices };
    let frame = Frame { v: FRAME_VERSION, id: 0, body: Some(Body::FanoutDone(done)) };
    let until = state.clock.monotonic().saturating_add(DONE_FOR);
    state.bus.pass(sender, &Passing { frame: frame.encode_to_vec().into(), from: sender.user, until });
}
