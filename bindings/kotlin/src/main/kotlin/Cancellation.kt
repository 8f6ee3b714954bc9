/*
 * Cancellation of calls to the library.
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
 * Runs a call and cancels its token when the coroutine is cancelled. The wait then ends with a `CancellationException`, and work
 * that the call has started is finished or rolled back as a whole. A result that is already available is not discarded: a message
 * that was fetched can still be shown, and an object can still be closed.
 *
 * (A generated call that is cancelled without this function is just as safe for the data on disk, but an object that it is about
 * to return at that moment is never closed.)
 */
public suspend fun <R> cancellable(call: suspend (CancelToken) -> R): R = CancelToken().use { token ->
    val caller = currentCoroutineContext()
    // Runs immediately, on the thread that cancels.
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
        // If the coroutine was cancelled, this throws a CancellationException.
        caller.ensureActive()
        throw cancelled
    } finally {
        withContext(NonCancellable) { watch.cancelAndJoin() }
    }
}
