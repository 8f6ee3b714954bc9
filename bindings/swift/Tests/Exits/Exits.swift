import Foundation
import Sealpost

/// A program that ends while its client is at work, in one of the ways in which processes end. The number of the round
/// determines when.
@main
enum Exits {
    static func main() async throws {
        let arguments = CommandLine.arguments
        let (database, relay, way) = (arguments[1], arguments[2], arguments[3])
        let delay = useconds_t(Int(arguments[4])! % 20)
        let key = Data(count: 32)
        if way == "cancelled-open" {
            let opening = Task { try await openClient(database: database, key: key, relay: relay) }
            usleep(delay * 300)
            opening.cancel()
            exit(0)
        }
        let client = try await openClient(database: database, key: key, relay: relay)
        try await keepBusy(client)
        // From the first moments of the work to some milliseconds of it.
        let end: @Sendable (Int32) -> Never = { code in
            usleep(1_000 + delay * 400)
            exit(code)
        }
        switch way {
        case "leaked-client":
            _ = Unmanaged.passRetained(client)
            end(0)
        case "client-of-another-thread":
            Foundation.Thread.detachNewThread { Task { try! await write(client) } }
            usleep(1_000 + delay * 400)
        // main returns
        case "exit-during-a-call":
            Foundation.Thread.detachNewThread { end(3) }
            try await write(client)
        default:
            exit(2)
        }
    }

    /// Gives the writer and the readers of the database something to do all the time. An error ends the process by a
    /// signal, as it does in an app that does not expect it.
    private static func keepBusy(_ client: Client) async throws {
        try await firstThread(of: client).sendText("a line")
        for _ in 0..<3 {
            Task { try! await write(client) }
            Task {
                let thread = try! await firstThread(of: client)
                while true { _ = try! await thread.history() }
            }
        }
    }

    private static func write(_ client: Client) async throws {
        let thread = try await firstThread(of: client)
        while true { try await thread.sendText("a line") }
    }

    private static func firstThread(of client: Client) async throws -> Sealpost.Thread {
        try await client.thread(id: client.threads()[0].id)
    }
}
