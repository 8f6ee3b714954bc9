import Foundation
import Sealpost
import Testing

/// All tests run one after the other, because one of them measures the memory of the process.
@Suite(.serialized)
enum SealpostTests {}

/// Longer than any test takes that works.
private let patience = Duration.seconds(300)

/// A relay in a separate process, which can be killed and started again at the same address.
actor Relay {
    private let folder: URL
    private var process: Process?
    private var port = 0

    var url: String { "http://127.0.0.1:\(port)" }

    init(folder: URL) async throws {
        self.folder = folder
        try start()
    }

    func start() throws {
        let output = Pipe()
        let data = folder.appending(path: "relay").path
        let arguments = ["--data", data, "--listen", "127.0.0.1:\(port)", "--registration", "dev"]
        let process = try program("SEALPOST_RELAY", arguments)
        process.standardOutput = output
        try process.run()
        self.process = process
        // It prints one line when it is ready: `listening on http://127.0.0.1:39527`.
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        let said = line.split(separator: ":").last?.trimmingCharacters(in: .whitespacesAndNewlines)
        port = try #require(said.flatMap { Int($0) }, "the relay did not start")
    }

    /// From now on, the relay accepts connections but answers nothing, until it is thawed.
    func freeze() {
        guard let process else { return }
        _ = Foundation.kill(process.processIdentifier, SIGSTOP)
    }

    func thaw() {
        guard let process else { return }
        _ = Foundation.kill(process.processIdentifier, SIGCONT)
    }

    /// Kills the relay, without any warning to its clients.
    func kill() {
        guard let process else { return }
        _ = Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        self.process = nil
    }

    /// Restarts the relay without its data.
    func forget() throws {
        kill()
        try FileManager.default.removeItem(at: folder.appending(path: "relay"))
        try start()
    }
}

/// A folder with a relay and the databases of its users.
struct World: Sendable {
    let folder: URL
    let relay: Relay

    func database(_ name: String) -> String { folder.appending(path: "\(name).db").path }

    /// Opens the client of somebody who answers everyone.
    func open(_ name: String) async throws -> Client {
        let config = Config(acceptAllRequests: true)
        return try await openClient(database: database(name), key: key(name), relay: relay.url, config: config)
    }

    func person<Answer: Sendable>(_ name: String, _ body: (Client) async throws -> Answer) async throws -> Answer {
        try await open(name).useAndShutDown(body)
    }
}

/// A key that is suitable for tests only.
func key(_ name: String) -> Data {
    var key = Data(name.utf8)
    key.count = 32
    return key
}

/// Runs a test with its own world and a time limit.
func world(within patience: Duration = patience, _ test: (World) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "sealpost-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let relay = try await Relay(folder: folder)
    let name = Test.current?.displayName ?? "a test"
    let watch = Task {
        try await Task.sleep(for: patience)
        fatalError("\(name) does not end")
    }
    defer { watch.cancel() }
    let outcome: Result<Void, any Error>
    do {
        outcome = .success(try await test(World(folder: folder, relay: relay)))
    } catch {
        outcome = .failure(error)
    }
    await relay.kill()
    try FileManager.default.removeItem(at: folder)
    try outcome.get()
}

/// Runs a test with two clients, given as their user ids and the thread of each with the other.
func talk(_ test: (_ people: [UserId], _ hers: Sealpost.Thread, _ his: Sealpost.Thread) async throws -> Void) async throws {
    try await world { world in
        try await world.person("ada") { ada in
            try await world.person("ben") { ben in
                let people = [try ada.userId(), try ben.userId()]
                let hers = try await ada.directThread(user: people[1])
                let his = try await ben.directThread(user: people[0])
                try await test(people, hers, his)
            }
        }
    }
}

/// Waits until the check returns something.
func eventually<Answer>(_ check: () async throws -> Answer?) async throws -> Answer {
    while true {
        if let answer = try await check() { return answer }
        try await Task.sleep(for: .milliseconds(10))
    }
}

/// Waits until the condition holds.
func until(_ holds: () async throws -> Bool) async throws {
    try await eventually { try await holds() ? () : nil }
}

extension AsyncSequence {
    func collect() async throws -> [Element] {
        try await reduce(into: []) { $0.append($1) }
    }
}

extension Sealpost.Thread {
    /// Waits until the newest page has such a message.
    func shows(_ such: (Message) -> Bool) async throws -> Message {
        try await eventually { try await history().messages.first(where: such) }
    }

    /// The texts of the thread, oldest first.
    func texts() async throws -> [String?] {
        try await messages().map(\.text).collect().reversed()
    }

    func texts(when count: Int) async throws -> [String?] {
        try await eventually {
            let texts = try await texts()
            return texts.count >= count ? texts : nil
        }
    }
}

/// The error that a call throws, if it is one of the library's.
func thrown(_ call: () async throws -> some Any) async -> SealpostError? {
    do {
        _ = try await call()
        return nil
    } catch {
        return error as? SealpostError
    }
}

/// The path that `./dev swift` passes in this variable.
func built(_ name: String) throws -> String {
    try #require(ProcessInfo.processInfo.environment[name], "run ./dev swift")
}

/// A program that `./dev swift` has built. Its error output is discarded.
func program(_ name: String, _ arguments: [String]) throws -> Process {
    let program = Process()
    program.executableURL = URL(filePath: try built(name))
    program.arguments = arguments
    program.standardError = FileHandle.nullDevice
    return program
}

/// The output of a program, as lines.
func said(by program: Process) throws -> [String] {
    let output = Pipe()
    program.standardOutput = output
    try program.run()
    let words = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    program.waitUntilExit()
    try #require(program.terminationReason == .exit && program.terminationStatus == 0)
    return words.split(separator: "\n").map(String.init)
}

/// The output of the program that causes failures around an app: see tests/src/bin/trouble.rs.
@discardableResult
func trouble(_ what: String...) throws -> [String] {
    try said(by: program("SEALPOST_TROUBLE", what))
}

extension World {
    /// Runs statements in a database without the library.
    func sql(_ name: String, _ statements: String) throws {
        try trouble("database", database(name), key(name).map { String(format: "%02x", $0) }.joined(), statements)
    }
}
