import Foundation
import Sealpost
import Testing

extension SealpostTests {
    @Suite struct ReadmeTests {
        @Test("the first message works as shown in the README")
        func firstMessage() async throws {
            try await world { world in
                let (database, key, relay) = (world.database("me"), key("me"), await world.relay.url)
                try await world.person("friend") { other in
                    let friend = try other.userId()
                    let heard = Heard()
                    let answering = Task {
                        let added = try await eventually { try await other.threads().first }
                        let theirs = try await other.thread(id: added.id)
                        _ = try await theirs.texts(when: 1)
                        // Repeats until the code of the README listens.
                        while heard.lines.isEmpty { try await theirs.sendText("hello yourself") }
                        try await theirs.sendText("bye")
                    }
                    func print(_ line: String) { heard.add(line) }

                    let client = try await openClient(database: database, key: key, relay: relay)
                    try await client.useAndShutDown { client in
                        let thread = try await client.directThread(user: friend)
                        try await thread.sendText("hello")  // It is on disk now, and is sent once there is a connection.
                        for try await message in thread.arrivals {
                            print("\(message.sender): \(message.text ?? "")")
                            if message.text == "bye" { break }
                        }
                    }
                    try await answering.value
                    #expect(heard.lines.contains("\(friend): hello yourself"))
                }
            }
        }

        @Test("the code in the README is compiled here")
        func shown() throws {
            let here = URL(filePath: #filePath)
            let readme = here.deletingLastPathComponent().appending(path: "../../README.md")
            let parts = try String(contentsOf: readme, encoding: .utf8).components(separatedBy: "```")
            let example = try #require(parts.first { $0.hasPrefix("swift\n") })
            let compiled = Set(lines(of: try String(contentsOf: here, encoding: .utf8)))
            for line in lines(of: example).dropFirst() { #expect(compiled.contains(line)) }
        }
    }
}

private func lines(of text: String) -> [String] {
    text.components(separatedBy: .newlines).map { $0.trimmingCharacters(in: .whitespaces) }
}

/// Collects what was printed.
private final class Heard: @unchecked Sendable {
    private let lock = NSLock()
    private var said: [String] = []

    var lines: [String] { lock.withLock { said } }

    func add(_ line: String) { lock.withLock { said.append(line) } }
}
