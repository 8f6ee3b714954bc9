import Sealpost

/// Brings in what waits at the relay, for a push notification, also when the app is awake. Nothing when the app was frozen in the
/// middle of a transaction: it goes on when it wakes. Cancelling ends it early; what it has brought by then is on disk.
func fetchNews(for account: Account, cancel: CancelToken) async throws -> [Message] {
    do {
        let fetched = try await fetchForPush(
            database: account.database, key: account.key(), relay: account.relay, cancel: cancel)
        return fetched.messages
    } catch SealpostError.Storage(reason: .inUse) {
        return []
    }
}
