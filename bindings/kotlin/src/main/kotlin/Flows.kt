/*
 * The views of the library as flows.
 */
package io.github.sealpost

import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.conflate
import kotlinx.coroutines.flow.drop
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.runningFold

/**
 * All updates of the client: a snapshot, followed by events. Each collector has its own view, which is closed when it stops; the flow
 * ends when the client is gone. A collector that is too slow gets a fresh snapshot, which includes what it missed.
 */
public fun Client.updates(): Flow<Update> = elements(this::subscribe, Feed::next)

/**
 * What happens in calls, beginning with the offers of those that ring. Each collector has its own view, which is closed when it stops;
 * the flow ends when the client is gone.
 */
public fun Client.calls(): Flow<CallEvent> = elements(this::subscribeCalls, Calls::next)

/**
 * What the app is to show as notifications, and what it is to take back, each once, also after a restart of the process. A notice is
 * confirmed after it was collected, together with those that were due with it. If the collector stops before, they are due again;
 * so do not buffer the flow.
 */
public fun Client.notices(): Flow<Notice> = flow {
    subscribeNotices().use { view ->
        while (true) {
            val batch = cancellable { token -> view.next(token) } ?: break
            batch.forEach { emit(it) }
            view.confirm()
        }
    }
}

/**
 * What a list of threads shows, beginning with the first [size] of them (at most 500), again after every change. A collector that is
 * too slow misses states, but never a change.
 */
public fun Client.shownThreads(folder: Folder = Folder.CHATS, size: UInt = 50u): Flow<ThreadList> =
    threadsChanges(folder, size).runningFold(ThreadList()) { list, change -> list.after(change) }.drop(1).conflate()

/**
 * The changes of a list of threads, beginning with a snapshot of the first [size] of them (at most 500). Each collector has its own
 * view, which is closed when it stops; the flow ends when the client is gone. A collector that is too slow gets a fresh snapshot.
 */
public fun Client.threadsChanges(folder: Folder = Folder.CHATS, size: UInt = 50u): Flow<ThreadsChange> =
    elements({ followThreads(folder, size) }, Threads::next)

/**
 * What this thread shows, beginning with its newest messages, again after every change. A collector that is too slow misses
 * states, but never a change.
 */
public fun Thread.shown(): Flow<MessageList> = changes().runningFold(MessageList()) { list, change -> list.after(change) }.drop(1).conflate()

/**
 * The changes in this thread, beginning with a snapshot of its newest messages. Each collector has its own view, which is closed
 * when it stops; the flow ends when the client is gone. A collector that is too slow gets a fresh snapshot, which includes what it
 * missed.
 */
public fun Thread.changes(): Flow<Change> = elements(this::subscribe, Timeline::next)

/**
 * Every message, incoming or outgoing, that is added to this thread while the flow is collected, exactly once. If the collector is
 * slow, the messages that it missed are read from the database.
 */
public fun Thread.arrivals(): Flow<Message> = elements(this::subscribeArrivals, Arrivals::next)

/**
 * What a queued message is waiting for, beginning with the present state, again after every change. The flow ends when the message is
 * no longer queued: it was sent, has failed, or was cancelled. For a message that is not queued, it is empty.
 */
public fun Thread.waits(message: MessageId): Flow<Waiting> = elements({ subscribeWaits(message) }, Waits::next)

/** The history of this thread, newest first, each message once. Pages are read only as far as they are collected. */
public fun Thread.messages(pageSize: UInt = 50u): Flow<Message> = flow {
    var before: Position? = null
    // A message moves when it is sent, and can then be in a later page as well.
    val unsent = mutableSetOf<MessageId>()
    do {
        val page = history(before, pageSize)
        val new = page.messages.filter { it.id !in unsent }
        new.filterNot { it.isSent }.mapTo(unsent) { it.id }
        new.forEach { emit(it) }
        before = page.older
    } while (before != null)
}

/** Flattens the batches of a view. Each collector has its own view, which is closed when it stops. */
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
