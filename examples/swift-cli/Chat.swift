import Foundation
import Sealpost

/// The number of messages in a page.
private let pageSize: UInt32 = 20

private let help = "/safety shows the safety number, /older an older page, /link reads the code of a new device, /quit ends"

/// A conversation in a terminal that uses the Swift binding. It has the arguments and folders of `./dev chat`, so both can talk to
/// each other by name.
@main
struct Chat {
    let home: Home
    let name: String
    let friend: String
    let relay: String
    let isNewDevice: Bool

    static func main() async {
        let words = CommandLine.arguments.dropFirst().filter { $0 != "--link" }
        var options: [String: String] = [:]
        for (option, value) in zip(words, words.dropFirst()) where option.hasPrefix("--") { options[option] = value }
        guard let name = options["--name"], let friend = options["--with"] else {
            complain("chat --name NAME --with NAME [--link] [--relay URL] [--state FOLDER]")
            exit(2)
        }
        do {
            let home = try Home(folder: URL(filePath: options["--state"] ?? ".cache/chat"))
            let relay = options["--relay"] ?? "http://127.0.0.1:8470"
            let isNewDevice = CommandLine.arguments.contains("--link")
            try await Chat(home: home, name: name, friend: friend, relay: relay, isNewDevice: isNewDevice).run()
        } catch {
            complain("chat: \(error)")
            exit(1)
        }
    }

    private func run() async throws {
        try await open().useAndShutDown { client in
            try Data(client.userId().utf8).write(to: home.file(name, "id"))
            note("you are \(name), user id \(try client.userId())")
            let thread = try await client.directThread(user: home.user(friend))
            try await Conversation(client: client, thread: thread, name: name, friend: friend).run()
        }
    }

    private func open() async throws -> Client {
        let (database, key) = (home.file(name, "db").path, try home.key(of: name))
        let config = Config(acceptAllRequests: true)
        guard isNewDevice else {
            return try await openClient(database: database, key: key, relay: relay, config: config)
        }
        return try await linkClient(
            database: database, key: key, relay: relay, name: name, config: config,
            showCode: { note("in the chat of your account, enter /link \($0)") },
            showDigits: { note("it must ask for \($0)") })
    }
}

struct Conversation: Sendable {
    let client: Client
    let thread: Sealpost.Thread
    let name: String
    let friend: String

    func run() async throws {
        let page = try await thread.history(limit: pageSize)
        let shown = Shown(older: page.older)
        await show(page, shown)
        if let newest = page.messages.first { try await thread.markRead(upTo: newest.id) }
        note("type a message and press enter; /help lists the commands")
        let showing = Task { try await showWhatComes(shown) }
        defer { showing.cancel() }
        try await write(shown)
    }

    /// Messages that arrived after the page was read are in the snapshot. A new companion also gets those from before.
    private func showWhatComes(_ shown: Shown) async throws {
        for try await change in thread.changes {
            let messages: [Message] =
                switch change {
                case .snapshot(let page): page.messages.reversed()
                case .added(let message): [message]
                default: []
                }
            for message in messages where await shown.isNew(message) {
                show(message)
                if case .incoming = message.direction { try await thread.markRead(upTo: message.id) }
            }
        }
    }

