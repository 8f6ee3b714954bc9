/*
 * Cancellation that reaches the library.
 */
package io.github.sealpost

import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.isActive
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext

/**
 * Runs a call so that cancelling the coroutine cancels its token: the wait ends, what the call had begun is finished or undone
 * as a whole, and no answer gets lost between the library and Kotlin.
 *
 * (A generated call that is cancelled without this is as safe for what is on disk. But an object that was on its way to Kotlin
 * at that moment is never closed.)
 */
public suspend fun <R> cancellable(call: suspend (CancelToken) -> R): R = coroutineScope {
    val token = CancelToken()
    val watch = launch(start = CoroutineStart.UNDISPATCHED) {
        try {
            awaitCancellation()
        } finally {
            token.cancel()
        }
    }
    try {
        val answer = withContext(NonCancellable) { call(token) }
        // An object that nobody will get is closed here.
        if (!isActive) (answer as? AutoCloseable)?.close()
        answer
    } catch (cancelled: SealpostException.Cancelled) {
        // Told as Kotlin tells it, when it was the coroutine that was cancelled.
        ensureActive()
        throw cancelled
    } finally {
        withContext(NonCancellable) { watch.cancelAndJoin() }
        token.close()
    }
}
