//! The results of store operations, and the health of a store.

use futures_util::future::BoxFuture;

/// Why the store did not carry out an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database failed or is closed. It is unknown whether the operation took effect.
    #[error("the store is unavailable")]
    Unavailable,
    /// The disk is full. The operation did not take effect.
    #[error("the store is full")]
    Full,
}

/// The return type of the methods of [`Store`](super::Store).
pub type Answer<T> = BoxFuture<'static, Result<T, StoreError>>;

/// The health of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// The last write was made durable.
    Good,
    /// The last write found no disk space.
    Full,
    /// The last write failed.
    Failing,
}
