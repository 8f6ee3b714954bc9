/*
 * Handling push notifications.
 */
package io.github.sealpost

/**
 * Opens the database, receives what is waiting at the relay, and closes the database again, within the time and memory that the
 * system grants to a push notification. Returns after at most [atMostMs], or when it is cancelled (by [cancel], or else with the
 * coroutine), with the messages that are new by then. They are on disk.
 *
 * @throws SealpostException.Storage with `IN_USE` if a client of this process has the database open and receives the messages
 * itself, or if another process has held the lock for several seconds.
 * @throws SealpostException.Unauthorized if no account is registered in this database, or the relay no longer accepts this device.
 * @throws SealpostException.Unlinked if this device was unlinked from its account.
 * @throws SealpostException.UnknownDevice if the relay does not know this device.
 */
public suspend fun fetchForPush(
    database: String,
    key: ByteArray,
    relay: String,
    atMostMs: UInt = 20_000u,
    config: Config = Config(),
    cancel: CancelToken? = null,
): Fetched {
    if (cancel == null) return cancellable { token -> fetchForPush(database, key, relay, atMostMs, config, token) }
    return fetchWaiting(database, key, relay, atMostMs, config.withRoots(), cancel)
}
