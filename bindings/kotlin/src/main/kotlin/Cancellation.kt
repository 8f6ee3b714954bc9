/*
 * Cancellation that reaches the library.
 */
package io.github.sealpost

import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext

/**
 * Runs a call so that cancelling the coroutine cancels its token: the wait ends with a `CancellationException`, and what the call
 * had begun is finished or undone as a whole. An answer that is there already is not thrown away: a message that was fetched can
 * still be shown, and an object still be closed.
 *
 * (A generated call that is cancelled without this is as safe for what is on disk. But an object that was on its way to Kotlin
 * at that moment is never closed.)
 */
public suspend fun <R> cancellable(call: suspend (CancelToken) -> R): R = CancelToken().use { token ->
    val caller = currentCoroutineContext()
    // At once, on whatever thread cancels.
    val watch = CoroutineScope(caller).launch(Dispatchers.Unconfined, CoroutineStart.UNDISPATCHED) {
        try {
            awaitCancellation()
        } finally {
            token.cancel()
        }
    }
    try {
        withContext(NonCancellable) { call(token) }
    } catch (cancelled: SealpostException.Cancelled) {
        // Told as Kotlin tells it, when it was the coroutine that was cancelled.
        caller.ensureActive()
        throw cancelled
    } finally {
        withContext(NonCancellable) { watch.cancelAndJoin() }
    }
}
