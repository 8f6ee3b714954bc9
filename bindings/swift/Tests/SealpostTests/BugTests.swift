import Foundation
import Sealpost
import Testing

extension SealpostTests {
    @Suite struct BugTests {
        @Test("a bug in the library is reported as one")
        func brokenRule() async throws {
            try await world { world in
                try await world.person("ben") { ben in
                    try await world.person("ada") { ada in _ = try await ada.directThread(user: ben.userId()) }
                    // The library relies on this insert to succeed.
                    try world.sql(
                        "ada",
                        "CREATE TRIGGER broken BEFORE INSERT ON message BEGIN SELECT RAISE(ABORT, 'no'); END")
                    try await world.person("ada") { ada in
                        let thread = try await ada.directThread(user: ben.userId())
                        let told = await thrown { try await thread.sendText("in vain") }
                        #expect(told == .Bug(what: "a row broke a rule of the schema"))
                        #expect(told?.retryable() == false)
                    }
                }
            }
        }

        #if os(Linux)
            @Test("a panic is reported as a bug, and its location to the logger")
            func panics() throws {
                let panics = try program("SEALPOST_PANICS", [])
                panics.environment = ["LD_PRELOAD": try built("SEALPOST_PANICKING")]
                let told = try said(by: panics).map { $0.components(separatedBy: " /")[0] }
                let twice = ["error, sealpost, a panic at", "bug, false, a bug in the library: a panic in a call"]
                #expect(told == twice + twice)
            }
        #endif
    }
}
