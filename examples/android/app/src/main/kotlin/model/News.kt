package io.github.sealpost.example

import io.github.sealpost.Fetched
import io.github.sealpost.SealpostException
import io.github.sealpost.StorageReason
import io.github.sealpost.fetchForPush

/**
 * Fetches the messages that wait at the relay, for a push notification. Does nothing if the app is running in this process, because
 * it then receives them itself.
 */
suspend fun fetchNews(account: Account): Fetched =
    try {
        fetchForPush(account.database, account.key(), account.relay)
    } catch (problem: SealpostException.Storage) {
        if (problem.reason != StorageReason.IN_USE) throw problem
        Fetched(emptyList(), complete = true)
    }
