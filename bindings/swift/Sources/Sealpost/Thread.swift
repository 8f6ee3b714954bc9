extension Thread {
    /// Sends a text, with styles, mentions and the preview of a link. When this returns, the message is on disk and in the thread, and
    /// will be delivered once, even if the process is killed.
    ///
    /// Throws `EmptyText`, `TooLong`, `InvalidContent` if the markup does not fit the text, and `Storage`.
    @discardableResult
    public func sendText(_ text: String, markup: Markup? = nil) async throws -> Message {
        try await sendText(text: text, markup: markup)
    }

    /// Sends a text in reply to a message of this thread. The reply contains the beginning of that message (`Message.quote`), which
    /// recipients see even if they do not have the message itself.
    ///
    /// Throws what `sendText` throws, `NotFound` if there is no such message in this thread, and `WrongState` if it could not be
    /// decrypted.
    @discardableResult
    public func reply(to message: MessageId, _ text: String, markup: Markup? = nil) async throws -> Message {
        try await reply(to: message, text: text, markup: markup)
    }

    /// The changes in this thread, beginning with a snapshot of its newest messages, until the client is shut down. A consumer that is
    /// too slow gets a fresh snapshot, which includes what it missed.
    public var changes: Batches<Change> {
        Batches {
            let view = try self.subscribe()
            return { try await view.next() }
        }
    }

    /// Every message, incoming or outgoing, that is added to this thread after the iteration has started, exactly once. If the
    /// consumer is slow, the messages that it missed are read from the database.
    public var arrivals: Batches<Message> {
        Batches {
            let view = try self.subscribeArrivals()
            return { try await view.next() }
        }
    }

    /// What a queued message is waiting for, beginning with the present state, again after every change. The sequence ends when the
    /// message is no longer queued: it was sent, has failed, or was cancelled. For a message that is not queued, it is empty.
    public func waits(for message: MessageId) -> Batches<Waiting> {
        Batches {
            let view = try self.subscribeWaits(message: message)
            return { try await view.next() }
        }
    }

    /// The history of this thread, newest first, each message once. Pages are read only as far as they are consumed.
    public func messages(pageSize: UInt32 = 50) -> Batches<Message> {
        Batches {
            var before: Position?
            var isLast = false
            // A message moves when it is sent, and can then be in a later page as well.
            var unsent = Set<MessageId>()
            return {
                if isLast { return nil }
                let page = try await self.history(before: before, limit: pageSize)
                before = page.older
                isLast = page.older == nil
                let new = page.messages.filter { !unsent.contains($0.id) }
                unsent.formUnion(new.filter { !$0.isSent }.map(\.id))
                return new
            }
        }
    }
}
