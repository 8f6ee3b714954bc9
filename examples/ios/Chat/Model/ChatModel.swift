import Foundation
import Observation
import Sealpost

/// A conversation without its user interface: the most recent one, or the first one that somebody starts.
@MainActor @Observable
final class ChatModel {
    /// Our user id, with which others can write to us. `nil` until the account is open.
    private(set) var me: UserId?
    /// The other person. `nil` until somebody has started a conversation.
    private(set) var peer: UserId?
    /// The newest messages, oldest first.
    private(set) var messages: [Message] = []
    /// The last error. docs/mobile.md says what to do about each error of the library.
    private(set) var problem: (any Error)?

    private let account: Account
    private var client: Client?
    private var thread: Sealpost.Thread?
    private var running: Task<Void, Never>?

    init(account: Account) {
        self.account = account
    }

    /// Call this when the app comes to the foreground. Opens the account, registering it first if it is new, and follows the
    /// conversation.
    func start() {
        guard running?.isCancelled != false else { return }
        let last = running
        running = Task {
            await last?.value
            await run()
        }
    }

    /// Call this when the app goes to the background. When it returns, the database is closed, so the system may freeze or terminate
    /// the app.
    func stop() async {
        running?.cancel()
        await running?.value
    }

    /// Starts a conversation with somebody. Returns false if that failed.
    func meet(_ user: UserId) async -> Bool {
        guard let client else { return false }
        return await attempt { _ = try await client.directThread(user: user) }
    }

    /// Sends a text. Returns false if it could not be saved; the text field then keeps it.
    func send(_ text: String) async -> Bool {
        guard let client, let thread else { return false }
        return await attempt {
            try await thread.sendText(text)
            // A person is waiting, so connecting is worthwhile.
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
        // `suspend` does not end early, although the task is cancelled by now.
        try? await client?.suspend()
    }

    private func open() async throws -> Client {
        if let client {
            try await client.resume()
            return client
        }
        // There is only one conversation, so whoever begins it is answered; other apps have a list of requests.
        let config = Config(acceptAllRequests: true)
        let client = try await openClient(
            database: account.database, key: account.key(), relay: account.relay, config: config)
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

    /// The first thread. Waits for one if there is none.
    private func firstThread(of client: Client) async throws -> ThreadId? {
        for try await update in client.updates {
            switch update {
            case .snapshot(let overview): if let thread = overview.threads.first { return thread.id }
            case .event(.threadAdded(let thread)): return thread
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
