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
public fun Client.events(): Flow<Event> = flow {
    subscribe().use { subscription ->
        while (true) {
            val events = cancellable { token -> subscription.next(token) } ?: break
            events.forEach { emit(it) }
        }
    }
}

/**
 * What changes in this thread, from a snapshot of its newest messages on. Each collector has a view of its own, which ends with
 * it; the flow ends when the client is gone. A collector that is too slow gets a fresh snapshot instead of what it missed.
 */
public fun Thread.changes(): Flow<Change> = flow {
    subscribe().use { subscription ->
        while (true) {
            val changes = cancellable { token -> subscription.next(token) } ?: break
            changes.forEach { emit(it) }
        }
    }
}

/**
 * Every message that is new in this thread from now on, ours and theirs, each once. What a slow collector missed is read from
 * the history.
 */
public fun Thread.arrivals(): Flow<Message> = flow {
    subscribeArrivals().use { subscription ->
        while (true) {
            val messages = cancellable { token -> subscription.next(token) } ?: break
            messages.forEach { emit(it) }
        }
    }
}

/** The history of this thread, newest first. It is read page by page, as far as it is collected. */
public fun Thread.messages(pageSize: UInt = 50u): Flow<Message> = flow {
    var before: Cursor? = null
    do {
        val page = history(before, pageSize)
        page.messages.forEach { emit(it) }
        before = page.next
    } while (before != null)
}

/** What the message says, when it is a text. */
public val Message.text: String?
    get() = (body as? MessageBody.Text)?.text

/** Whether it is one of ours, and has come at least as far as the relay. */
public val Message.isSent: Boolean
    get() = when (val direction = direction) {
        is Direction.Incoming -> false
        is Direction.Outgoing -> when (direction.delivery) {
            Delivery.Queued, is Delivery.Failed -> false
            Delivery.Sent, Delivery.Delivered, Delivery.Read -> true
        }
    }
