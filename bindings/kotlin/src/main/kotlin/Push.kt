/*
 * For a push notification.
 */
package io.github.sealpost

/**
 * Opens the database, brings in what waits at the relay, and closes it again: for the few seconds and the little memory that
 * the system gives to a push notification. Ends at the latest after [atMostMs], or when it is cancelled (by [cancel], else with the
 * coroutine), and gives what is new by then: it is on disk.
 *
 * @throws SealpostException.Storage with `IN_USE` when a client of this process has the database open, and receives by itself, or
 * another process was at work on it for seconds.
 * @throws SealpostException.Unauthorized when nobody is registered here.
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
