//! Jobs: posts whose rows are still to be written, because they go to many devices.

use sealpost_wire::id::ThreadId;

use super::answer::Answer;
use crate::address::Address;

/// The jobs of all groups. The posts of a group are written to the mailboxes in their order.
pub trait Jobs {
    /// Claims the oldest job of each group that nobody has claimed, of at most this many. A claim ends at a time, and then somebody else may have it.
    fn claim_jobs(&self, most: u32, now_ms: u64, until_ms: u64) -> Answer<Vec<Claim>>;
    /// Writes at most this many rows of a job, and extends the claim.
    fn run_job(&self, claim: Claim, rows: u32, until_ms: u64) -> Answer<Progress>;
}

/// Identifies a job: 16 random bytes.
pub type JobId = [u8; 16];

/// The right to go on with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The group.
    pub thread: ThreadId,
    /// The post.
    pub server_seq: u64,
    /// Who has posted it.
    pub sender: Address,
    /// How often the job was claimed. An earlier claim has no effect any more.
    pub fence: u64,
}

/// What a step of a job has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// These devices have the post now, and there are more.
    More(Vec<Address>),
    /// These devices have the post now, and with them all.
    Done {
        /// The last ones.
        devices: Vec<Address>,
        /// The number of the job.
        job: JobId,
        /// How many devices have it.
        total: u32,
    },
    /// Somebody else has claimed the job, or it is done.
    Fenced,
}

/// How a post gets into the mailboxes of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fanout {
    /// It is in the mailboxes of these devices.
    Inline(Vec<Address>),
    /// This job will write it to the mailboxes.
    Background(JobId),
}
