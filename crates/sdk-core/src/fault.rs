//! Named points of the two message paths at which a crash test can kill the process.
//!
//! Without the cargo feature `faults`, they compile to nothing. With it, the environment variable
//! `SEALPOST_FAULT=<station>[:<n>]` aborts the process the n-th time that station is reached.

/// A point between two steps of the sending or the receiving path, which ARCHITECTURE.md describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Station {
    /// The message row is written; its transaction is not committed.
    QueueBeforeCommit,
    /// The message is queued; no event was emitted.
    QueueAfterCommit,
    /// A bundle was fetched; the session created from it is not stored.
    MeetBeforeCommit,
    /// The new session is stored; nothing was sealed with it.
    MeetAfterCommit,
    /// The message is sealed; its transaction is not committed.
    SealBeforeCommit,
    /// The sealed bytes and the advanced session are stored; nothing was sent.
    SealAfterCommit,
    /// The relay has answered; the answer is not stored.
    SubmitAnswered,
    /// The answer is written; its transaction is not committed.
    SettleBeforeCommit,
    /// The message is settled; no event was emitted.
    SettleAfterCommit,
    /// Mail is sealed; its transaction is not committed.
    MailBeforeCommit,
    /// The sealed mail and the advanced session are stored; nothing was sent.
    MailAfterCommit,
    /// The relay has answered mail; the answer is not stored.
    MailAnswered,
    /// Ephemeral mail is sealed; its transaction is not committed.
    EphemeralBeforeCommit,
    /// The advanced session is stored; the ephemeral mail was not sent, and is lost.
    EphemeralAfterCommit,
    /// Envelopes have arrived; nothing was opened.
    Arrive,
    /// Envelopes are opened and applied; their transaction is not committed.
    ApplyBeforeCommit,
    /// Everything is durable; the relay was not told.
    ApplyAfterCommit,
    /// The envelopes were acknowledged; nothing else has happened.
    Acknowledged,
    /// The identity and the first pre-keys are stored; the relay has not received them.
    RegisterBeforeSubmit,
    /// The relay has created the account; its answer is not stored.
    RegisterAnswered,
    /// Our device list is signed and stored; the relay has not received it.
    ListBeforeUpload,
    /// The relay has our device list; this is not recorded.
    ListUploaded,
    /// New pre-keys are stored and not uploaded.
    PreKeysBeforeUpload,
    /// New pre-keys are uploaded; this is not recorded.
    PreKeysUploaded,
    /// The relay has exchanged the refresh token; the new tokens are not stored.
    RefreshAnswered,
    /// The new tokens are stored and unused.
    RefreshStored,
    /// A thread that somebody else started is stored; the relay has not been asked to accept it.
    AcceptBeforeCall,
    /// The relay has accepted the thread; this is not recorded.
    AcceptAnswered,
    /// The attempt to process a deferred envelope again is counted; it was not opened.
    RetryBeforeOpen,
    /// A deferred envelope is opened and applied; its transaction is not committed.
    RetryBeforeCommit,
    /// A deferred envelope is durable.
    RetryAfterCommit,
    /// The account has been left, and the relay has not been told yet.
    LeaveAfterCommit,
    /// The relay has been told that the account was left, and this has not been recorded yet.
    LeaveAnswered,
    /// Some old messages are deleted; the transaction is not committed.
    CleanUpBeforeCommit,
    /// A step of a clean-up is durable.
    CleanUpAfterCommit,
    /// The primary device has stored its offer to a companion; nothing was sent.
    LinkOfferStored,
    /// The companion has stored its answer; nothing was sent.
    LinkAnswerStored,
    /// The list with the companion is signed and stored; nobody was told.
    LinkConfirmed,
    /// The relay has the list with the companion; the companion was not told.
    LinkListTold,
    /// The companion was told that it is on the list; this is not recorded.
    LinkReleased,
    /// The companion has stored that it is on the list; it is not registered.
    LinkReleaseStored,
    /// The relay has registered the companion; its answer is not stored.
    LinkRegistered,
    /// The list without a device is stored; the relay was not told.
    DeviceRemoved,
    /// The relay has revoked a removed device; this is not recorded.
    DeviceRevoked,
    /// The primary device has made a piece of a bootstrap and queued it; its transaction is not committed.
    BootstrapMakeBeforeCommit,
    /// The piece is queued; nothing was sealed.
    BootstrapMakeAfterCommit,
    /// The companion has applied a piece, and perhaps queued its acknowledgement; the transaction is not committed.
    BootstrapApplyBeforeCommit,
    /// The piece is applied; nothing was sent.
    BootstrapApplyAfterCommit,
    /// A companion is to be asked to become the primary device; nothing was sent.
    MoveAsked,
    /// The companion has stored its proposal; nothing was sent.
    MoveProposed,
    /// The account is moved; nobody was told.
    MoveSigned,
    /// The relay is about to be told of the move.
    MoveBeforeTold,
    /// The relay has the new primary device; this is not recorded.
    MoveTold,
    /// The tables of an earlier version are migrated; the transaction is not committed.
    MigrateBeforeCommit,
}

