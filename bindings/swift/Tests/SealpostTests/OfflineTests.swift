import Foundation
import Sealpost
import Testing

/// Beside the other tests, as one answer takes as long as the library is patient: 15 seconds.
@Suite struct OfflineTests {
    @Test("a relay that is of no use is told by the reason")
    func reasons() async throws {
        let reasons: [String: OfflineReason] = [
            "offline.unreachable": .unreachable, "offline.timed_out": .timedOut, "offline.busy": .busy,
            "offline.not_a_relay": .notARelay, "offline.refused": .refused, "offline.untrusted": .untrusted,
        ]
        try await world { world in
            let relays = try RelaysOfNoUse(folder: world.folder, count: reasons.count)
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

/// What may stand in the relay's place, by the code of the error that tells it.
private struct RelaysOfNoUse {
    let urls: [String: String]
    private let process: Process

    /// A line for each: `offline.busy http://127.0.0.1:39527`.
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
