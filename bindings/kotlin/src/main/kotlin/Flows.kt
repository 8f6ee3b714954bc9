/*
 * What the library tells, as flows.
 */
package io.github.sealpost

import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow

/**
 * What happens, from a snapshot of everything on. Each collector has a view of its own, which ends with it; the flow ends when
 * the client is gone. A collector that is too slow gets a fresh snapshot instead of what it missed.
 */
public fun Client.events(): Flow<Event> = elements(this::subscribe, ClientSubscription::next)

/**
 * What changes in this thread, from a snapshot of its newest messages on. Each collector has a view of its own, which ends with
 * it; the flow ends when the client is gone. A collector that is too slow gets a fresh snapshot instead of what it missed.
 */
public fun Thread.changes(): Flow<Change> = elements(this::subscribe, ThreadSubscription::next)

/**
 * Every message that comes to be in this thread while it is collected, ours and theirs, each once. What a slow collector missed
 * is read from the history.
 */
public fun Thread.arrivals(): Flow<Message> = elements(this::subscribeArrivals, ArrivalSubscription::next)

/** The history of this thread, newest first. It is read page by page, as far as it is collected. */
public fun Thread.messages(pageSize: UInt = 50u): Flow<Message> = flow {
    var before: Cursor? = null
    do {
        val page = history(before, pageSize)
        page.messages.forEach { emit(it) }
        before = page.next
    } while (before != null)
}

/** One by one what a view gives in batches. Each collector has a view of its own, which is closed when it stops. */
private fun <View : AutoCloseable, Element> elements(
    subscribe: () -> View,
    next: suspend View.(CancelToken) -> List<Element>?,
): Flow<Element> = flow {
    subscribe().use { view ->
        while (true) {
            val batch = cancellable { token -> view.next(token) } ?: break
            batch.forEach { emit(it) }
        }
    }
}
