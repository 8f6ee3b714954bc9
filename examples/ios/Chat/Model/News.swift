import Sealpost

/// Brings in what waits at the relay, for a push notification, also when the app is awake. Nothing when the app was frozen in the
/// middle of a transaction: it goes on when it wakes. Cancelling the task ends it early, with what it has brought by then.
func fetchNews(for account: Account) async throws -> [Message] {
    do {
        return try await fetchForPush(database: account.database, key: account.key(), relay: account.relay).messages
    } catch SealpostError.Storage(reason: .inUse) {
        return []
    }
}
