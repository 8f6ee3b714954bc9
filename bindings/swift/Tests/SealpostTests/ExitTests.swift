import Foundation
import Sealpost
import Testing

extension SealpostTests {
    @Suite struct ExitTests {
        /// How many processes end in each way, unless `SEALPOST_ROUNDS` gives another number.
        private static let rounds = ProcessInfo.processInfo.environment["SEALPOST_ROUNDS"].flatMap { Int($0) } ?? 8

        /// Many times longer than any process runs that ends at all.
        private static let limit = Duration.seconds(120)

        @Test(
            "a process may end while a client is at work, and its database is intact",
            arguments: [
                ("leaked-client", 0), ("client-of-another-thread", 0), ("cancelled-open", 0), ("exit-during-a-call", 3),
            ] as [(String, Int32)]
        )
        func ends(way: String, code: Int32) async throws {
            try await world(within: .seconds(600 + 10 * Self.rounds)) { world in
                let key = Data(count: 32)
                let open = { try await openClient(database: world.database("ada"), key: key, relay: world.relay.url) }
                try await world.person("ben") { ben in
                    try await open().useAndShutDown { ada in _ = try await ada.directThread(user: ben.userId()) }
                }
                for round in 0..<Self.rounds {
                    let arguments = [world.database("ada"), await world.relay.url, way, "\(round)"]
                    let process = try program("SEALPOST_EXITS", arguments)
                    process.standardOutput = FileHandle.nullDevice
                    try process.run()
                    let watch = Task {
                        try await Task.sleep(for: Self.limit)
                        Foundation.kill(process.processIdentifier, SIGKILL)
                    }
                    process.waitUntilExit()
                    watch.cancel()
                    #expect(process.terminationReason == .exit, "it crashed or hung in round \(round)")
                    #expect(process.terminationStatus == code)
                }
                let hexKey = String(repeating: "0", count: 64)
                #expect(try trouble("integrity", world.database("ada"), hexKey) == ["ok"])
                let newest = try await open().useAndShutDown { ada in try await ada.threads()[0].newest }
                #expect(way == "cancelled-open" || newest?.text == "a line", "it was at work")
            }
        }
    }
}
