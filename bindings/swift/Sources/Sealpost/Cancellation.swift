import Foundation

/// Runs a call so that cancelling the task cancels its token: the wait ends with a `CancellationError`, and what the call had
/// begun is finished or undone as a whole. An answer that is there already is not thrown away.
public func cancellable<Answer: Sendable>(
    isolation: isolated (any Actor)? = #isolation,
    _ call: (CancelToken) async throws -> Answer
) async throws -> Answer {
    let token = try CancelToken()
    return try await withTaskCancellationHandler {
        do {
            return try await call(token)
        } catch SealpostError.Cancelled {
            // Told as Swift tells it, when it was the task that was cancelled.
            try Task.checkCancellation()
            throw SealpostError.Cancelled
        }
    } onCancel: {
        // Cancelling a token cannot fail.
        try? token.cancel()
    }
}

// The calls that may take long, bound to their task: without a token of one's own, these are called.

extension Client {
    /// The direct thread with a user, made at the relay when there is none. Cancelling the task ends the wait.
    ///
    /// Throws `NotFound` when there is no such user, `Offline` when the relay is needed and cannot be used, `Misuse` for a
    /// thread with oneself.
    public func directThread(user: UserId) async throws -> Thread {
        try await cancellable { try await directThread(user: user, cancel: $0) }
    }
}

extension Registration {
    /// Makes an account at the relay, with what it asks for as proof (nothing, in development), and this device its first.
    /// May be tried again after a failure or a cancellation. Once it has worked, every call gives the same client, also after
    /// it was shut down.
    ///
    /// Throws `Offline`, with `refused` when the proof is not accepted, and `Storage`.
    public func register(proof: Data = Data()) async throws -> Client {
        try await cancellable { try await register(proof: proof, cancel: $0) }
    }
}

extension ThreadSubscription {
    /// The next changes: waits for one, and takes those that wait behind it. Without a snapshot before it, it begins with
    /// one. While the client is suspended it waits. `nil` when the client was shut down or is gone. Cancelling the task ends
    /// the wait, which loses nothing.
    ///
    /// Throws `Storage`, after which the next call tries again.
    public func next() async throws -> [Change]? {
        try await cancellable { try await next(cancel: $0) }
    }
}

extension ClientSubscription {
    /// The next events: waits for one, and takes those that wait behind it. Without a snapshot before it, it begins with
    /// one. While the client is suspended it waits. `nil` when the client was shut down or is gone. Cancelling the task ends
    /// the wait, which loses nothing.
    ///
    /// Throws `Storage`, after which the next call tries again.
    public func next() async throws -> [Event]? {
        try await cancellable { try await next(cancel: $0) }
    }
}

extension ArrivalSubscription {
    /// The next messages: waits for one, and takes those that wait behind it. While the client is suspended it
    /// waits. `nil` when the client was shut down or is gone. Cancelling the task ends the wait, which loses
    /// nothing.
    ///
    /// Throws `Storage`, after which the next call tries again.
    public func next() async throws -> [Message]? {
        try await cancellable { try await next(cancel: $0) }
    }
}

/// Opens the database, brings in what waits at the relay, and closes it again: for the few seconds and the little memory that
/// the system gives to a push notification. Ends at the latest after `atMostMs`, or when the task is cancelled, and gives what
/// is new by then: it is on disk.
///
/// The app may have the database open in another process, and receive at the same time: each message is stored once, and what the
/// app has stored is not among the new ones.
///
/// Throws `Storage`: with `inUse` a client of this process has the database open, and receives by itself, or another process was
/// at work on it for seconds. `Unauthorized` when nobody is registered here.
public func fetchForPush(
    database: String, key: Data, relay: String, atMostMs: UInt32 = 20_000, config: Config = Config()
) async throws -> Fetched {
    try await cancellable {
        try await fetchForPush(
            database: database, key: key, relay: relay, atMostMs: atMostMs, config: config, cancel: $0)
    }
}
