import Foundation
import Observation
import Sealpost

/// A conversation, without its screen: the one that was written in last, or the first that anybody begins.
@MainActor @Observable
final class ChatModel {
    /// Who we are, for others to write to. `nil` before the account was opened.
    private(set) var me: UserId?
    /// Whom we talk to. `nil` before somebody has begun.
    private(set) var peer: UserId?
    /// The newest of them, oldest first.
    private(set) var messages: [Message] = []
    /// What went wrong last. docs/mobile.md says what to do about each.
    private(set) var problem: (any Error)?

    private let account: Account
    private var client: Client?
    private var thread: Sealpost.Thread?
    private var running: Task<Void, Never>?

    init(account: Account) {
        self.account = account
    }

    /// The app comes to the foreground: opens the account, which is registered first when it is new, and follows the conversation.
    func start() {
        guard running?.isCancelled != false else { return }
        let last = running
        running = Task {
            await last?.value
            await run()
        }
    }

    /// The app goes to the background. When this returns, the database is closed: the system may freeze or end the app.
    func stop() async {
        running?.cancel()
        await running?.value
    }

    /// Begins a conversation with somebody. False when that did not work.
    func meet(_ user: UserId) async -> Bool {
        guard let client else { return false }
        return await attempt { _ = try await client.directThread(user: user) }
    }

    /// Writes a text. False when it is not on disk: then it is still the person's.
    func send(_ text: String) async -> Bool {
        guard let client, let thread else { return false }
        return await attempt {
            try await thread.sendText(text)
            // A person waits.
            try client.reconnect()
        }
    }

    private func run() async {
        while !Task.isCancelled {
            do {
                try await follow(open())
            } catch is CancellationError {
                break
            } catch {
                problem = error
                guard (error as? SealpostError)?.retryable() == true else { break }
                try? await Task.sleep(for: .seconds(2))
            }
        }
        // Not bound to the task, which is cancelled by now.
        try? await client?.suspend()
    }

    private func open() async throws -> Client {
        if let client {
            try await client.resume()
            return client
        }
        let client = try await openClient(database: account.database, key: account.key(), relay: account.relay)
        self.client = client
        me = try client.userId()
        return client
    }

    private func follow(_ client: Client) async throws {
        guard let id = try await firstThread(of: client) else { return }
        let thread = try await client.thread(id: id)
        self.thread = thread
        peer = try await thread.others().first
        var list = MessageList()
        for try await change in thread.changes {
            list.apply(change)
            messages = list.messages.reversed()
            problem = nil
            if let unread = list.messages.first(where: { $0.direction == .incoming(read: false) }) {
                try await thread.markRead(upTo: unread.id)
            }
        }
    }

    /// Waits for one when there is none.
    private func firstThread(of client: Client) async throws -> ThreadId? {
        for try await event in client.events {
            switch event {
            case .snapshot(let overview): if let thread = overview.threads.first { return thread.id }
            case .threadAdded(let thread): return thread
            default: break
            }
        }
        return nil
    }

    private func attempt(_ call: () async throws -> Void) async -> Bool {
        do {
            try await call()
            return true
        } catch {
            problem = error
            return false
        }
    }
}
