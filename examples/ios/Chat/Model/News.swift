import Sealpost

/// Fetches the messages that wait at the relay, for a push notification. It also works while the app is running. It
/// returns nothing if the app was suspended in the middle of a transaction, which continues when the app resumes.
/// Cancelling the task ends it early, with the messages that it has fetched so far.
func fetchNews(for account: Account) async throws -> [Message] {
    do {
        return try await fetchForPush(database: account.database, key: account.key(), relay: account.relay).messages
    } catch SealpostError.Storage(reason: .inUse) {
        return []
    }
}
