import Foundation
import Sealpost
import Testing

extension SealpostTests {
    @Suite struct LogTests {
        @Test("lines reach the logger, and exceptions that it throws are ignored")
        func lines() async throws {
            try await world { world in
                let logger = BrokenLogger()
                try setLogger(logger: logger, level: .debug)
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        try await until { try ada.connectionState() == .live }
                        let hers = try await ada.directThread(user: ben.userId())
                        await world.relay.kill()
                        try await hers.sendText("while it is gone")
                        // Each attempt to connect fails and is logged, even after the logger has thrown.
                        try await until {
                            try ada.reconnect()
                            return logger.lines.count >= 6
                        }
                        try await world.relay.start()
                        try ada.reconnect()
                        try ben.reconnect()
                        let his = try await ben.directThread(user: ada.userId())
                        #expect(try await his.texts(when: 1) == ["while it is gone"])
                    }
                }
                #expect(logger.lines.allSatisfy { $0.target.hasPrefix("sealpost") && !$0.text.isEmpty })
            }
        }
    }
}

private final class BrokenLogger: Logger, @unchecked Sendable {
    private let lock = NSLock()
    private var told: [LogLine] = []

    struct Broken: Error {}

    var lines: [LogLine] { lock.withLock { told } }

    func log(line: LogLine) throws {
        lock.withLock { told.append(line) }
        throw Broken()
    }
}
