import Foundation
import Sealpost

/// A conversation in a terminal, over the Swift binding. Arguments and folders are those of `./dev chat`, so that the two talk
/// with each other by name.
@main
struct Chat {
    let home: Home
    let name: String
    let friend: String
    let relay: String

    static func main() async {
        let words = Array(CommandLine.arguments.dropFirst())
        var options: [String: String] = [:]
        for (option, value) in zip(words, words.dropFirst()) where option.hasPrefix("--") { options[option] = value }
        guard let name = options["--name"], let friend = options["--with"] else {
            complain("chat --name NAME --with NAME [--relay URL] [--state FOLDER]")
            exit(2)
        }
        do {
            let home = try Home(folder: URL(filePath: options["--state"] ?? ".cache/chat"))
            let relay = options["--relay"] ?? "http://127.0.0.1:8470"
            try await Chat(home: home, name: name, friend: friend, relay: relay).run()
        } catch {
            complain("chat: \(error)")
            exit(1)
        }
    }

    private func run() async throws {
        let client = try await openClient(database: home.file(name, "db").path, key: home.key(of: name), relay: relay)
        try await client.useAndShutDown { client in
            try Data(client.userId().utf8).write(to: home.file(name, "id"))
            say("  · you are \(name), user id \(try client.userId())")
            let thread = try await client.directThread(user: home.user(friend))
            let showing = Task { try await show(thread) }
            defer { showing.cancel() }
            try await write(client, thread)
        }
    }

    /// What there is, then what comes.
    private func show(_ thread: Sealpost.Thread) async throws {
        var newest: MessageId = 0
        for try await change in thread.changes {
            let messages: [Message] =
                switch change {
                case .snapshot(let messages): messages.reversed()
                case .added(let message): [message]
                default: []
                }
            for message in messages where message.id > newest {
                newest = message.id
                guard case .incoming = message.direction else {
                    say("\(clock(message.sentAtMs)) \(name): \(line(message))")
                    continue
                }
                say("\(clock(message.sentAtMs)) \(friend): \(line(message))")
                try await thread.markRead(upTo: message.id)
            }
        }
    }

    /// Until the person is done.
    private func write(_ client: Client, _ thread: Sealpost.Thread) async throws {
        for await line in entered() {
            if line == "/quit" { break }
            if line.isEmpty { continue }
            try await thread.sendText(line)
            // A person waits.
            try client.reconnect()
        }
        // A moment to leave; what does not is on disk, and leaves next time.
        for _ in 0..<40 {
            let waits = try await thread.history().messages.contains { $0.direction == .outgoing(delivery: .queued) }
            guard waits else { break }
            try await Task.sleep(for: .milliseconds(50))
        }
    }
}

/// What is kept between runs: for each name a database, its key, and its user id for others on this machine.
struct Home {
    let folder: URL

    init(folder: URL) throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        self.folder = folder
    }

    func file(_ name: String, _ kind: String) -> URL { folder.appending(path: "\(name).\(kind)") }

    /// In a file, as this is no app: an app has a Keychain.
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

    /// Waits until there is somebody of that name.
    func user(_ name: String) async throws -> UserId {
        while true {
            if let id = try? String(contentsOf: file(name, "id"), encoding: .utf8), !id.isEmpty {
                return id.trimmingCharacters(in: .whitespacesAndNewlines)
            }
            try await Task.sleep(for: .milliseconds(200))
        }
    }
}

/// The lines of the standard input, which is read on a thread of its own: reading blocks.
private func entered() -> AsyncStream<String> {
    AsyncStream { lines in
        Foundation.Thread.detachNewThread {
            while let line = readLine() { lines.yield(line.trimmingCharacters(in: .whitespaces)) }
            lines.finish()
        }
    }
}

/// Without what would move the cursor of a terminal.
private func line(_ message: Message) -> String {
    guard let text = message.text else { return "(could not be opened)" }
    return String(String.UnicodeScalarView(text.unicodeScalars.filter { $0.properties.generalCategory != .control }))
}

/// Hours and minutes, UTC.
private func clock(_ milliseconds: Int64) -> String {
    let minutes = Int(milliseconds / 60_000 % (24 * 60))
    return String(format: "%02d:%02d", minutes / 60, minutes % 60)
}

/// At once, whoever reads.
private func say(_ what: String) {
    FileHandle.standardOutput.write(Data("\(what)\n".utf8))
}

private func complain(_ what: String) {
    FileHandle.standardError.write(Data("\(what)\n".utf8))
}
