package io.github.sealpost.example

import io.github.sealpost.Fetched
import io.github.sealpost.SealpostException
import io.github.sealpost.StorageReason
import io.github.sealpost.fetchForPush

/**
 * Brings in what waits at the relay, for a push notification. Nothing when the app is awake in this very process, as it receives
 * by itself then.
 */
suspend fun fetchNews(account: Account): Fetched =
    try {
        fetchForPush(account.database, account.key(), account.relay)
    } catch (problem: SealpostException.Storage) {
        if (problem.reason != StorageReason.IN_USE) throw problem
        Fetched(emptyList(), complete = true)
    }
