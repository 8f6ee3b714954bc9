import Foundation
import Sealpost
import Testing

/// Runs in parallel with the other tests, because one of its cases takes the 15 seconds after which the library stops waiting.
@Suite struct OfflineTests {
    @Test("a relay that cannot be used is reported with the reason")
    func reasons() async throws {
        let reasons: [String: OfflineReason] = [
            "offline.unreachable": .unreachable, "offline.timed_out": .timedOut, "offline.busy": .busy,
            "offline.not_a_relay": .notARelay, "offline.refused": .refused, "offline.untrusted": .untrusted,
        ]
        try await world { world in
            let relays = try UnusableRelays(folder: world.folder, count: reasons.count)
            defer { relays.end() }
            await withTaskGroup(of: Void.self) { tasks in
                for (code, url) in relays.urls {
                    tasks.addTask {
                        let told = await thrown {
                            try await openClient(database: world.database(code), key: key(code), relay: url)
                        }
                        #expect(told == reasons[code].map { .Offline(reason: $0) })
                        #expect(told?.code() == code)
                        #expect(told?.retryable() == (code != "offline.refused"))
                    }
                }
            }
            #expect(relays.urls.count == reasons.count)
        }
    }
}

/// Servers that cannot be used as relays, by the code of the error that results.
private struct UnusableRelays {
    let urls: [String: String]
    private let process: Process

    /// One line for each: `offline.busy http://127.0.0.1:39527`.
    init(folder: URL, count: Int) throws {
        let output = Pipe()
        process = try program("SEALPOST_TROUBLE", ["relays", folder.path])
        process.standardOutput = output
        try process.run()
        var said = Data()
        while said.count(where: { $0 == UInt8(ascii: "\n") }) < count {
            let more = output.fileHandleForReading.availableData
            try #require(!more.isEmpty, "it ended")
            said += more
        }
        let lines = String(decoding: said, as: UTF8.self).split(separator: "\n").map { $0.split(separator: " ") }
        urls = Dictionary(uniqueKeysWithValues: lines.map { (String($0[0]), String($0[1])) })
    }

    func end() {
        _ = kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }
}
