import Sealpost
import UserNotifications

/// Runs for each push notification, in a process of its own with little memory: the relay's push says only that something waits.
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
                // Something came, but not what: the placeholder says so, and the app shows the rest.
                shown.show([])
            }
        }
    }

    /// What was brought in by now is on disk, and is shown.
    override func serviceExtensionTimeWillExpire() {
        fetching?.cancel()
    }
}

/// The handler is to be called once, from any thread.
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
