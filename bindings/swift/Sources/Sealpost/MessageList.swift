/// The messages of a thread that an app shows: those of a page and of the pages joined to it. Changes keep the list
/// equal to what would be read now between the same two positions, without reading anything again. Take the changes
/// from a view that was created before the page was read.
public struct MessageList: Equatable, Sendable {
    /// The messages, newest first.
    public private(set) var messages: [Message] = []
    /// Where the page of older messages begins, for `history`; `nil` if there are none.
    public private(set) var older: Position?
    /// Where the page of newer messages begins, for `historyAfter`; `nil` if there are none.
    public private(set) var newer: Position?
    /// The oldest queued message of the thread, and what it is waiting for; `nil` if none is queued.
    public private(set) var firstWaiting: ThreadWaiting?

    /// An empty list: the first change is a snapshot.
    public init() {}

    /// A list of the messages of this page.
    public init(page: Page) {
        (messages, older, newer, firstWaiting) = (page.messages, page.older, page.newer, page.firstWaiting)
    }

    /// Applies a change. A change that the list already includes has no effect.
    public mutating func apply(_ change: Change) {
        switch change {
        case .snapshot(let page): self = MessageList(page: page)
        case .added(let message): put(message)
        case .changed(let message, was: _): put(message)
        case .removed(let id, position: _): messages.removeAll { $0.id == id }
        case .waiting(let waiting): firstWaiting = waiting
        }
    }

    /// What a queued message is waiting for; `nil` if it is not queued.
    public func waiting(_ message: Message) -> Waiting? {
        guard let first = firstWaiting, message.direction == .outgoing(delivery: .queued) else { return nil }
        if message.id == first.message { return first.waiting }
        let isOffline = first.waiting.reason == .notConnected
        return Waiting(reason: isOffline ? .notConnected : .behind, nextMs: first.waiting.nextMs)
    }

    /// Adds the page before `older`.
    public mutating func addOlder(_ page: Page) {
        older = page.older
        for message in page.messages { put(message) }
    }

    /// Adds the page after `newer`.
    public mutating func addNewer(_ page: Page) {
        newer = page.newer
        for message in page.messages { put(message) }
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
