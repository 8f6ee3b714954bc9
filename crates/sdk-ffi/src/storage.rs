//! How much is stored, what became of a message, and deleting on this device.

use sealpost_core as core;

use crate::{Client, MessageId, Result, Thread, ThreadId, millis, runtime};

/// When something happened to a message, in server time, in milliseconds since the Unix epoch; none if it has not happened or is not
/// known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct MessageDetails {
    /// When its author wrote it, as the author states it.
    #[uniffi(default = 0)]
    pub sent_ms: i64,
    /// When the relay stored it.
    #[uniffi(default = None)]
    pub stored_ms: Option<i64>,
    /// Of our messages: when the first delivery receipt arrived here.
    #[uniffi(default = None)]
    pub delivered_ms: Option<i64>,
    /// Of our messages: when the first read receipt arrived here.
    #[uniffi(default = None)]
    pub read_ms: Option<i64>,
}

impl From<core::MessageDetails> for MessageDetails {
    fn from(details: core::MessageDetails) -> Self {
        Self {
            sent_ms: millis(details.sent_ms),
            stored_ms: details.stored_ms.map(millis),
            delivered_ms: details.delivered_ms.map(millis),
            read_ms: details.read_ms.map(millis),
        }
    }
}

/// How much the messages of a thread take up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct ThreadStorage {
    /// The thread.
    pub thread: ThreadId,
    /// The number of messages.
    #[uniffi(default = 0)]
    pub messages: u64,
    /// The size of their contents in bytes, with earlier versions. Rows, indexes and the search index come on top.
    #[uniffi(default = 0)]
    pub bytes: u64,
}

impl From<core::ThreadStorage> for ThreadStorage {
    fn from(storage: core::ThreadStorage) -> Self {
        Self { thread: storage.thread, messages: storage.messages, bytes: storage.bytes }
    }
}

/// How much the database takes up.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct StorageReport {
    /// The size of the database in bytes, with the pages that are free.
    #[uniffi(default = 0)]
    pub database_bytes: u64,
    /// The part of it that is free and will be used again.
    #[uniffi(default = 0)]
    pub free_bytes: u64,
    /// The threads with messages, the largest first.
    #[uniffi(default = [])]
    pub threads: Vec<ThreadStorage>,
}

impl From<core::StorageReport> for StorageReport {
    fn from(report: core::StorageReport) -> Self {
        Self {
            database_bytes: report.database_bytes,
            free_bytes: report.free_bytes,
            threads: report.threads.into_iter().map(ThreadStorage::from).collect(),
        }
    }
}

#[uniffi::export]
impl Client {
    /// How much the database takes up, and how much of it each thread. It reads the header of every message, so do not call it for
    /// each frame of a screen.
    ///
    /// Throws `Storage`.
    pub async fn storage_report(&self) -> Result<StorageReport> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.storage_report().await?.into()) }).await
    }

    /// Deletes the messages of all threads on this device that the relay stored before a time, in milliseconds since the Unix epoch,
    /// and returns how many there were. Messages that are still to be sent stay. They cannot be restored, and nobody else is told. It
    /// takes many short transactions, and the event `CleaningUp` says how far it has come. If the process ends before this returns, it is
    /// continued when the client is opened again.
    ///
    /// Throws `Storage`. Some may be deleted by then, and the others are deleted when the client is opened again.
    pub async fn delete_older(&self, before_ms: i64) -> Result<u64> {
        let (core, before_ms) = (self.core.clone(), u64::try_from(before_ms).unwrap_or(0));
        runtime::run(async move { Ok(core.delete_older(before_ms).await?) }).await
    }
}

#[uniffi::export]
impl Thread {
    /// Deletes the thread on this device: it leaves the list, and its whole history, draft and place among the pinned chats are
    /// deleted. Nobody else is told. The next message brings it back; a request that was not accepted is then a request again. If the
    /// process ends before this returns, the deletion is continued when the client is opened again.
    ///
    /// Throws `NotFound`, `Storage`.
    pub async fn delete(&self) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.delete().await?) }).await
    }

    /// Deletes the messages on this device that the relay stored before a time, in milliseconds since the Unix epoch, and returns how
    /// many there were. Messages that are still to be sent stay. They cannot be restored, and nobody else is told.
    ///
    /// Throws `Storage`. Some may be deleted by then.
    pub async fn delete_older(&self, before_ms: i64) -> Result<u64> {
        let (core, before_ms) = (self.core.clone(), u64::try_from(before_ms).unwrap_or(0));
        runtime::run(async move { Ok(core.delete_older(before_ms).await?) }).await
    }

    /// When a message was sent, stored by the relay, delivered and read.
    ///
    /// Throws `NotFound` if it is not in this thread, and `Storage`.
    pub async fn details(&self, message: MessageId) -> Result<MessageDetails> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.details(message).await?.into()) }).await
    }
}
