/// The messages that an app shows of a thread: those of a page and of the pages that were joined to it. Changes keep it equal to what
/// would be read now between the same two places; nothing is read again. Take the changes from a view that was made before the
/// page was read.
public struct MessageList: Equatable, Sendable {
    /// Newest first.
    public private(set) var messages: [Message] = []
    /// Where the page of older messages begins, for `history`; `nil` when there are none.
    public private(set) var older: Position?
    /// Where the page of newer messages begins, for `historyAfter`; `nil` when there are none.
    public private(set) var newer: Position?

    /// Nothing yet: the first change is a snapshot.
    public init() {}

    /// A list of this page.
    public init(page: Page) {
        (messages, older, newer) = (page.messages, page.older, page.newer)
    }

    /// Applies a change, also one that the page includes already.
    public mutating func apply(_ change: Change) {
        switch change {
        case .snapshot(let page): self = MessageList(page: page)
        case .added(let message): put(message)
        case .changed(let message, was: _): put(message)
        case .removed(let id, position: _): messages.removeAll { $0.id == id }
        }
    }

    /// Joins the page before `older`.
    public mutating func addOlder(_ page: Page) {
        older = page.older
        page.messages.forEach { put($0) }
    }

    /// Joins the page after `newer`.
    public mutating func addNewer(_ page: Page) {
        newer = page.newer
        page.messages.forEach { put($0) }
    }

    private mutating func put(_ message: Message) {
        messages.removeAll { $0.id == message.id }
        if let older, message.position < older { return }
        if let newer, message.position > newer { return }
        var (low, high) = (0, messages.count)
        while low < high {
            let middle = (low + high) / 2
            if messages[middle].position > message.position { low = middle + 1 } else { high = middle }
        }
        messages.insert(message, at: low)
    }
}
