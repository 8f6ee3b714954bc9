/*
 * The part of a list of threads that an app shows, kept up to date by changes alone.
 */
package io.github.sealpost

/**
 * The threads that an app shows of a list: those of a page and of the pages joined to it; the first is shown at the top. Changes keep
 * the list equal to what would be read now, without reading anything again. Take the changes from a view that was created before the
 * page was read.
 *
 * @property next where the next page begins, for [Client.folderPage]; null if there is none.
 */
public data class ThreadList(
    val threads: List<ThreadSummary> = emptyList(),
    val next: ThreadCursor? = null,
) {
    public constructor(page: ThreadPage) : this(page.threads, page.next)

    /** The list after a change. A change that it already includes has no effect. */
    public fun after(change: ThreadsChange): ThreadList = when (change) {
        is ThreadsChange.Snapshot -> ThreadList(change.page)
        is ThreadsChange.Put -> with(listOf(change.thread))
        is ThreadsChange.Removed -> copy(threads = threads.filter { it.id != change.thread })
    }

    /** The list with the page after [next]. */
    public fun withNext(page: ThreadPage): ThreadList = copy(next = page.next).with(page.threads)

    private fun with(more: List<ThreadSummary>): ThreadList {
        val ids = more.mapTo(HashSet()) { it.id }
        val all = threads.filterTo(ArrayList(threads.size + more.size)) { it.id !in ids }
        for (thread in more) {
            // Further down, it is in a page that was not read yet.
            if (next?.let { thread.place < it } == true) continue
            // A negative result means that it is not in the list, and tells where to insert it.
            val at = all.binarySearch { thread.place.compareTo(it.place) }
            all.add(if (at < 0) -at - 1 else at, thread)
        }
        return copy(threads = all)
    }
}
