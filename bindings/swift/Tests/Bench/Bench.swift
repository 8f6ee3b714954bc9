import Foundation
import Sealpost

/// The program that `./dev bench bindings` runs. Its arguments are `open`, `calls` or `pages`, and a database with a long history. It prints
/// one number on each line.
@main
enum Bench {
    private static let calls = 500
    private static let rounds = 200

    static func main() async throws {
        let begun = ContinuousClock.now
        let (what, database) = (CommandLine.arguments[1], CommandLine.arguments[2])
        let key = Data(repeating: 7, count: 32)
        let client = try await openClient(database: database, key: key, relay: "http://127.0.0.1:1")
        try await client.useAndShutDown { client in
            if what == "open" {
                let count = try await firstPage(of: client)
                precondition(count == 50)
                print((ContinuousClock.now - begun) / .milliseconds(1))
            } else if what == "pages" {
                let threads = try await client.threads()
                precondition(threads.count == 50)
                print(try await median { _ = try await client.threads() })
                let thread = try await client.thread(id: threads[0].id)
                print(try await median { _ = try await thread.history() })
            } else {
                let token = try CancelToken()
                print(try each { _ = try token.isCancelled() })
                print(try await eachAwaited { try await client.resume() })
            }
        }
    }

    private static func firstPage(of client: Client) async throws -> Int {
        let thread = try await client.threads()[0].id
        return try await client.thread(id: thread).history().messages.count
    }

    /// The median time of a call in microseconds.
    private static func median(_ call: @Sendable () async throws -> Void) async throws -> Double {
        var times: [Double] = []
        for _ in 0..<calls {
            let begun = ContinuousClock.now
            try await call()
            times.append((ContinuousClock.now - begun) / .microseconds(1))
        }
        return times.sorted()[calls / 2]
    }

    /// The time of one call in nanoseconds, in the best of several rounds.
    private static func each(_ call: () throws -> Void) throws -> Double {
        try (0..<rounds).map { _ in
            let begun = ContinuousClock.now
            for _ in 0..<calls { try call() }
            return (ContinuousClock.now - begun) / .nanoseconds(1) / Double(calls)
        }.min() ?? 0
    }

    private static func eachAwaited(_ call: @Sendable () async throws -> Void) async throws -> Double {
        var best = Double.infinity
        for _ in 0..<rounds {
            let begun = ContinuousClock.now
            for _ in 0..<calls { try await call() }
            best = min(best, (ContinuousClock.now - begun) / .nanoseconds(1) / Double(calls))
        }
        return best
    }
}
