import Foundation

/// Runs a call and cancels its token when the task is cancelled. The wait then ends with a `CancellationError`, and work that the
/// call has started is finished or rolled back as a whole. A result that is already available is not discarded.
public func cancellable<Answer: Sendable>(
    isolation: isolated (any Actor)? = #isolation,
    _ call: (CancelToken) async throws -> Answer
) async throws -> Answer {
    let token = try CancelToken()
    return try await withTaskCancellationHandler {
        do {
            return try await call(token)
        } catch SealpostError.Cancelled {
            // If the task was cancelled, this throws a CancellationError.
            try Task.checkCancellation()
            throw SealpostError.Cancelled
        }
    } onCancel: {
        // Cancelling a token cannot fail.
        try? token.cancel()
    }
}

// The calls that may take long, bound to their task. They are used if no token is passed.

extension Client {
    /// The direct thread with a user, created at the relay if there is none. Cancelling the task ends the wait.
    ///
    /// Throws `NotFound` if there is no such user, `Offline` if the relay is needed and cannot be reached, and `Misuse` for a
    /// thread with oneself.
    public func directThread(user: UserId) async throws -> Thread {
        try await cancellable { try await directThread(user: user, cancel: $0) }
    }
}

extension Registration {
    /// Registers an account at the relay with this device as its first, using the proof that the relay requires (empty in
    /// development). The call can be repeated after a failure or a cancellation. Once it has succeeded, every call returns the
    /// same client, even after it was shut down.
    ///
    /// Throws `Offline`, with `refused` if the proof is not accepted, and `Storage`.
    public func register(proof: Data = Data()) async throws -> Client {
        try await cancellable { try await register(proof: proof, cancel: $0) }
    }
}

extension Registration {
    /// Begins to link this device to an account as a companion, or continues what an earlier process has begun. `name` is suggested to
    /// the person at the primary device. Cancelling the task ends the wait.
    ///
    /// Throws `Offline`, `Link` with `name` if the name is empty or has more than 256 bytes, `Misuse` after `register`, and `Storage`.
    public func link(name: String) async throws -> Linking {
        try await cancellable { try await link(name: name, cancel: $0) }
    }
}

extension Linking {
    /// Waits until the primary device has read the code, and returns the digits that both show: two groups of four. The person compares
    /// them, and confirms at the primary device. Cancelling the task ends the wait without losing anything.
    ///
    /// Throws `Link`: the link has ended, and another one can be begun. Throws `Storage`.
    public func digits() async throws -> String {
        try await cancellable { try await digits(cancel: $0) }
    }

    /// Waits until the person has confirmed, and registers this device at the relay. What it gets from the primary device arrives
    /// afterwards (`Event.linkProgress`). Cancelling the task ends the wait without losing anything. Once the call has succeeded, every
    /// call returns the same client, even after it was shut down.
    ///
    /// Throws what `digits` throws, and `Offline`.
    public func finish() async throws -> Client {
        try await cancellable { try await finish(cancel: $0) }
    }
}

extension Client {
    /// Answers the code that a new device shows (`Linking.code`), and waits for its answer. White space around the code and the case of
    /// its letters do not matter. Nothing is changed before the person confirms (`PendingLink.confirm`). The call can be repeated with
    /// the same code. Cancelling the task ends the wait.
    ///
    /// Throws `InvalidCode` if it is none, `Link`, `Offline`, and `Storage`.
    public func link(code: String) async throws -> PendingLink {
        try await cancellable { try await link(code: code, cancel: $0) }
    }
}

extension Client {
    /// Creates a group, and invites these people. Those who know us become members at once; others are asked. The group is here
    /// (`Event.threadAdded`) once the relay has it. Cancelling the task ends the wait.
    ///
    /// Throws `Misuse` if title or description is too long, or too many people are invited; `NotFound` if somebody has no account;
    /// `Offline` if somebody was never met and there is no connection; and `Storage`.
    public func createGroup(
        details: GroupDetails, invited: [UserId], permissions: GroupPermissions = GroupPermissions()
    ) async throws -> Group {
        try await cancellable {
            try await createGroup(details: details, invited: invited, permissions: permissions, cancel: $0)
        }
    }
}

