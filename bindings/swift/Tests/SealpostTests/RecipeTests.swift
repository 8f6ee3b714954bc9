import Foundation
import Sealpost
import Testing

/// The recipes of docs/mobile.md, with a screen that remembers what it was told to show.
@MainActor
private final class Recipes {
    var rows: [String] = []
    var screen: [String] = []
    var badge: UInt32 = 0
    var notifications: [MessageId: String] = [:]
    let isVisible = true

    func show(_ threads: [ThreadSummary]) {
        rows = threads.map { "\($0.unread) \(preview($0))" }
    }

    func showMessages(_ messages: [Message]) {
        screen = messages.reversed().map { "\($0.text ?? "") \(details($0))" }
    }

    func notify(_ message: Message) {
        notifications[message.id] = message.text
    }

    /// If it is shown.
    func replace(_ message: Message) {
        if notifications[message.id] != nil { notifications[message.id] = message.text }
    }

    func takeBack(_ id: MessageId) {
        notifications[id] = nil
    }

    func setBadge(_ count: UInt32) {
        badge = count
    }

    func has(rows: [String], notifications: [String], badge: UInt32) -> Bool {
        self.rows == rows && Array(self.notifications.values) == notifications && self.badge == badge
    }

    var chats = ThreadList()

    func followChats(_ client: Client) async throws {
        for try await change in client.threadsChanges() {
            chats.apply(change)
            show(chats.threads)
        }
    }

    func showMoreChats(_ client: Client) async throws {
        guard let next = chats.next else { return }
        chats.add(try await client.folderPage(folder: .chats, after: next))
        show(chats.threads)
    }

    func preview(_ chat: ThreadSummary) -> String {
        if let draft = chat.draft { return draft }
        return switch chat.newest?.body {
        case .text(let text): text
        case .contact(let card): "Contact: \(card.name)"
        case .location: "Location"
        case .poll(let poll): "Poll: \(poll.question)"
        case .timerChanged: "The timer was changed"
        case .deleted: "Deleted"
        case .notUnderstood: "Update the app to see this message"
        case .undecryptable: "This message could not be decrypted"
        case nil: ""
        }
    }

    func followChat(_ thread: Sealpost.Thread) async throws {
        var list = MessageList()
        for try await change in thread.changes {
            list.apply(change)
            showMessages(list.messages)
            let unread = list.messages.first { $0.direction == .incoming(read: false) }
            if let unread, isVisible { try await thread.markRead(upTo: unread.id) }
        }
    }

    func details(_ message: Message) -> String {
        var details: [String] = []
        if let quote = message.quote { details.append("> \(quote.text)") }
        if message.isForwarded { details.append("forwarded") }
        if message.editedMs != nil { details.append("edited") }
        details += message.reactions.map { "\($0.emoji) \($0.count)" }
        if case .outgoing(let delivery) = message.direction { details.append(tick(delivery)) }
        return details.joined(separator: ", ")
    }

    func tick(_ delivery: Delivery) -> String {
        switch delivery {
        case .queued: "…"
        case .sent: "✓"
        case .delivered: "✓✓"
        case .read: "read"
        case .failed: "failed"
        }
    }

    func followNotifications(_ client: Client) async throws {
        for try await update in client.updates {
            switch update {
            case .event(.messageAdded(let message)):
                if isNew(message), try await !isMuted(client, message.thread) { notify(message) }
            // It was read or deleted, perhaps in another process; or it was edited.
            case .event(.messageChanged(let message, was: _)):
                if !isNew(message) { takeBack(message.id) } else { replace(message) }
            case .event(.messageRemoved(thread: _, let id, position: _)): takeBack(id)
            default: break
            }
        }
    }

    func isNew(_ message: Message) -> Bool {
        message.direction == .incoming(read: false) && message.body != .deleted
    }

    func isMuted(_ client: Client, _ id: ThreadId) async throws -> Bool {
        let until = try await client.thread(id: id).summary().mutedUntilMs
        return until.map { Double($0) > Date().timeIntervalSince1970 * 1000 } ?? false
    }

    func followBadge(_ client: Client) async throws {
        for try await _ in client.threadsChanges() {
            setBadge(try await client.unreadTotals().messages)
        }
    }
}

extension SealpostTests {
    @Suite struct RecipeTests {
        @Test("the recipes show chats, messages, notifications and a badge")
        func recipes() async throws {
            let app = await Recipes()
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        let following = [
                            Task { try await app.followChats(ada) },
                            Task { try await app.followNotifications(ada) },
                            Task { try await app.followBadge(ada) },
                        ]
                        let his = try await ben.directThread(user: ada.userId())
                        let first = try await his.sendText("hello")
                        try await until { await app.has(rows: ["1 hello"], notifications: ["hello"], badge: 1) }
                        try await his.edit(message: first.id, text: "hello!")
                        try await until { await app.has(rows: ["1 hello!"], notifications: ["hello!"], badge: 1) }
                        let hers = try await ada.directThread(user: ben.userId())
                        let reading = Task { try await app.followChat(hers) }
                        try await until { await app.has(rows: ["0 hello!"], notifications: [], badge: 0) }
                        let message = try await hers.history().messages[0]
                        try await hers.react(to: message.id, emoji: "👍")
                        try await hers.reply(to: message.id, "hello yourself")
                        let reply = try await his.shows { $0.text == "hello yourself" }
                        try await his.markRead(upTo: reply.id)
                        try await until { await app.screen == ["hello! edited, 👍 1", "hello yourself > hello!, read"] }
                        reading.cancel()
                        _ = await reading.result
                        try await hers.setMutedUntil(untilMs: .max)
                        try await hers.setDraft(text: "what I wanted to say")
                        try await his.sendText("are you still there?")
                        try await until {
                            await app.has(rows: ["1 what I wanted to say"], notifications: [], badge: 0)
                        }
                        try await app.showMoreChats(ada)
                        for task in following {
                            task.cancel()
                            _ = await task.result
                        }
                    }
                }
            }
        }
    }
}
