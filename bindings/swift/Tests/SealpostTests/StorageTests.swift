import Foundation
import Sealpost
import Testing

extension SealpostTests {
    @Suite struct StorageTests {
        @Test(
            "a database that cannot be used is reported with the reason",
            arguments: [StorageReason.wrongKey, .corrupt, .newer, .noFolder, .notAFile, .readOnly, .inUse, .io]
        )
        func reasons(reason: StorageReason) async throws {
            try await world { world in
                try await world.person("ada") { _ in }
                let told = await thrown { try await open(world, toFailWith: reason) }
                #expect(told == .Storage(reason: reason))
                #expect(told?.retryable() == (reason == .inUse))
                // The database itself can still be used.
                _ = try await world.person("ada") { try $0.userId() }
            }
        }

        private func open(_ world: World, toFailWith reason: StorageReason) async throws -> Client {
            let noDatabase = "this is no database, but long enough to be looked at"
            switch reason {
            case .wrongKey:
                return try await openClient(
                    database: world.database("ada"), key: key("not ada"), relay: world.relay.url)
            case .corrupt:
                try noDatabase.write(toFile: world.database("text"), atomically: true, encoding: .utf8)
                return try await world.open("text")
            case .newer:
                try await world.person("new") { _ in }
                try world.sql("new", "PRAGMA user_version = 99")
                return try await world.open("new")
            case .noFolder: return try await world.open("no/such/folder")
            case .notAFile:
                let folder = URL(filePath: world.database("a folder"))
                try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
                return try await world.open("a folder")
            case .readOnly:
                // Not even root can create files there.
                return try await openClient(database: "/proc/ada.db", key: key("ada"), relay: world.relay.url)
            case .full: fatalError("it has a test of its own")
            case .inUse: return try await world.person("ada") { _ in try await world.open("ada") }
            case .io:
                let link = world.database("link")
                try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: link)
                return try await world.open("link")
            }
        }

        @Test(
            "a full disk makes calls fail, and loses nothing",
            .enabled(if: try disksCanBeFull(), "this user may not create devices here")
        )
        func fullDisk() async throws {
            try await world { world in
                try await world.person("ben") { ben in
                    try await world.person("ada") { ada in
                        _ = try await ada.directThread(user: ben.userId()).sendText("before")
                    }
                    // SQLite writes to this file first.
                    #expect(try trouble("full", world.database("ada") + "-wal") == ["full"])
                    try await world.person("ada") { ada in
                        let thread = try await ada.thread(id: ada.threads()[0].id)
                        let told = await thrown { try await thread.sendText("in vain") }
                        #expect(told == .Storage(reason: .full))
                        #expect(told?.retryable() == true)
                        #expect(try await thread.texts() == ["before"])
                    }
                    // SQLite has deleted the file that it could not write, and with it the device that stood for the full disk.
                    try await world.person("ada") { ada in
                        let thread = try await ada.thread(id: ada.threads()[0].id)
                        try await thread.sendText("after")
                        #expect(try await thread.texts() == ["before", "after"])
                    }
                }
            }
        }
    }
}

private func disksCanBeFull() throws -> Bool {
    let file = FileManager.default.temporaryDirectory.appending(path: "sealpost-\(UUID())")
    defer { try? FileManager.default.removeItem(at: file) }
    return try trouble("full", file.path) == ["full"]
}
