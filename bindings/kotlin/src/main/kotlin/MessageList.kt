/*
 * The part of a thread that an app shows, kept up to date by changes alone.
 */
package io.github.sealpost

/**
 * The messages of a thread that an app shows: those of a page and of the pages joined to it, newest first. Changes keep the list
 * equal to what would be read now between the same two positions, without reading anything again. Take the changes from a view that
 * was created before the page was read.
 *
 * @property older where the page of older messages begins, for [Thread.history]; null if there are none.
 * @property newer where the page of newer messages begins, for [Thread.historyAfter]; null if there are none.
 * @property firstWaiting the oldest queued message of the thread, and what it is waiting for; null if none is queued.
 */
public data class MessageList(
    val messages: List<Message> = emptyList(),
    val older: Position? = null,
    val newer: Position? = null,
    val firstWaiting: ThreadWaiting? = null,
) {
    public constructor(page: Page) : this(page.messages, page.older, page.newer, page.firstWaiting)

    /** The list after a change. A change that it already includes has no effect. */
    public fun after(change: Change): MessageList = when (change) {
        is Change.Snapshot -> MessageList(change.page)
        is Change.Added -> with(listOf(change.message))
        is Change.Changed -> with(listOf(change.message))
        is Change.Removed -> copy(messages = messages.filter { it.id != change.id })
        is Change.Waiting -> copy(firstWaiting = change.waiting)
    }

    /** What a queued message is waiting for; null if it is not queued. */
    public fun waiting(message: Message): Waiting? {
        val first = firstWaiting?.takeIf { message.direction == Direction.Outgoing(Delivery.Queued) } ?: return null
        if (message.id == first.message) return first.waiting
        val isOffline = first.waiting.reason == WaitReason.NOT_CONNECTED
        return Waiting(if (isOffline) WaitReason.NOT_CONNECTED else WaitReason.BEHIND, nextMs = first.waiting.nextMs)
    }

    /** The list with the page before [older]. */
    public fun withOlder(page: Page): MessageList = copy(older = page.older).with(page.messages)

    /** The list with the page after [newer]. */
    public fun withNewer(page: Page): MessageList = copy(newer = page.newer).with(page.messages)

    private fun with(more: List<Message>): MessageList {
        val ids = more.mapTo(HashSet()) { it.id }
        val all = messages.filterTo(ArrayList(messages.size + more.size)) { it.id !in ids }
        for (message in more) {
            if (older?.let { message.position < it } == true || newer?.let { message.position > it } == true) continue
            // A negative result means that it is not in the list, and tells where to insert it.
            val at = all.binarySearch { message.position.compareTo(it.position) }
            all.add(if (at < 0) -at - 1 else at, message)
        }
        return copy(messages = all)
    }
}
