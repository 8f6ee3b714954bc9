import Sealpost
import UserNotifications

/// Runs for each push notification, in a separate process with little memory. The relay's push only says that
/// something is waiting.
final class NotificationService: UNNotificationServiceExtension {
    private var fetching: Task<Void, Never>?

    override func didReceive(
        _ request: UNNotificationRequest,
        withContentHandler handler: @escaping (UNNotificationContent) -> Void
    ) {
        let shown = Shown(placeholder: request.content, handler: handler)
        fetching = Task {
            do {
                shown.show(try await fetchNews(for: .onThisDevice()))
            } catch {
                // Something is waiting, but it could not be fetched: the placeholder says so, and the app shows the
                // rest.
                shown.show([])
            }
        }
    }

    /// The messages that were fetched so far are on disk, and are shown.
    override func serviceExtensionTimeWillExpire() {
        fetching?.cancel()
    }
}

/// The handler must be called exactly once, from any thread.
private struct Shown: @unchecked Sendable {
    let placeholder: UNNotificationContent
    let handler: (UNNotificationContent) -> Void

    func show(_ messages: [Message]) {
        let content = UNMutableNotificationContent()
        content.title = placeholder.title
        content.body = messages.last?.text ?? placeholder.body
        content.sound = .default
        handler(content)
    }
}