    /// Reads lines until the person quits.
    private func write(_ shown: Shown) async throws {
        var pending: PendingLink?
        reading: for await line in entered() {
            let words = line.split(separator: " ", maxSplits: 1)
            switch words.first ?? "" {
            case "": continue
            case "/quit": break reading
            case "/help": note(help)
            case "/link": pending = await link(String(words.last ?? ""))
            case "/yes", "/no":
                await answer(pending, isOurs: line == "/yes")
                pending = nil
            case "/safety": note(try await safetyNumber())
            case "/older":
                if let before = await shown.older {
                    let page = try await thread.history(before: before, limit: pageSize)
                    await shown.go(to: page.older)
                    await show(page, shown)
                } else {
                    note("there are no older messages")
                }
            default: try await send(line)
            }
        }
        // Queued messages get a moment to be sent. The others are on disk, and are sent the next time.
        for _ in 0..<40 {
            let waits = try await thread.history().messages.contains { $0.direction == .outgoing(delivery: .queued) }
            guard waits else { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        note("some messages were not sent yet; they will be sent the next time")
    }

    /// Reads the code of a new device.
    private func link(_ code: String) async -> PendingLink? {
        do {
            let pending = try await client.link(code: code)
            let (name, digits) = (try pending.name(), try pending.digits())
            note("\(name) wants to be linked to this account. Does it show \(digits)? /yes or /no")
            return pending
        } catch {
            note("\(error)")
            return nil
        }
    }

    private func answer(_ pending: PendingLink?, isOurs: Bool) async {
        do {
            guard let pending else { return note("/link reads the code of a new device") }
            if isOurs {
                note("linked as device \(try await pending.confirm(name: pending.name(), history: .everything))")
            } else {
                try await pending.cancel()
                note("nothing was linked")
            }
        } catch {
            note("\(error)")
        }
    }

    private func send(_ text: String) async throws {
        do {
            try await thread.sendText(text)
            // A person is waiting, so connecting is worthwhile.
            try client.reconnect()
        } catch let problem as SealpostError {
            guard case .TooLong = problem else { throw problem }
            note("\(problem)")
        }
    }

    private func safetyNumber() async throws -> String {
        do {
            return "safety number \(try await client.safetyNumber(user: thread.others()[0]))"
        } catch SealpostError.NotFound {
            return "no safety number before the first message"
        }
    }

    /// Shows a page, oldest first.
    private func show(_ page: Page, _ shown: Shown) async {
        for message in page.messages.reversed() where await shown.isNew(message) { show(message) }
    }

    private func show(_ message: Message) {
        let isTheirs = if case .incoming = message.direction { true } else { false }
        say("\(clock(message.sentMs)) \(isTheirs ? friend : name): \(line(message))")
    }
}

/// The messages that were shown.
private actor Shown {
    private var ids: Set<MessageId> = []
    /// Where the page begins that was not shown yet.
    private(set) var older: Position?

    init(older: Position?) {
        self.older = older
    }

    func go(to older: Position?) {
        self.older = older
    }

    /// Whether it was neither shown, nor is on an older page. It is shown then.
    func isNew(_ message: Message) -> Bool {
        if let older, message.position < older { return false }
        return ids.insert(message.id).inserted
    }
}

/// The files that are kept between runs: for each name a database, its key, and its user id for others on this machine.
struct Home {
    let folder: URL

    init(folder: URL) throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        self.folder = folder
    }

    func file(_ name: String, _ kind: String) -> URL { folder.appending(path: "\(name).\(kind)") }

    /// The key is kept in a file, because this is not an app: an app would use the Keychain.
    func key(of name: String) throws -> Data {
        let file = file(name, "key")
        if let key = try? Data(contentsOf: file) { return key }
        var random = SystemRandomNumberGenerator()
        let key = Data((0..<32).map { _ in UInt8.random(in: .min ... .max, using: &random) })
        let attributes: [FileAttributeKey: Any] = [.posixPermissions: 0o600]
        guard FileManager.default.createFile(atPath: file.path, contents: key, attributes: attributes) else {
            throw CocoaError(.fileWriteUnknown)
        }
        return key
    }

    /// Waits until somebody with that name is registered.
    func user(_ name: String) async throws -> UserId {
        if !FileManager.default.fileExists(atPath: file(name, "id").path) { note("waiting for \(name)") }
        while true {
            if let id = try? String(contentsOf: file(name, "id"), encoding: .utf8), !id.isEmpty {
                return id.trimmingCharacters(in: .whitespacesAndNewlines)
            }
            try await Task.sleep(for: .milliseconds(200))
        }
    }
}

/// The lines of the standard input, which is read on a separate thread, because reading blocks.
private func entered() -> AsyncStream<String> {
    AsyncStream { lines in
        Foundation.Thread.detachNewThread {
            while let line = readLine() { lines.yield(line.trimmingCharacters(in: .whitespaces)) }
            lines.finish()
        }
    }
}

/// The text of a message without characters that would move the cursor of the terminal.
private func line(_ message: Message) -> String {
    guard let text = message.text else { return "(could not be decrypted)" }
    return String(String.UnicodeScalarView(text.unicodeScalars.filter { $0.properties.generalCategory != .control }))
}

/// Hours and minutes, UTC.
private func clock(_ milliseconds: Int64) -> String {
    let minutes = Int(milliseconds / 60_000 % (24 * 60))
    return String(format: "%02d:%02d", minutes / 60, minutes % 60)
}

private func note(_ what: String) { say("  · \(what)") }

/// Prints without buffering, even if the output is not a terminal.
private func say(_ what: String) {
    FileHandle.standardOutput.write(Data("\(what)\n".utf8))
}

private func complain(_ what: String) {
    FileHandle.standardError.write(Data("\(what)\n".utf8))
}
