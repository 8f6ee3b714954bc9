//! How a store answers, and how it is.

use futures_util::future::BoxFuture;

/// Why the store did not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The engine failed or is gone. Whether the operation took effect is unknown.
    #[error("the store does not answer")]
    Unavailable,
    /// There is no room. The operation did not take effect.
    #[error("the store is full")]
    Full,
}

/// What a method of [`Store`] gives back.
pub type Answer<T> = BoxFuture<'static, Result<T, StoreError>>;

/// How the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// The last write was made durable.
    Good,
    /// The last write found no room.
    Full,
    /// The last write failed.
    Failing,
}
