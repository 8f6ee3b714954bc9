/// The threads that an app shows of a list: those of a page and of the pages joined to it; the first is shown at the top. Changes
/// keep the list equal to what would be read now, without reading anything again. Take the changes from a view that was created
/// before the page was read.
public struct ThreadList: Equatable, Sendable {
    /// The threads; the first is shown at the top.
    public private(set) var threads: [ThreadSummary] = []
    /// Where the next page begins, for `folderPage`; `nil` if there is none.
    public private(set) var next: ThreadCursor?

    /// An empty list: the first change is a snapshot.
    public init() {}

    /// A list of the threads of this page.
    public init(page: ThreadPage) {
        (threads, next) = (page.threads, page.next)
    }

    /// Applies a change. A change that the list already includes has no effect.
    public mutating func apply(_ change: ThreadsChange) {
        switch change {
        case .snapshot(let page): self = ThreadList(page: page)
        case .put(let thread): put(thread)
        case .removed(let id): threads.removeAll { $0.id == id }
        }
    }

    /// Adds the page after `next`.
    public mutating func add(_ page: ThreadPage) {
        next = page.next
        for thread in page.threads { put(thread) }
    }

    private mutating func put(_ thread: ThreadSummary) {
        threads.removeAll { $0.id == thread.id }
        // Further down, it is in a page that was not read yet.
        if let next, thread.place < next { return }
        let above = threads.firstIndex { $0.place < thread.place } ?? threads.count
        threads.insert(thread, at: above)
    }
}
