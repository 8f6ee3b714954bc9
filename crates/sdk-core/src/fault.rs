//! Named stations of the two paths at which a crash test can kill the process.
//!
//! Without the cargo feature `faults` they are nothing at all. With it, the environment variable
//! `SEALPOST_FAULT=<station>[:<n>]` aborts the process at the n-th pass of that station.

/// A place between two steps of the sending or the receiving path (ARCHITECTURE.md has both drawn).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Station {
    /// The message row is written, its transaction not committed.
    QueueBeforeCommit,
    /// The message is queued, nobody was told.
    QueueAfterCommit,
    /// A bundle was fetched, the session it leads to not stored.
    MeetBeforeCommit,
    /// The new session is stored, nothing sealed with it.
    MeetAfterCommit,
    /// The message is sealed, its transaction not committed.
    SealBeforeCommit,
    /// The sealed bytes and the advanced session are stored, nothing has left.
    SealAfterCommit,
    /// The relay has answered, the answer is not written down.
    SubmitAnswered,
    /// The answer is written, its transaction not committed.
    SettleBeforeCommit,
    /// The message is settled, nobody was told.
    SettleAfterCommit,
    /// Envelopes have arrived, nothing was opened.
    Arrive,
    /// Envelopes are opened and applied, their transaction not committed.
    ApplyBeforeCommit,
    /// Everything is durable, the relay does not know it.
    ApplyAfterCommit,
    /// The relay has been told, nothing else has happened.
    Acknowledged,
    /// The identity and the first pre-keys are stored, the relay has not seen them.
    RegisterBeforeSubmit,
    /// The relay has made the account, its answer is not stored.
    RegisterAnswered,
    /// New pre-keys are stored, not uploaded.
    PreKeysBeforeUpload,
    /// New pre-keys are uploaded, which is not written down.
    PreKeysUploaded,
    /// The relay has exchanged the refresh token, the new tokens are not stored.
    RefreshAnswered,
    /// The new tokens are stored, nobody has used them.
    RefreshStored,
    /// A thread that somebody else began is stored, the relay has not been asked to accept it.
    AcceptBeforeCall,
    /// The relay has accepted the thread, which is not written down.
    AcceptAnswered,
}

impl Station {
    /// Every station, in the order of the paths.
    pub const ALL: [Self; 21] = [
        Self::QueueBeforeCommit,
        Self::QueueAfterCommit,
        Self::MeetBeforeCommit,
        Self::MeetAfterCommit,
        Self::SealBeforeCommit,
        Self::SealAfterCommit,
        Self::SubmitAnswered,
        Self::SettleBeforeCommit,
        Self::SettleAfterCommit,
        Self::Arrive,
        Self::ApplyBeforeCommit,
        Self::ApplyAfterCommit,
        Self::Acknowledged,
        Self::RegisterBeforeSubmit,
        Self::RegisterAnswered,
        Self::PreKeysBeforeUpload,
        Self::PreKeysUploaded,
        Self::RefreshAnswered,
        Self::RefreshStored,
        Self::AcceptBeforeCall,
        Self::AcceptAnswered,
    ];

    /// The name in the environment variable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueueBeforeCommit => "queue-before-commit",
            Self::QueueAfterCommit => "queue-after-commit",
            Self::MeetBeforeCommit => "meet-before-commit",
            Self::MeetAfterCommit => "meet-after-commit",
            Self::SealBeforeCommit => "seal-before-commit",
            Self::SealAfterCommit => "seal-after-commit",
            Self::SubmitAnswered => "submit-answered",
            Self::SettleBeforeCommit => "settle-before-commit",
            Self::SettleAfterCommit => "settle-after-commit",
            Self::Arrive => "arrive",
            Self::ApplyBeforeCommit => "apply-before-commit",
            Self::ApplyAfterCommit => "apply-after-commit",
            Self::Acknowledged => "acknowledged",
            Self::RegisterBeforeSubmit => "register-before-submit",
            Self::RegisterAnswered => "register-answered",
            Self::PreKeysBeforeUpload => "pre-keys-before-upload",
            Self::PreKeysUploaded => "pre-keys-uploaded",
            Self::RefreshAnswered => "refresh-answered",
            Self::RefreshStored => "refresh-stored",
            Self::AcceptBeforeCall => "accept-before-call",
            Self::AcceptAnswered => "accept-answered",
        }
    }
}

#[cfg(not(feature = "faults"))]
#[inline(always)]
pub(crate) const fn at(_: Station) {}

/// Aborts the process when the environment says so.
#[cfg(feature = "faults")]
pub(crate) fn at(station: Station) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ARMED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSES: AtomicU64 = AtomicU64::new(0);

    let armed = ARMED.get_or_init(|| {
        let wanted = std::env::var("SEALPOST_FAULT").ok()?;
        match wanted.split_once(':') {
            Some((name, n)) => Some((name.to_owned(), n.parse().ok()?)),
            None => Some((wanted, 1)),
        }
    });
    if let Some((name, n)) = armed
        && name == station.name()
        && PASSES.fetch_add(1, Ordering::SeqCst).checked_add(1) == Some(*n)
    {
        std::process::abort();
    }
}
