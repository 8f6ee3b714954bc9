import Foundation

/// The client of an account, which is registered first when the database holds none. Cancelling the task ends a registration
/// that waits for the relay.
///
/// - Parameters:
///   - database: one file for each account, in a folder that exists.
///   - key: 32 random bytes that the app keeps in the Keychain.
///   - relay: `https://host[:port]`, or `http://` on loopback.
///   - proof: what the relay asks for to register; nothing, in development.
/// - Throws: `SealpostError`, with a case for each thing that can be done about it.
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
    /// Runs `body` with this client, then shuts it down, however the body ends: the database may be opened again or deleted
    /// after this.
    public func useAndShutDown<Answer: Sendable>(
        isolation: isolated (any Actor)? = #isolation,
        _ body: (Client) async throws -> Answer
    ) async throws -> Answer {
        let answer: Answer
        do {
            answer = try await body(self)
        } catch {
            // The first failure is the one to tell of.
            try? await shutdown()
            throw error
        }
        try await shutdown()
        return answer
    }

    /// What happens, from a snapshot of everything on; it ends when the client is shut down. Who is too slow gets a fresh snapshot
    /// instead of what they missed.
    public var events: Batches<Event> {
        Batches {
            let subscription = try self.subscribe()
            return { try await subscription.next() }
        }
    }
}