impl Station {
    /// All stations, in the order of the paths.
    pub const ALL: [Self; 54] = [
        Self::QueueBeforeCommit,
        Self::QueueAfterCommit,
        Self::MeetBeforeCommit,
        Self::MeetAfterCommit,
        Self::SealBeforeCommit,
        Self::SealAfterCommit,
        Self::SubmitAnswered,
        Self::SettleBeforeCommit,
        Self::SettleAfterCommit,
        Self::MailBeforeCommit,
        Self::MailAfterCommit,
        Self::MailAnswered,
        Self::EphemeralBeforeCommit,
        Self::EphemeralAfterCommit,
        Self::Arrive,
        Self::ApplyBeforeCommit,
        Self::ApplyAfterCommit,
        Self::Acknowledged,
        Self::RegisterBeforeSubmit,
        Self::RegisterAnswered,
        Self::ListBeforeUpload,
        Self::ListUploaded,
        Self::PreKeysBeforeUpload,
        Self::PreKeysUploaded,
        Self::RefreshAnswered,
        Self::RefreshStored,
        Self::AcceptBeforeCall,
        Self::AcceptAnswered,
        Self::RetryBeforeOpen,
        Self::RetryBeforeCommit,
        Self::RetryAfterCommit,
        Self::LeaveAfterCommit,
        Self::LeaveAnswered,
        Self::CleanUpBeforeCommit,
        Self::CleanUpAfterCommit,
        Self::LinkOfferStored,
        Self::LinkAnswerStored,
        Self::LinkConfirmed,
        Self::LinkListTold,
        Self::LinkReleased,
        Self::LinkReleaseStored,
        Self::LinkRegistered,
        Self::DeviceRemoved,
        Self::DeviceRevoked,
        Self::BootstrapMakeBeforeCommit,
        Self::BootstrapMakeAfterCommit,
        Self::BootstrapApplyBeforeCommit,
        Self::BootstrapApplyAfterCommit,
        Self::MoveAsked,
        Self::MoveProposed,
        Self::MoveSigned,
        Self::MoveBeforeTold,
        Self::MoveTold,
        Self::MigrateBeforeCommit,
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
            Self::MailBeforeCommit => "mail-before-commit",
            Self::MailAfterCommit => "mail-after-commit",
            Self::MailAnswered => "mail-answered",
            Self::EphemeralBeforeCommit => "ephemeral-before-commit",
            Self::EphemeralAfterCommit => "ephemeral-after-commit",
            Self::Arrive => "arrive",
            Self::ApplyBeforeCommit => "apply-before-commit",
            Self::ApplyAfterCommit => "apply-after-commit",
            Self::Acknowledged => "acknowledged",
            Self::RegisterBeforeSubmit => "register-before-submit",
            Self::RegisterAnswered => "register-answered",
            Self::ListBeforeUpload => "list-before-upload",
            Self::ListUploaded => "list-uploaded",
            Self::PreKeysBeforeUpload => "pre-keys-before-upload",
            Self::PreKeysUploaded => "pre-keys-uploaded",
            Self::RefreshAnswered => "refresh-answered",
            Self::RefreshStored => "refresh-stored",
            Self::AcceptBeforeCall => "accept-before-call",
            Self::AcceptAnswered => "accept-answered",
            Self::RetryBeforeOpen => "retry-before-open",
            Self::RetryBeforeCommit => "retry-before-commit",
            Self::RetryAfterCommit => "retry-after-commit",
            Self::LeaveAfterCommit => "leave-after-commit",
            Self::LeaveAnswered => "leave-answered",
            Self::CleanUpBeforeCommit => "clean-up-before-commit",
            Self::CleanUpAfterCommit => "clean-up-after-commit",
            Self::LinkOfferStored => "link-offer-stored",
            Self::LinkAnswerStored => "link-answer-stored",
            Self::LinkConfirmed => "link-confirmed",
            Self::LinkListTold => "link-list-told",
            Self::LinkReleased => "link-released",
            Self::LinkReleaseStored => "link-release-stored",
            Self::LinkRegistered => "link-registered",
            Self::DeviceRemoved => "device-removed",
            Self::DeviceRevoked => "device-revoked",
            Self::BootstrapMakeBeforeCommit => "bootstrap-make-before-commit",
            Self::BootstrapMakeAfterCommit => "bootstrap-make-after-commit",
            Self::BootstrapApplyBeforeCommit => "bootstrap-apply-before-commit",
            Self::BootstrapApplyAfterCommit => "bootstrap-apply-after-commit",
            Self::MoveAsked => "move-asked",
            Self::MoveProposed => "move-proposed",
            Self::MoveSigned => "move-signed",
            Self::MoveBeforeTold => "move-before-told",
            Self::MoveTold => "move-told",
            Self::MigrateBeforeCommit => "migrate-before-commit",
        }
    }
}

#[cfg(not(feature = "faults"))]
#[inline(always)]
pub(crate) const fn at(_: Station) {}

/// Aborts the process if the environment variable says so.
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