extension Group {
    /// Invites people. Those who know us become members at once; others are asked. Cancelling the task ends the wait.
    ///
    /// Throws `WrongState` if we may not, or somebody is there; `NotFound` if somebody has no account; `Offline` if somebody was never
    /// met and there is no connection; `Misuse` if the group would have too many people; and `Storage`.
    public func invite(users: [UserId]) async throws {
        try await cancellable { try await invite(users: users, cancel: $0) }
    }
}

extension Timeline {
    /// The next changes: waits for at least one, and returns it with those that are queued behind it. The first call starts with
    /// a snapshot, unless one was taken before. While the client is suspended, the call waits. Returns `nil` when the client was
    /// shut down or is gone. Cancelling the task ends the wait without losing anything.
    ///
    /// Throws `Storage`; the next call then tries again.
    public func next() async throws -> [Change]? {
        try await cancellable { try await next(cancel: $0) }
    }
}

extension Feed {
    /// The next updates: waits for at least one, and returns it with those that are queued behind it. The first call starts with
    /// a snapshot, unless one was taken before. While the client is suspended, the call waits. Returns `nil` when the client was
    /// shut down or is gone. Cancelling the task ends the wait without losing anything.
    ///
    /// Throws `Storage`; the next call then tries again.
    public func next() async throws -> [Update]? {
        try await cancellable { try await next(cancel: $0) }
    }
}

extension Threads {
    /// The next changes: waits for at least one, and returns it with those that are ready behind it. The first is a snapshot. While
    /// the client is suspended, the call waits. Returns `nil` when the client was shut down or is gone. Cancelling the task ends the
    /// wait without losing anything.
    ///
    /// Throws `Storage`; the next call then tries again.
    public func next() async throws -> [ThreadsChange]? {
        try await cancellable { try await next(cancel: $0) }
    }
}

extension Arrivals {
    /// The next messages: waits for at least one, and returns it with those that are queued behind it. While the client is
    /// suspended, the call waits. Returns `nil` when the client was shut down or is gone. Cancelling the task ends the wait
    /// without losing anything.
    ///
    /// Throws `Storage`; the next call then tries again.
    public func next() async throws -> [Message]? {
        try await cancellable { try await next(cancel: $0) }
    }
}

extension Waits {
    /// Waits for the next change, and returns what the message is waiting for now, as an array of one element. While the client is
    /// suspended, the call waits. Returns `nil` when the message is no longer queued, or if the client was shut down or is gone.
    /// Cancelling the task ends the wait without losing anything.
    ///
    /// Throws `Storage`; the next call then tries again.
    public func next() async throws -> [Waiting]? {
        try await cancellable { try await next(cancel: $0) }
    }
}

extension Calls {
    /// The next events: waits for at least one, and returns it with those that are queued behind it. Returns `nil` when the client was
    /// shut down or is gone. Cancelling the task ends the wait without losing anything.
    public func next() async throws -> [CallEvent]? {
        try await cancellable { try await next(cancel: $0) }
    }
}

extension Notices {
    /// Waits until something is to be done, and returns it. What was returned before and not confirmed is returned again. While the
    /// client is suspended, the call waits. Returns `nil` when the client was shut down or is gone. Cancelling the task ends the wait
    /// without losing anything.
    ///
    /// Throws `Storage`; the next call then tries again.
    public func next() async throws -> [Notice]? {
        try await cancellable { try await next(cancel: $0) }
    }
}

/// Opens the database, receives what is waiting at the relay, and closes the database again, within the time and memory that the
/// system grants to a push notification. Returns after at most `atMostMs`, or when the task is cancelled, with the messages that are
/// new by then. They are on disk.
///
/// The app may have the database open in another process and receive at the same time. Each message is stored once, and those that
/// the app has stored are not among the new ones.
///
/// Throws `Storage`: `inUse` means that a client of this process has the database open and receives the messages itself, or that
/// another process has held the lock for several seconds. Throws `Unauthorized` if no account is registered in this database or the
/// relay no longer accepts this device, `Unlinked` if it was unlinked from its account, and `UnknownDevice` if the relay does not know
/// it.
public func fetchForPush(
    database: String, key: Data, relay: String, atMostMs: UInt32 = 20_000, config: Config = Config()
) async throws -> Fetched {
    try await cancellable {
        try await fetchForPush(
            database: database, key: key, relay: relay, atMostMs: atMostMs, config: config, cancel: $0)
    }
}
