import Sealpost

/// Brings in what waits at the relay, for a push notification. Nothing when the app has the database open, as it receives by
/// itself then. Cancelling ends it early; what it has brought by then is on disk.
func fetchNews(for account: Account, cancel: CancelToken) async throws -> [Message] {
    do {
        let fetched = try await fetchForPush(
            database: account.database, key: account.key(), relay: account.relay, cancel: cancel)
        return fetched.messages
    } catch SealpostError.Storage(reason: .inUse) {
        return []
    }
}
