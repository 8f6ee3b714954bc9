import Foundation

/// Opens the client of an account, and registers the account first if the database is new. Cancelling the task ends a registration
/// that is waiting for the relay.
///
/// - Parameters:
///   - database: the path of the account's database, in an existing folder. Each account has its own file.
///   - key: 32 random bytes that the app keeps in the Keychain.
///   - relay: `https://host[:port]`, or `http://` on loopback.
///   - proof: the proof that the relay requires for a registration; empty in development.
/// - Throws: `SealpostError`, with a case for each way in which the app can react.
public func openClient(
    database: String,
    key: Data,
    relay: String,
    proof: Data = Data(),
    config: Config = Config()
) async throws -> Client {
    switch try await openAccount(database: database, key: key, relay: relay, config: config) {
    case .ready(let client): client
    case .unregistered(let registration): try await registration.register(proof: proof)
    }
}

extension Client {
    /// Runs `body` with this client, and then shuts it down, however the body ends. Afterwards, the database can be opened again or
    /// deleted.
    public func useAndShutDown<Answer: Sendable>(
        isolation: isolated (any Actor)? = #isolation,
        _ body: (Client) async throws -> Answer
    ) async throws -> Answer {
        let answer: Answer
        do {
            answer = try await body(self)
        } catch {
            // The first failure is the one that is thrown.
            try? await shutdown()
            throw error
        }
        try await shutdown()
        return answer
    }

    /// All updates of the client, a snapshot followed by events, until the client is shut down. A consumer that is too slow gets a fresh
    /// snapshot, which includes what it missed.
    public var updates: Batches<Update> {
        Batches {
            let view = try self.subscribe()
            return { try await view.next() }
        }
    }

    /// What happens in calls, beginning with the offers of those that ring, until the client is shut down.
    public var calls: Batches<CallEvent> {
        Batches {
            let view = try self.subscribeCalls()
            return { try await view.next() }
        }
    }

    /// What the app is to show as notifications, and what it is to take back, each once, also after a restart of the process. A notice is
    /// confirmed when the next one is requested, together with those that were due with it. If the iteration ends before, they are
    /// due again.
    public var notices: Batches<Notice> {
        Batches {
            let view = try self.subscribeNotices()
            var isDue = false
            return {
                if isDue { try await view.confirm() }
                isDue = false
                let batch = try await view.next()
                isDue = batch != nil
                return batch
            }
        }
    }

    /// The changes of a list of threads, beginning with a snapshot of the first `size` of them (at most 500), until the client is shut
    /// down. A consumer that is too slow gets a fresh snapshot.
    public func threadsChanges(in folder: Folder = .chats, size: UInt32 = 50) -> Batches<ThreadsChange> {
        Batches {
            let threads = try self.followThreads(folder: folder, size: size)
            return { try await threads.next() }
        }
    }
}
