extension Thread {
    /// Writes a text. When this returns it is on disk, stands in the thread and will be sent once, whatever happens to this
    /// process.
    ///
    /// Throws `TooLong`, `Storage`.
    @discardableResult
    public func sendText(_ text: String) async throws -> Message {
        try await sendText(text: text)
    }

    /// What changes in this thread, from a snapshot of its newest messages on; it ends when the client is shut down. Who is too
    /// slow gets a fresh snapshot instead of what they missed.
    public var changes: Batches<Change> {
        Batches {
            let subscription = try self.subscribe()
            return { try await subscription.next() }
        }
    }

    /// Every message that comes to be in this thread from the first that is waited for on, ours and theirs, each once. What a
    /// slow reader missed is read from the history.
    public var arrivals: Batches<Message> {
        Batches {
            let subscription = try self.subscribeArrivals()
            return { try await subscription.next() }
        }
    }

    /// The history of this thread, newest first, one page of the database at a time: take as many as you need.
    public func messages(pageSize: UInt32 = 50) -> Batches<Message> {
        Batches {
            var before: Cursor?
            var isLast = false
            return {
                if isLast { return nil }
                let page = try await self.history(before: before, limit: pageSize)
                before = page.next
                isLast = page.next == nil
                return page.messages
            }
        }
    }
}
